"""A piano out of tune, and pieces at 432 and 446 Hz, have the notes and the instrument of one in tune."""

import numpy as np
import pytest

import mt3x
from mt3x.metrics.notes import match_notes
from mt3x.music.notes import make_notes
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, Synthesizer

RATE = 16000
SECONDS = 18.0


@pytest.fixture(scope="module")
def chorale():
    """64 notes: sixteen chords of four voices."""
    rng = np.random.default_rng(5)
    start = np.repeat(np.arange(16) * 1.05 + 0.2, 4)
    voices = np.array([48, 55, 64, 72])
    steps = np.cumsum(rng.integers(-2, 3, (16, 4)), axis=0)
    return make_notes(start, start + 0.9, (voices + steps).reshape(-1), 80)


@pytest.fixture(scope="module")
def found(chorale):
    """What is found in the chorale, played so many cents above 440 Hz."""
    synthesizer, transcriber = Synthesizer(TEST_SOUNDFONT, RATE), mt3x.load()
    return {
        cents: transcriber.transcribe(synthesizer.render(chorale, SECONDS, cents), RATE)
        for cents in (0.0, -35.0, 1200 * np.log2(432 / 440), 1200 * np.log2(446 / 440))
    }


def test_the_tuning_is_reported(found):
    for cents, result in found.items():
        assert result.tuning_cents == pytest.approx(cents, abs=6)


def test_a_detuned_piano_has_the_notes_of_one_in_tune(found, chorale):
    in_tune = len(match_notes(chorale, found[0.0].notes, use_programs=False))
    assert in_tune >= 60
    for cents, result in found.items():
        matched = len(match_notes(chorale, result.notes, use_programs=False))
        assert matched >= in_tune - 2, cents
        assert len(result.notes) <= len(found[0.0].notes) + 3, cents


def test_a_detuned_piano_is_a_piano(found):
    for cents, result in found.items():
        assert {int(program) for program in result.notes["program"]} <= set(range(8)), cents
        assert not result.notes["is_drum"].any(), cents
