"""The note head in use: where it looks, what it learns, what becomes of notes that it names."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.model.config import TransformerConfig
from mt3x.model.transformer import Transformer
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes
from mt3x.runtime.hearing import (
    LEAST_LOGIT,
    MAX_PLACES,
    NOTE_HEAD,
    choose_programs,
    find_places,
    fresh_head,
    hear,
    name_instruments,
    note_loss,
    read_rolls,
)
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.step import frame_loss, piano_rolls

CONFIG = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3),
    network=TransformerConfig(
        emb_dim=64, num_heads=2, head_dim=32, mlp_dim=64, num_encoder_layers=1, num_decoder_layers=1
    ),
    granularity=Granularity.MIDI_CLASS,
    segment_frames=63,
    note_head_width=32,
)
FPS = CONFIG.spectrogram.frames_per_second
OVERTONES = {0: (1, 2, 3), 40: (1, 4, 6, 7)}
"""Two programs by what they sound like."""


def roll_of(cells):
    """Logits float32 [1, 20, 128], -9 but at {(frame, pitch): logit}."""
    roll = np.full((1, 20, 128), -9.0, np.float32)
    for (frame, pitch), logit in cells.items():
        roll[0, frame, pitch] = logit
    return jnp.asarray(roll)


def found(roll, num_frames=20):
    places = find_places(roll, jnp.array([num_frames]), FPS)
    kept = np.flatnonzero(np.asarray(places.is_place[0]))
    return [(pytest.approx(float(places.onset[0, i] * FPS), abs=0.01), int(places.pitch[0, i])) for i in kept]


def test_places_are_peaks_along_time_the_likeliest_first():
    roll = roll_of({(4, 60): 1.0, (5, 60): 3.0, (7, 60): 2.0, (4, 61): 5.0, (11, 60): 0.0})
    # (7, 60) stands in the shadow of (5, 60); a neighbour pulls the moment towards itself by its probability.
    pull = -jax.nn.sigmoid(1.0) / (jax.nn.sigmoid(1.0) + jax.nn.sigmoid(3.0))
    assert found(roll) == [(4, 61), (5 + float(pull), 60), (11, 60)]


def test_of_equal_neighbours_the_first_is_the_peak():
    assert found(roll_of({(5, 60): 2.0, (6, 60): 2.0})) == [(5.5, 60)]


def test_unlikely_cells_and_frames_that_do_not_count_are_no_places():
    roll = roll_of({(5, 60): LEAST_LOGIT - 0.1, (12, 60): 1.0})
    assert found(roll) == [(12, 60)]
    assert found(roll, num_frames=12) == []


def play(notes):
    """Samples float32 [63 * 256] of notes with the overtones of their programs."""
    seconds = np.arange(63 * 256) / 16000
    samples = np.zeros(63 * 256)
    for note in notes:
        hertz = 440 * 2 ** ((note["pitch"] - 69) / 12)
        waves = sum(np.sin(2 * np.pi * hertz * k * seconds) for k in OVERTONES[int(note["program"])])
        samples += 0.05 * waves * ((seconds >= note["start"]) & (seconds < note["end"]))
    return samples.astype(np.float32)


def draw(random):
    """Four notes, one after the other, of either program."""
    starts = np.arange(4) * 0.22 + 0.05
    notes = make_notes(starts, starts + 0.2, random.integers(60, 66, 4), 80)
    notes["program"] = random.choice(list(OVERTONES), 4)
    return notes


def by_turns():
    """Notes that the head has not learnt from, of both programs."""
    notes = draw(np.random.default_rng(9))
    notes["program"] = [0, 40] * 2
    return notes


def batch_of(pieces):
    batch = {f"note_{name}": np.stack([piece[name] for piece in pieces]) for name in pieces[0].dtype.names}
    for name in ("note_start", "note_end"):
        batch[name] = batch[name].astype(np.float32)
    return {**batch, "num_frames": np.full(len(pieces), 63, np.int32)}


def encode(params, samples, num_frames):
    frames = log_mel(samples, num_frames, CONFIG.spectrogram)
    variables = {"params": {"encoder": params["encoder"]}}
    return frames, Transformer(CONFIG.network).apply(variables, frames, method=Transformer.encode)


@pytest.fixture(scope="module")
def fresh():
    frames = np.zeros((1, 63, 512), np.float32)
    network = Transformer(CONFIG.network).init(jax.random.key(0), frames, np.zeros((1, 2), np.int32))[
        "params"
    ]
    return {"encoder": network["encoder"], NOTE_HEAD: fresh_head(64, 32, jax.random.key(1))}


@pytest.fixture(scope="module")
def learnt(fresh):
    """A network that has learnt six tones, at two timbres; the head's measurements along the way."""
    random = np.random.default_rng(0)
    optimizer = optax.adam(3e-3)
    params, state = fresh, optimizer.init(fresh)

    def loss(params, samples, batch):
        frames, encoded = encode(params, samples, batch["num_frames"])
        rolls = frame_loss(read_rolls(params[NOTE_HEAD], encoded), piano_rolls(batch, 63, FPS), 5.0)
        cost, measured = note_loss(params, CONFIG, frames, encoded, batch)
        return cost + 0.1 * rolls, {"cost": cost, **measured}

    @jax.jit
    def step(params, state, samples, batch):
        gradients, measured = jax.grad(loss, has_aux=True)(params, samples, batch)
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, measured

    lines = []
    for _ in range(200):
        pieces = [draw(random) for _ in range(4)]
        samples = jnp.asarray(np.stack([play(piece) for piece in pieces]))
        params, state, measured = step(params, state, samples, batch_of(pieces))
        lines.append({name: float(value) for name, value in measured.items()})
    return params, lines


@pytest.mark.slow
def test_the_head_learns_what_is_a_note_and_its_timbre(learnt):
    lines = learnt[1]
    assert np.mean([line["note_f1"] for line in lines[-20:]]) > 0.8
    assert np.mean([line["class_accuracy"] for line in lines[-20:]]) > 0.8
    assert lines[-1]["cost"] < lines[20]["cost"]


@pytest.mark.slow
def test_it_hears_new_notes(learnt):
    notes = by_turns()
    heard = hear(CONFIG, learnt[0], jnp.asarray(play(notes))[None], jnp.array([63]))
    likely = np.flatnonzero(np.asarray(heard.probability[0]) > 0.5)
    likely = likely[np.argsort(np.asarray(heard.onset[0])[likely])]
    assert np.asarray(heard.pitch[0])[likely].tolist() == notes["pitch"].tolist()
    chosen = np.asarray(choose_programs(heard.programs[0]))
    assert chosen[likely].tolist() == notes["program"].tolist()
    assert np.asarray(heard.onset[0])[likely] == pytest.approx(notes["start"], abs=0.02)
    assert np.asarray(heard.velocity[0])[likely] == pytest.approx(80, abs=15)
    assert not (np.asarray(heard.drum_probability) > 0.5).any()


@pytest.mark.slow
def test_it_names_notes_that_were_written_and_keeps_programs_within_the_class_and_drums(learnt):
    notes = by_turns()
    heard = notes.copy()
    heard["program"] = 0
    assert name_instruments(learnt[0], CONFIG, play(notes), 63, heard).tolist() == notes["program"].tolist()
    heard["program"] = notes["program"] + 3
    heard["is_drum"][0] = True
    programs = name_instruments(learnt[0], CONFIG, play(notes), 63, heard)
    assert programs.tolist() == heard["program"].tolist()


def test_only_programs_that_play_are_heard_in_notes_that_were_written(fresh):
    notes = make_notes([0.05, 0.1], [0.3, 0.3], [60, 64])
    config = dataclasses.replace(CONFIG, instruments=(41, 60))
    assert set(name_instruments(fresh, config, play(notes), 63, notes).tolist()) <= {41, 60}


def test_more_notes_than_it_sees_at_once_and_none_at_all(fresh):
    one = make_notes([0.05], [0.3], 60)
    many = np.concatenate([one] * (MAX_PLACES + 5))
    assert name_instruments(fresh, CONFIG, play(one), 63, many).shape == (MAX_PLACES + 5,)
    assert name_instruments(fresh, CONFIG, play(one), 63, many[:0]).shape == (0,)


def test_notes_that_began_before_the_segment_and_drums_are_not_learnt_from(fresh):
    piece = draw(np.random.default_rng(0))
    samples = jnp.asarray(play(piece))[None]
    frames, encoded = encode(fresh, samples, jnp.array([63]))
    head = {**fresh[NOTE_HEAD]}
    head["rolls"] = jax.tree.map(jnp.zeros_like, head["rolls"])  # everything is a peak, or nothing
    batch = batch_of([piece])
    batch["note_start"] -= 1.0
    batch["note_is_drum"] |= batch["note_start"] >= 0
    _, measured = note_loss({NOTE_HEAD: head}, CONFIG, frames, encoded, batch)
    assert float(measured["note_f1"]) == 0 and float(measured["class_accuracy"]) == 0


@pytest.mark.parametrize("width", [-4, 6])
def test_a_width_that_makes_no_head_is_an_error(width):
    with pytest.raises(ValueError, match=f"note_head_width is {width}; it must be a multiple of 4"):
        dataclasses.replace(CONFIG, note_head_width=width)


def test_frames_cannot_be_heard_without_a_head():
    with pytest.raises(ValueError, match="search is 'frames', but the model has no note head"):
        dataclasses.replace(CONFIG, note_head_width=0, search="frames")
