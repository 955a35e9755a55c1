"""The instrument head in use: what it learns, and what becomes of the notes that it names."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.model.config import TransformerConfig
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes
from mt3x.runtime.instruments import INSTRUMENT_HEAD, fresh_head, instrument_loss, name_instruments
from mt3x.runtime.presets import TranscriptionConfig

pytestmark = pytest.mark.slow

CONFIG = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, log_floor=1e-5),
    network=TransformerConfig(num_encoder_layers=1, num_decoder_layers=1),
    granularity=Granularity.MIDI_CLASS,
    segment_frames=125,
    instrument_head_width=32,
)
OVERTONES = {0: (1, 2, 3), 40: (1, 4, 6, 7)}
"""Two programs by what they sound like."""


def play(notes):
    """Samples float32 [32000] of notes with the overtones of their programs."""
    seconds = np.arange(32000) / 16000
    samples = np.zeros(32000)
    for note in notes:
        hertz = 440 * 2 ** ((note["pitch"] - 69) / 12)
        waves = sum(np.sin(2 * np.pi * hertz * k * seconds) for k in OVERTONES[int(note["program"])])
        samples += 0.05 * waves * ((seconds >= note["start"]) & (seconds < note["end"]))
    return samples.astype(np.float32)


def draw(random):
    """Six notes, one after the other, of either program."""
    starts = np.arange(6) * 0.3 + 0.05
    notes = make_notes(starts, starts + 0.25, random.integers(55, 75, 6))
    notes["program"] = random.choice(list(OVERTONES), 6)
    return notes


def by_turns():
    """Notes that the head has not learnt from, of both programs."""
    notes = draw(np.random.default_rng(9))
    notes["program"] = [0, 40] * 3
    return notes


def batch_of(pieces):
    columns = {f"note_{name}": np.stack([piece[name] for piece in pieces]) for name in pieces[0].dtype.names}
    batch = {name: values for name, values in columns.items() if name != "note_velocity"}
    for name in ("note_start", "note_end"):
        batch[name] = batch[name].astype(np.float32)
    return {**batch, "num_frames": np.full(len(pieces), 125, np.int32)}


@pytest.fixture(scope="module")
def learnt():
    """A head that has learnt the two timbres; its measurements along the way."""
    random = np.random.default_rng(0)
    params = {INSTRUMENT_HEAD: fresh_head(32, jax.random.key(1))}
    optimizer = optax.adam(3e-3)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, key, samples, batch):
        frames = log_mel(samples, batch["num_frames"], CONFIG.spectrogram)
        slope = jax.value_and_grad(
            lambda params: instrument_loss(params, CONFIG, key, frames, batch), has_aux=True
        )
        measured, gradients = slope(params)
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, measured

    lines = []
    for number in range(60):
        pieces = [draw(random) for _ in range(4)]
        samples = jnp.asarray(np.stack([play(piece) for piece in pieces]))
        params, state, measured = step(params, state, jax.random.key(number), samples, batch_of(pieces))
        lines.append([float(value) for value in measured])
    return params[INSTRUMENT_HEAD], np.array(lines)


def test_the_head_learns_timbres(learnt):
    _, lines = learnt
    assert lines[0, 0] == pytest.approx(np.log(16), rel=0.2)  # nats a note
    assert lines[-10:, 0].mean() < 0.5
    assert lines[-10:, 1].mean() > 0.85


def test_it_names_the_instruments_of_new_notes(learnt):
    notes = by_turns()
    heard = notes.copy()
    heard["program"] = 0
    programs = name_instruments(learnt[0], CONFIG, play(notes), 125, heard)
    assert programs.tolist() == notes["program"].tolist()


def test_programs_within_the_class_and_drums_are_kept(learnt):
    notes = by_turns()
    heard = notes.copy()
    heard["program"] += 3
    heard["is_drum"][0] = True
    programs = name_instruments(learnt[0], CONFIG, play(notes), 125, heard)
    assert programs.tolist() == heard["program"].tolist()


def test_more_notes_than_it_sees_at_once_and_none_at_all(learnt):
    one = make_notes([0.05], [0.3], 60)
    many = np.concatenate([one] * 70)
    assert name_instruments(learnt[0], CONFIG, play(one), 125, many).shape == (70,)
    assert name_instruments(learnt[0], CONFIG, play(one), 125, many[:0]).shape == (0,)


def test_notes_that_began_before_the_segment_and_drums_are_not_learnt_from():
    pieces = [draw(np.random.default_rng(0))]
    frames = log_mel(jnp.asarray(play(pieces[0]))[None], jnp.array([125]), CONFIG.spectrogram)
    batch = batch_of(pieces)
    batch["note_start"] -= 1.0
    batch["note_is_drum"] |= batch["note_start"] >= 0
    params = {INSTRUMENT_HEAD: fresh_head(32)}
    assert [float(x) for x in instrument_loss(params, CONFIG, jax.random.key(0), frames, batch)] == [0, 0]


@pytest.mark.parametrize("width", [-4, 6])
def test_a_width_that_makes_no_head_is_an_error(width):
    with pytest.raises(ValueError, match=f"instrument_head_width is {width}; it must be a multiple of 4"):
        dataclasses.replace(CONFIG, instrument_head_width=width)
