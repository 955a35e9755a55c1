"""The two ways to make training audio, on a tiny note bank that the test builds."""

import dataclasses

import jax
import numpy as np
import pytest

from mt3x.data.pipeline.augmentation import AugmentationConfig
from mt3x.data.pipeline.sound import RenderedSound, note_bank_sound, rendered_sound
from mt3x.data.synthetic.examples import ExampleConfig
from mt3x.music.notes import make_notes
from mt3x.synthesis.note_banks import build_note_bank, save_note_bank
from mt3x.synthesis.soundfonts import SynthesisError

RATE = 16_000
EXAMPLES = ExampleConfig(detune_cents=0.0, max_notes=8)
PLAIN = AugmentationConfig(room_probability=0.0, noise_probability=0.0, equaliser_db=0.0, gain_db=(0.0, 0.0))
NOTES = make_notes([0.1, 0.9, 1.4], [0.7, 1.6, 2.2], [60, 64, 60], [80, 80, 80])


@pytest.fixture(scope="module")
def bank_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    bank = build_note_bank("sf_GMbank", [0], [60, 64], velocities=[80], drum_pitches=())
    save_note_bank(bank, folder / "piano")
    save_note_bank(dataclasses.replace(bank, sample_rate=8000), folder / "slow")
    save_note_bank(dataclasses.replace(bank, samples=bank.samples[:, :-1]), folder / "short")
    return folder


def hear(sound, notes):
    """Samples of the segment [N] that the training step would get."""
    (source, *_) = sound.open_sources()
    arrays = source.sound(np.random.default_rng(0), notes, EXAMPLES.total_seconds)
    batch = {name: value[None] for name, value in arrays.items()}
    return np.asarray(sound.prepare(jax.random.key(0), batch, sound.resources))[0]


def test_both_ways_sound_alike(bank_folder):
    composed = hear(note_bank_sound([bank_folder / "piano"], EXAMPLES, PLAIN, RATE), NOTES)
    rendered = hear(rendered_sound(["sf_GMbank"], EXAMPLES, PLAIN, RATE), NOTES)
    assert composed.shape == rendered.shape == (round(EXAMPLES.segment_seconds * RATE),)
    # Releases are measured, not FluidSynth's own, and its notes start on a 1 ms grid.
    assert np.corrcoef(composed, rendered)[0, 1] > 0.95


def test_the_second_bank_has_the_rows_after_the_first(bank_folder):
    sound = note_bank_sound([bank_folder / "piano"] * 2, EXAMPLES, PLAIN, RATE)
    rows = [
        source.sound(np.random.default_rng(0), NOTES, 2.6)["bank_note_rows"]
        for source in sound.open_sources()
    ]
    assert (rows[1] - rows[0] == len(sound.resources) // 2).all()


def test_a_note_without_a_row_is_not_heard(bank_folder):
    (source,) = note_bank_sound([bank_folder / "piano"], EXAMPLES, PLAIN, RATE).open_sources()
    assert source.sounding(make_notes(0, 1, [60, 61, 64])).tolist() == [True, False, True]


@pytest.mark.parametrize(("name", "message"), [("slow", "8000 samples a second"), ("short", "same seconds")])
def test_banks_that_do_not_fit_are_refused(bank_folder, name, message):
    with pytest.raises(ValueError, match=message):
        note_bank_sound([bank_folder / "piano", bank_folder / name], EXAMPLES, PLAIN, RATE)


def test_a_missing_soundfont_is_told_before_any_worker_starts():
    with pytest.raises(SynthesisError, match="nowhere.sf2"):
        rendered_sound(["nowhere.sf2"], EXAMPLES, PLAIN, RATE)


class Recorder:
    """A synthesizer with pitches from 60 on, drums from 35 on, that keeps what it was asked to render."""

    def __init__(self):
        self.cents = []

    def sounding_pitches(self, program, is_drum=False):
        return np.arange(128) >= (35 if is_drum else 60 + program)

    def render(self, notes, seconds, detune_cents):
        self.cents.append(detune_cents)
        return np.zeros(round(seconds * RATE), np.float32)


def test_each_note_is_heard_as_its_program_or_as_a_drum():
    notes = make_notes(
        0, 1, [59, 60, 60, 61, 34, 35], program=[0, 0, 1, 1, 9, 9], is_drum=[False] * 4 + [True] * 2
    )
    heard = RenderedSound(Recorder(), 0.0).sounding(notes)
    assert heard.tolist() == [False, True, False, True, False, True]


def test_each_segment_is_detuned_as_a_whole_within_the_range():
    recorder, rng = Recorder(), np.random.default_rng(0)
    source = RenderedSound(recorder, detune_cents=20.0)
    samples = [source.sound(rng, NOTES, 0.5)["samples"] for _ in range(50)]
    assert samples[0].shape == (8000,)
    assert -20 < min(recorder.cents) < -10 and 10 < max(recorder.cents) < 20
