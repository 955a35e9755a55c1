import numpy as np

from mt3x.data.beats.performances import draw_exercise, perform


def test_exercises_are_whole_bars_of_one_metre_and_can_be_performed():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        exercise = draw_exercise(rng)
        size, is_compound = int(exercise.beats_per_measure[0]), bool(exercise.is_compound[0])
        kinds.add((size, is_compound))
        assert np.flatnonzero(exercise.is_downbeat).tolist() == list(range(0, len(exercise.beats), size))
        assert set(np.diff(exercise.beats)) == {1.5 if is_compound else 1.0}
        onset, end, pitch, _ = exercise.notes.T
        assert (end > onset).all() and (np.diff(onset) >= 0).all()
        assert np.isin(exercise.beats[:-1:size], onset).all()  # every bar begins with a note
        assert pitch.min() >= 36 and pitch.max() <= 108
        assert perform(exercise, rng, 30.0) is not None
    assert kinds == {(2, False), (3, False), (4, False), (2, True), (3, True)}
