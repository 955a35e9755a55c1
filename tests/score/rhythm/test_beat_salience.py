import numpy as np

from mt3x.music.notes import make_notes
from mt3x.score.rhythm.beat_salience import beat_salience, onset_events


def test_notes_struck_almost_together_are_one_event():
    times, event = onset_events(make_notes([1.0, 1.02, 1.03, 1.5], 2.0, [60, 64, 67, 72]))
    np.testing.assert_allclose(times, [1.02, 1.5])
    assert event.tolist() == [0, 0, 0, 1]


def test_a_fast_run_is_no_chord():
    times, _ = onset_events(make_notes(1 + 0.03 * np.arange(9), 2.0, 60 + np.arange(9)))
    assert len(times) == 3


def test_low_long_notes_are_likelier_beats_and_downbeats():
    start = np.arange(16) * 0.25
    is_strong = np.arange(16) % 4 == 0
    notes = make_notes(start, start + np.where(is_strong, 0.9, 0.2), np.where(is_strong, 40, 72))
    beat, downbeat, bars = beat_salience(notes, 220)
    frames = np.rint(start * 50).astype(int)
    assert beat[frames[is_strong]].min() > beat[frames[~is_strong]].max()
    assert downbeat[frames[is_strong]].min() > downbeat[frames[~is_strong]].max()
    assert beat[100 + 6] < 0.05
    assert bars == {}
