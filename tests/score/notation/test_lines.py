"""Voices fill their measures with chords and rests."""

import dataclasses

from mt3x.score.notation.lines import frames, lines_of, written_measure
from tests.score.pieces import DIVS, part, score, voice


def measures_of(whole, staff: int = 1) -> list[list[str]]:
    """For each measure what its voices write: names of values, `r` rests, `(r` hidden ones, `~` tied back."""
    lines = lines_of(whole.parts[0])
    return [
        [
            " ".join(
                ("(" if event.is_hidden else "")
                + ("r" if not event.notes else "")
                + ("~" if event.ties_back else "")
                + event.value.name
                + "." * event.value.dots
                for event in line.events
            )
            for line in written_measure(lines, staff, frame, whole.divs_per_quarter)
        ]
        for frame in frames(whole)
    ]


def test_notes_are_tied_across_bar_lines():
    assert measures_of(score(part(voice("C4:3 D4:5")), num_measures=2)) == [["half. quarter"], ["~whole"]]


def test_ties_know_both_of_their_ends():
    whole = score(part(voice("C4:6")), num_measures=2)
    written = [written_measure(lines_of(whole.parts[0]), 1, frame, DIVS)[0] for frame in frames(whole)]
    ties = [(event.ties_back, event.ties_on) for line in written for event in line.events]
    assert ties == [(False, True), (True, False), (False, False)]


def test_a_measure_without_notes_has_a_rest_in_the_first_voice_only():
    whole = score(part(voice("C4:4"), voice("E4:4", voice=2)), num_measures=2)
    assert measures_of(whole) == [["whole", "whole"], ["rwhole"]]
    assert written_measure(lines_of(whole.parts[0]), 1, frames(whole)[1], DIVS)[0].is_empty


def test_a_staff_without_notes_rests():
    whole = score(part(voice("C3:4", voice=3, staff=2)))
    assert measures_of(whole) == [["rwhole"]] and measures_of(whole, staff=2) == [["whole"]]
    assert measures_of(score(part())) == [["rwhole"]]


def test_rests_around_a_second_voice_are_hidden():
    whole = score(part(voice("C5:4"), voice("r:1 E4:1 r:1 E4:1/2", voice=2)))
    assert measures_of(whole) == [["whole", "(rquarter quarter rquarter eighth (reighth"]]


def test_pickups_are_counted_from_the_bar_line():
    whole = score(part(voice("C5:3/2 D5:4")), pickup_quarters="3/2")
    first, second = frames(whole)
    assert (first.origin, first.start, first.end, first.is_pickup) == (-60, 0, 36, True)
    assert (second.origin, second.start, second.is_pickup) == (36, 36, False)
    assert measures_of(whole) == [["quarter."], ["whole"]]


def test_signatures_hold_until_the_next():
    whole = score(part(), num_measures=3, key=2)
    whole = dataclasses.replace(
        whole, time_signatures=((0, 4, 4), (192, 2, 2)), key_signatures=((0, 2), (96, -1))
    )
    assert [(f.beats, f.beat_type, f.fifths) for f in frames(whole)] == [(4, 4, 2), (4, 4, -1), (2, 2, -1)]


def test_grace_notes_stand_before_chords_and_rests():
    whole = score(part(voice("C4:1 B3:0 C4:1 r:1 D4:0")))
    (line,) = written_measure(lines_of(whole.parts[0]), 1, frames(whole)[0], DIVS)
    found = [(event.value.name, len(event.graces), bool(event.notes)) for event in line.events]
    assert found == [("quarter", 0, True), ("quarter", 1, True), ("quarter", 0, False), ("quarter", 1, False)]
