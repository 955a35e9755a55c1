"""Matching against mir_eval, whose rules and results it must repeat: pair by pair, not only in number."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mt3x.metrics.matching import largest_matching
from mt3x.metrics.notes import count_matches, match_notes, note_scores
from mt3x.music.notes import make_notes

# Few pitches, and times on a grid of 10 ms, so that notes compete and distances fall on the limits.
NOTE = st.tuples(
    st.integers(0, 60),
    st.integers(1, 30),
    st.integers(60, 61),
    st.integers(1, 127),
    st.sampled_from([0, 0, 40]),
    st.booleans(),
)
NOTES = st.lists(NOTE, min_size=1, max_size=30)
TOLERANCE = st.sampled_from([0.01, 0.05, 0.2, 0.5])
SLOW_TO_DRAW = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs SciPy is imported when the first test here runs: collecting stays quick."""
    global mir_eval
    import mir_eval


def from_rows(rows: list, grid_seconds: float = 0.01) -> np.ndarray:
    start, length, pitch, velocity, program, is_drum = np.array(rows, np.float64).T
    return make_notes(
        start * grid_seconds, (start + length) * grid_seconds, pitch, velocity, program, is_drum.astype(bool)
    )


def columns(notes: np.ndarray) -> list[np.ndarray]:
    """As mir_eval reads notes."""
    return [np.stack([notes["start"], notes["end"]], axis=1), 440 * 2.0 ** ((notes["pitch"] - 69) / 12)]


def mir_eval_matches(reference, estimate, offset_ratio, tolerance) -> list[tuple[int, int]]:
    sides = [*columns(reference), *columns(estimate)]
    return mir_eval.transcription.match_notes(
        *sides,
        onset_tolerance=tolerance,
        offset_ratio=offset_ratio,
        offset_min_tolerance=tolerance,
    )


@SLOW_TO_DRAW
@given(NOTES, NOTES, st.booleans(), TOLERANCE)
def test_pairs_are_those_of_mir_eval(ours, theirs, use_offsets, tolerance):
    reference, estimate = from_rows(ours), from_rows(theirs)
    expected = mir_eval_matches(reference, estimate, 0.2 if use_offsets else None, tolerance)
    matched = match_notes(reference, estimate, use_offsets, False, tolerance, 0.2, tolerance)
    assert matched.tolist() == [[int(i), int(j)] for i, j in expected]


@SLOW_TO_DRAW
@given(NOTES, NOTES, st.booleans())
def test_pairs_of_equal_loudness_are_those_of_mir_eval(ours, theirs, use_offsets):
    reference, estimate = from_rows(ours), from_rows(theirs)
    expected = mir_eval.transcription_velocity.match_notes(
        *columns(reference),
        reference["velocity"],
        *columns(estimate),
        estimate["velocity"],
        offset_ratio=0.2 if use_offsets else None,
    )
    matched = match_notes(reference, estimate, use_offsets, use_velocities=True)
    assert matched.tolist() == [[int(i), int(j)] for i, j in expected]


@SLOW_TO_DRAW
@given(NOTES, NOTES, st.booleans())
def test_counts_by_program_are_those_of_mir_eval_track_by_track(ours, theirs, use_offsets):
    reference, estimate = from_rows(ours), from_rows(theirs)
    expected = 0
    for program, is_drum in ((0, False), (40, False), (None, True)):
        tracks = [
            notes[(notes["is_drum"] == is_drum) & (is_drum | (notes["program"] == program))]
            for notes in (reference, estimate)
        ]
        expected += len(mir_eval_matches(*tracks, 0.2 if use_offsets else None, 0.05))
    assert count_matches(reference, estimate, use_offsets=use_offsets, use_programs=True).matched == expected


@SLOW_TO_DRAW
@given(NOTES, NOTES, st.floats(0, 1e6), st.floats(1e-4, 1.0))
def test_scores_are_those_of_mir_eval_off_the_grid(ours, theirs, later, grid_seconds):
    reference, estimate = from_rows(ours, grid_seconds), from_rows(theirs, grid_seconds)
    for notes in (reference, estimate):
        notes["start"] += later
        notes["end"] = np.maximum(notes["end"] + later, notes["start"] + 1e-3)
    precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        *columns(reference), *columns(estimate)
    )
    scores = note_scores(reference, estimate, use_offsets=True)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision, recall, f1), abs=1e-12)


def test_a_long_chain_of_competing_notes_is_settled():
    # Each of theirs lies between two of ours, and the last of ours can only be had by moving all others.
    number = 5000
    starts = np.arange(number) * 0.08
    reference, estimate = make_notes(starts, starts + 0.05, 60), make_notes(starts + 0.04, starts + 0.1, 60)
    reference = np.concatenate([reference[1:], reference[:1]])
    assert count_matches(reference, estimate).matched == number


@pytest.mark.parametrize(
    ("pairs", "size"),
    [
        ([], 0),
        ([[0, 0]], 1),
        ([[0, 0], [0, 1], [0, 2]], 1),
        ([[0, 0], [1, 0], [1, 1], [2, 1], [2, 2]], 3),
        ([[0, 0], [0, 1], [0, 2], [1, 0], [2, 0]], 2),
    ],
)
def test_hand_worked_sizes(pairs, size):
    matching = largest_matching(np.array(pairs, np.int64).reshape(-1, 2))
    assert len(matching) == size
    assert len(set(matching[:, 0])) == len(set(matching[:, 1])) == size
    assert {tuple(pair) for pair in matching} <= {tuple(pair) for pair in pairs}


@pytest.mark.parametrize(
    "option", ["onset_tolerance_seconds", "offset_ratio", "offset_min_tolerance_seconds"]
)
def test_a_negative_tolerance_is_refused(option):
    notes = make_notes(0.0, 1.0, 60)
    with pytest.raises(ValueError, match=rf"{option} is -0\.1; it must be at least 0"):
        match_notes(notes, notes, **{option: -0.1})
