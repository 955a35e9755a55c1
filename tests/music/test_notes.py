import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.music.notes import (
    NOTE_DTYPE,
    SUSTAIN_CONTROL,
    apply_sustain,
    empty_notes,
    make_notes,
    sort_notes,
    sustained_ends,
    total_seconds,
    trim_overlapping_notes,
    validate_notes,
)

GOLDEN = Path(__file__).parents[1] / "golden"
SEQUENCES = json.loads((GOLDEN / "tokenization.json").read_text())["sequences"]


def from_golden(sequence: dict) -> tuple[np.ndarray, np.ndarray]:
    """A NoteSequence's notes and their instrument numbers [N]."""
    columns = np.array(sequence["notes"], np.float64).reshape(-1, 7).T
    return make_notes(*columns[:6]), columns[6]


def random_notes(seed: int, count: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 100, count) / 10
    pitch, program, is_drum = rng.integers([60, 0, 0], [65, 3, 2], (count, 3)).T
    return make_notes(start, start + rng.integers(0, 20, count) / 10, pitch, 100, program, is_drum)


# -- Parity with note-seq and MT3 ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES)
def test_sustain_equals_note_seq(name):
    notes, instruments = from_golden(SEQUENCES[name]["ns"])
    expected, _ = from_golden(SEQUENCES[name]["ns_after_sustain"])
    changes = np.reshape(SEQUENCES[name]["ns"].get("control_changes", []), (-1, 4))
    pedal = changes[changes[:, 1] == SUSTAIN_CONTROL]
    for instrument in np.unique(instruments):
        mine = instruments == instrument
        notes[mine] = apply_sustain(notes[mine], pedal[pedal[:, 3] == instrument][:, [0, 2]])
    np.testing.assert_array_equal(notes, expected)


@pytest.mark.parametrize("name", SEQUENCES)
def test_trimming_equals_mt3(name):
    notes, _ = from_golden(SEQUENCES[name]["ns_after_sustain"])
    expected, _ = from_golden(SEQUENCES[name]["trimmed"])
    np.testing.assert_array_equal(trim_overlapping_notes(notes), sort_notes(expected))


# -- Sustain ------------------------------------------------------------------------------------------------


def ends(notes, pedal):
    return apply_sustain(notes, pedal)["end"].tolist()


def test_pedal_down_holds_a_note_until_it_is_lifted():
    assert ends(make_notes(0.0, 1.0, 60), [(0.5, 127), (3.0, 0)]) == [3.0]


def test_pedal_value_of_64_is_down_and_63_is_up():
    assert ends(make_notes(0.0, 1.0, 60), [(0.5, 64), (2.0, 63), (3.0, 0)]) == [2.0]
    assert ends(make_notes(0.0, 1.0, 60), [(0.5, 63), (3.0, 0)]) == [1.0]


def test_pedal_pressed_after_the_release_does_nothing():
    assert ends(make_notes(0.0, 1.0, 60), [(1.5, 127), (3.0, 0)]) == [1.0]


def test_pedal_that_moves_at_the_release_counts_as_moved_before():
    assert ends(make_notes(0.0, 1.0, 60), [(1.0, 127), (3.0, 0)]) == [3.0]
    assert ends(make_notes(0.0, 1.0, 60), [(0.5, 127), (1.0, 0)]) == [1.0]


def test_held_note_ends_where_its_pitch_is_struck_again():
    notes = make_notes([0.0, 2.0], [1.0, 2.5], 60)
    assert ends(notes, [(0.5, 127), (3.0, 0)]) == [2.0, 3.0]


def test_note_struck_again_under_the_pedal_before_its_release_ends_there():
    notes = make_notes([0.0, 1.0], [3.0, 1.5], 60)
    assert ends(notes, [(0.5, 127), (4.0, 0)]) == [1.0, 4.0]
    # Struck again with the pedal up, it goes on.
    assert ends(notes, [(2.0, 127), (4.0, 0)]) == [4.0, 1.5]


def test_pedal_that_is_never_lifted_holds_to_the_end_of_the_music():
    assert ends(make_notes([0.0, 2.0], [1.0, 4.0], [60, 62]), [(0.5, 127)]) == [4.0, 4.0]


def test_pedal_leaves_drums_alone():
    notes = make_notes(0.0, 1.0, [36, 60], is_drum=[True, False])
    assert ends(notes, [(0.5, 127), (3.0, 0)]) == [1.0, 3.0]


def test_pedal_events_may_come_in_any_order():
    assert ends(make_notes(0.0, 1.0, 60), [(3.0, 0), (0.5, 127)]) == [3.0]


@pytest.mark.parametrize("notes", [empty_notes(), make_notes(0.0, 1.0, 60)])
def test_sustain_of_nothing_changes_nothing(notes):
    np.testing.assert_array_equal(apply_sustain(notes, []), notes)
    np.testing.assert_array_equal(apply_sustain(empty_notes(), [(0.0, 127)]), empty_notes())


def test_sustain_only_lengthens_notes_that_do_not_overlap_and_leaves_its_input_alone():
    notes = random_notes(seed=0)
    notes["program"], notes["is_drum"] = 0, False
    notes = trim_overlapping_notes(notes)
    before = notes.copy()
    sustained = apply_sustain(notes, [(1.0, 100), (4.0, 10), (5.0, 100), (5.2, 0)])
    assert (sustained["end"] >= notes["end"]).all()
    assert (sustained["end"] > notes["end"]).any()
    np.testing.assert_array_equal(notes, before)


def test_many_instruments_are_held_as_each_alone():
    notes, rng = random_notes(seed=2, count=200), np.random.default_rng(2)
    instrument = notes["program"].astype(np.int64)
    pedal = np.stack([rng.integers(0, 120, 30) / 10, rng.integers(0, 2, 30) * 127], axis=1)
    number = rng.integers(0, 2, 30)
    pedal_of = np.array([1, -1, 1])  # of two instruments, one for both; the third has none
    ends, stays = sustained_ends(notes, instrument, pedal_of[instrument], pedal, number)
    for one in range(3):
        mine = instrument == one
        alone = apply_sustain(notes[mine], pedal[number == pedal_of[one]])
        np.testing.assert_array_equal(ends[mine & stays], alone["end"])
        np.testing.assert_array_equal(notes["velocity"][mine & stays], alone["velocity"])


# -- Trimming -----------------------------------------------------------------------------------------------


def test_note_ends_at_the_next_onset_of_its_pitch():
    notes = make_notes([0.0, 1.0, 0.0], [2.0, 3.0, 2.0], [60, 60, 64], program=[0, 0, 0])
    assert trim_overlapping_notes(notes)[["start", "end"]].tolist() == [(0.0, 1.0), (0.0, 2.0), (1.0, 3.0)]


def test_notes_of_another_program_or_of_drums_do_not_cut():
    notes = make_notes([0.0, 1.0, 1.5], [2.0, 3.0, 3.0], 60, program=[0, 40, 0], is_drum=[0, 0, 1])
    np.testing.assert_array_equal(trim_overlapping_notes(notes), notes)


def test_notes_cut_to_nothing_are_dropped():
    notes = make_notes([0.0, 0.0, 1.0], [1.0, 2.0, 1.0], 60)
    assert trim_overlapping_notes(notes)[["start", "end"]].tolist() == [(0.0, 1.0)]


def test_trimmed_notes_never_overlap_and_trimming_twice_changes_nothing():
    trimmed = trim_overlapping_notes(random_notes(seed=1))
    for key in {row[2:] for row in trimmed[["start", "end", "pitch", "program", "is_drum"]].tolist()}:
        pitch, program, is_drum = key
        mine = (trimmed["pitch"] == pitch) & (trimmed["program"] == program) & (trimmed["is_drum"] == is_drum)
        assert (trimmed["end"][mine][:-1] <= trimmed["start"][mine][1:]).all()
    assert (trimmed["end"] > trimmed["start"]).all()
    np.testing.assert_array_equal(trim_overlapping_notes(trimmed), trimmed)


def test_trimming_nothing_gives_nothing():
    assert len(trim_overlapping_notes(empty_notes())) == 0


# -- Making, sorting, validating ----------------------------------------------------------------------------


def test_scalars_hold_for_every_note():
    notes = make_notes([0.0, 1.0], 2.0, [60, 64])
    assert notes.dtype == NOTE_DTYPE
    assert notes.tolist() == [(0.0, 2.0, 60, 100, 0, False), (1.0, 2.0, 64, 100, 0, False)]


def test_one_note_may_be_all_scalars():
    assert make_notes(0.0, 1.0, 60).shape == (1,)


def test_order_is_start_drum_program_pitch_end():
    rows = [
        (0.0, 1.0, 62, 1, 5, False),
        (0.0, 1.0, 60, 1, 6, False),
        (0.0, 2.0, 60, 1, 6, False),
        (0.0, 1.0, 36, 1, 0, True),
        (0.5, 1.0, 20, 1, 0, False),
    ]
    notes = np.array(rows, NOTE_DTYPE)
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(notes)
        np.testing.assert_array_equal(sort_notes(shuffled), notes)


def test_total_is_the_latest_end():
    assert total_seconds(make_notes([0.0, 1.0], [5.0, 2.0], 60)) == 5.0
    assert total_seconds(empty_notes()) == 0.0


def test_sound_notes_pass_as_they_are():
    notes = make_notes([0.0, 1.0], [0.0, 2.0], [0, 127], [1, 127], [0, 127])
    assert validate_notes(notes) is notes
    assert len(validate_notes(empty_notes())) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": -0.1}, r"note 1 lasts from -0\.1 to 2\.0 s"),
        ({"end": 0.5}, r"note 1 lasts from 1\.0 to 0\.5 s"),
        ({"end": float("nan")}, r"note 1 lasts from 1\.0 to nan s"),
        ({"end": float("inf")}, r"note 1 lasts from 1\.0 to inf s"),
        ({"start": float("-inf")}, r"note 1 lasts from -inf to 2\.0 s"),
        ({"pitch": 128}, r"note 1 has pitch 128; it must be within 0\.\.127"),
        ({"velocity": 0}, r"note 1 has velocity 0; it must be within 1\.\.127"),
        ({"program": -1}, r"note 1 has program -1; it must be within 0\.\.127"),
    ],
)
def test_unsound_note_is_named_by_its_position(change, message):
    notes = make_notes([0.0, 1.0], [1.0, 2.0], 60)
    for name, value in change.items():
        notes[name][1] = value
    with pytest.raises(ValueError, match=message):
        validate_notes(notes)


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ([1, 2], "got list"),
        (np.zeros(3), r"got float64 of shape \[3\]"),
        (np.zeros((2, 2), NOTE_DTYPE), r"of shape \[2, 2\]"),
    ],
)
def test_what_is_not_notes_is_refused(value, description):
    with pytest.raises(ValueError, match=rf"1-D array of NOTE_DTYPE, .*{description}"):
        validate_notes(value)


def test_of_notes_struck_together_under_the_pedal_the_last_one_stays():
    notes = make_notes([1.0, 1.0], [1.5, 1.2], [60, 60], [80, 90])
    assert apply_sustain(notes, [[0.5, 127], [2.0, 0]])["velocity"].tolist() == [90]


def test_a_pedal_that_goes_down_and_up_at_once_is_up():
    notes = make_notes(0.0, 1.0, 60)
    assert apply_sustain(notes, [[0.5, 0], [0.5, 127], [3.0, 0]])["end"].tolist() == [1.0]
