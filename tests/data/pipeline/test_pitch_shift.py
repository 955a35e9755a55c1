"""Pitch shift: what is heard and what is written move together."""

import numpy as np
import pytest

from mt3x.data.pipeline.pitch_shift import (
    PitchShiftConfig,
    draw_semitones,
    playback_rate,
    shift_audio,
    shift_notes,
)
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.notes import make_notes


def strongest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**18))
    return float(spectrum.argmax()) * SAMPLE_RATE / 2**18


@pytest.mark.parametrize("semitones", [-2, -1, 1, 2, 12])
def test_a_tone_sounds_so_many_semitones_higher(semitones):
    tone = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    shifted = shift_audio(tone, semitones)
    assert shifted.dtype == np.float32
    cents = 1200 * np.log2(strongest_hz(shifted) / 440)
    assert abs(cents - 100 * semitones) < 0.5


@pytest.mark.parametrize("semitones", [-2, 1, 2])
def test_a_click_is_heard_when_its_note_is_written(semitones):
    clicks = np.zeros(2 * SAMPLE_RATE, np.float32)
    clicks[[4000, 24000]] = 1.0
    shifted = shift_audio(clicks, semitones)
    notes = shift_notes(make_notes([0.25, 1.5], [0.5, 1.75], 60), semitones)
    heard = [shifted[:12000].argmax(), 12000 + shifted[12000:].argmax()]
    assert np.allclose(np.array(heard) / SAMPLE_RATE, notes["start"], atol=1 / SAMPLE_RATE)
    assert abs(len(shifted) - len(clicks) / 2 ** (semitones / 12)) <= 2


def test_no_shift_changes_nothing():
    samples, notes = np.ones(10, np.float32), make_notes([0.3], [0.7], 60)
    assert np.array_equal(shift_audio(samples, 0), samples)
    assert np.array_equal(shift_notes(notes, 0), notes)


def test_notes_move_in_pitch_and_about_the_origin_in_time_and_drums_in_time_alone():
    notes = make_notes([0.0, 3.0, 3.0], [1.0, 4.0, 4.0], [60, 72, 36], is_drum=[False, False, True])
    shifted = shift_notes(notes, 12, origin_seconds=2.0)  # twice as fast
    assert playback_rate(12) == 2 * SAMPLE_RATE
    assert shifted["pitch"].tolist() == [72, 84, 36]
    assert shifted["start"].tolist() == [1.0, 2.5, 2.5] and shifted["end"].tolist() == [1.5, 3.0, 3.0]
    assert notes["pitch"].tolist() == [60, 72, 36]  # the input stays


def test_shifts_are_drawn_up_and_down_and_as_often_as_asked():
    notes, config = make_notes([0.0], [1.0], 60), PitchShiftConfig(probability=0.5, max_semitones=2)
    rng = np.random.default_rng(0)
    drawn = [draw_semitones(rng, notes, config) for _ in range(2000)]
    shares = {semitones: drawn.count(semitones) / 2000 for semitones in set(drawn)}
    assert set(shares) == {-2, -1, 0, 1, 2}
    assert abs(shares[0] - 0.5) < 0.05
    assert all(abs(shares[semitones] - 0.125) < 0.03 for semitones in (-2, -1, 1, 2))


def test_no_shift_is_drawn_that_takes_a_note_out_of_range():
    notes = make_notes([0.0, 0.0], [1.0, 1.0], [0, 126])
    config = PitchShiftConfig(probability=1.0)
    rng = np.random.default_rng(0)
    assert {draw_semitones(rng, notes, config) for _ in range(100)} == {0, 1}
    drums = make_notes([0.0], [0.1], 127, is_drum=True)
    assert {draw_semitones(rng, drums, config) for _ in range(100)} == {-2, -1, 1, 2}


def test_a_note_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"pitch 126 shifted by 2 semitones leaves 0\.\.127; choose a smal"):
        shift_notes(make_notes([0.0, 1.0], [1.0, 2.0], [60, 126]), 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"probability": 1.5}, r"probability is 1.5; it must be within 0\.\.1"),
        ({"max_semitones": 0}, r"max_semitones is 0; it must be within 1\.\.12"),
        ({"max_semitones": 13}, r"max_semitones is 13; it must be within 1\.\.12"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PitchShiftConfig(**settings)
