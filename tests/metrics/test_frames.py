import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.metrics.frames import (
    count_frames,
    count_pedal_frames,
    drop_overwritten,
    frame_scores,
    lengthen_short_notes,
)
from mt3x.metrics.instruments import extract_track
from mt3x.metrics.notes import MatchCounts, Scores
from mt3x.music.notes import NOTE_DTYPE, empty_notes, make_notes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())
SCORED_BY_MT3 = [pytest.param(pair, id=pair["label"]) for pair in GOLDEN["pairs"] if pair["metrics"]]
FRAMES = [pytest.param(case, id=case["name"]) for case in GOLDEN["frame"]]


def from_rows(rows: list) -> np.ndarray:
    """Rows [start, end, pitch, velocity, program, is_drum, instrument] as notes."""
    return make_notes(*np.array(rows, np.float64).reshape(-1, 7)[:, :6].T)


def seen_by_mt3(rows: list) -> np.ndarray:
    """The pitched notes that reach MT3's roll."""
    seen = drop_overwritten(from_rows(rows), np.array([row[6] for row in rows], np.int64))
    return seen[~seen["is_drum"]]


def random_notes(seed: int, count: int = 100) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 10, count)
    end = start + rng.uniform(0, 1, count)
    return make_notes(start, end, rng.integers(50, 60, count), rng.integers(1, 128, count))


@pytest.mark.parametrize("pair", SCORED_BY_MT3)
def test_scores_of_pieces_and_tracks_equal_mt3(pair):
    sides = pair["ref_ns"]["notes"], pair["est_ns"]["est_ns"]["notes"]
    tracks = {"": [seen_by_mt3([row for row in rows if not row[5]]) for rows in sides]}
    for name, program, is_drum in pair["track_specs"] or []:
        tracks[f"{name}/"] = [extract_track(from_rows(rows), program, is_drum) for rows in sides]
    for name, notes in tracks.items():
        expected = [pair["metrics"][f"{name}Frame {s}"] for s in ("Precision", "Recall", "F1")]
        scores = frame_scores(notes[0], notes[1], mt3_compatible=True)
        # Exact up to the order of the last floating-point operations.
        assert [scores.precision, scores.recall, scores.f1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", FRAMES)
def test_scores_and_frame_counts_equal_those_of_mt3s_rolls(case):
    counts = count_frames(
        seen_by_mt3(case["ref_ns"]["notes"]), seen_by_mt3(case["est_ns"]["notes"]), mt3_compatible=True
    )
    assert (counts.reference, counts.estimate) == (case["ref_active_gt30"], case["est_active"])
    scores = counts.scores()
    assert [scores.precision, scores.recall, scores.f1] == pytest.approx(case["frame"], abs=1e-12)


def test_hand_worked_scores():
    # Ten frames a second: the reference sounds in frames 0..9 and 20..24, the estimate in 5..12 and 20..24.
    reference = make_notes([0.0, 2.0], [1.0, 2.5], [60, 62])
    estimate = make_notes([0.5, 2.0], [1.3, 2.5], [60, 62])
    assert count_frames(reference, estimate, frames_per_second=10) == MatchCounts(10, 15, 13)
    scores = frame_scores(reference, estimate, frames_per_second=10)
    assert (scores.precision, scores.recall) == (10 / 13, 10 / 15)
    assert scores.f1 == pytest.approx(2 * 10 / (15 + 13))


def test_pitch_must_be_equal():
    assert count_frames(make_notes(0.0, 1.0, 60), make_notes(0.0, 1.0, 61), 10) == MatchCounts(0, 10, 10)


def test_a_frame_counts_once_however_many_notes_sound_in_it():
    twice = make_notes(0.0, 1.0, 60, program=[0, 40])
    assert count_frames(twice, twice[:1], frames_per_second=10) == MatchCounts(10, 10, 10)


def test_quiet_notes_count_unless_mt3_is_reproduced():
    notes = make_notes([0.0, 1.0, 2.0, 2.0], [1.0, 2.0, 3.0, 3.0], [60, 61, 62, 62], [30, 31, 20, 20])
    assert frame_scores(notes, notes) == Scores(1.0, 1.0, 1.0)
    # MT3 drops the reference's first second; the last two notes add up to 40 and stay.
    assert count_frames(notes, notes, 10, mt3_compatible=True) == MatchCounts(20, 20, 30)


def test_programs_on_instrument_0_hide_each_other_from_mt3():
    notes = make_notes(0.0, 1.0, [60, 61, 62, 63], program=[0, 40, 30, 5])
    assert drop_overwritten(notes, np.array([0, 0, 0, 1]))["pitch"].tolist() == [61, 63]
    assert drop_overwritten(notes, np.arange(4))["pitch"].tolist() == [60, 61, 62, 63]
    with pytest.raises(ValueError, match="each note needs one"):
        drop_overwritten(notes, np.zeros(3, np.int64))


def test_short_notes_and_drum_hits_last_50_ms():
    notes = make_notes([0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [60, 61, 36], is_drum=[False, False, True])
    assert lengthen_short_notes(notes)["end"].tolist() == [0.05, 1.0, 0.05]
    assert count_frames(notes, empty_notes(), frames_per_second=100).reference == 5 + 100 + 5
    assert notes["end"].tolist() == [0.0, 1.0, 1.0]


def test_anything_matches_itself_in_any_order():
    notes = random_notes(seed=0)
    assert frame_scores(notes, notes[::-1]) == Scores(1.0, 1.0, 1.0)


def test_exchanging_the_sides_exchanges_precision_and_recall():
    reference, estimate = random_notes(seed=0), random_notes(seed=1, count=70)
    there, back = frame_scores(reference, estimate), frame_scores(estimate, reference)
    assert 0 < there.precision < 1
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


@pytest.mark.parametrize("reference", [empty_notes(), random_notes(seed=0)])
def test_nothing_scores_nothing(reference):
    assert frame_scores(reference, empty_notes()) == Scores(0.0, 0.0, 0.0)
    assert frame_scores(empty_notes(), reference) == Scores(0.0, 0.0, 0.0)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_frame_rate_must_be_above_zero(rate):
    with pytest.raises(ValueError, match=r"must be above 0, MT3's is 62\.5"):
        frame_scores(empty_notes(), empty_notes(), frames_per_second=rate)


def test_unsound_notes_are_refused():
    with pytest.raises(ValueError, match="note 0 has pitch 128"):
        frame_scores(np.zeros(0, NOTE_DTYPE), make_notes(0.0, 1.0, 128))


def test_frames_of_the_pedal_by_hand():
    counts = count_pedal_frames([[0.0, 1.0], [2.0, 2.5]], [[0.5, 1.25], [2.0, 2.5]])
    assert (counts.matched, counts.reference, counts.estimate) == (100, 150, 125)
    assert count_pedal_frames([], []) == MatchCounts()
    assert count_pedal_frames([[0.0, 1.0]], np.zeros((0, 2))).scores().f1 == 0
    # Rows may overlap, as those of two pianos, and touch.
    assert count_pedal_frames([[0.0, 0.6], [0.4, 0.8], [0.8, 1.0]], [[0.0, 1.0]]).scores().f1 == 1


@pytest.mark.parametrize("pedal", [[[1.0, 0.5]], [[-1.0, 0.5]], [[0.0, float("inf")]]])
def test_a_pedal_that_cannot_be_is_refused(pedal):
    with pytest.raises(ValueError, match="it must be rows of seconds, down, then up, from 0 on"):
        count_pedal_frames(pedal, [[0.0, 1.0]])
