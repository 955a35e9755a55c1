"""Examples that are drawn: their targets say what is heard."""

import numpy as np

from mt3x.data.examples import notes_as_written
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes

VIOLIN, VIOLA, PIANO = 40, 41, 0


def columns(notes):
    return list(
        zip(*(notes[name].tolist() for name in ("start", "end", "pitch", "program", "is_drum")), strict=True)
    )


def test_a_unison_of_one_class_is_written_as_one_note_and_other_notes_stay():
    notes = make_notes(
        [0.50, 0.53, 0.50, 1.00, 1.02],
        [0.90, 0.80, 0.80, 1.10, 1.12],
        [60, 60, 60, 38, 38],
        program=[VIOLIN, VIOLA, PIANO, 0, 0],
        is_drum=[False, False, False, True, True],
    )
    written = notes_as_written(notes, Granularity.MIDI_CLASS)
    assert columns(written) == [
        (0.50, 0.80, 60, PIANO, False),
        (0.50, 0.90, 60, VIOLIN, False),
        (1.00, 1.02, 38, 0, True),
        (1.02, 1.12, 38, 0, True),
    ]


def test_a_later_strike_by_the_same_class_ends_the_note():
    notes = make_notes([0.5, 0.7], [1.0, 0.9], 60, program=[VIOLIN, VIOLA])
    assert columns(notes_as_written(notes, Granularity.MIDI_CLASS)) == [
        (0.5, 0.7, 60, VIOLIN, False),
        (0.7, 0.9, 60, VIOLIN, False),
    ]


def test_instruments_written_in_full_keep_their_own_notes():
    notes = make_notes([0.5, 0.5], [1.0, 0.9], 60, program=[VIOLIN, VIOLA])
    assert len(notes_as_written(notes, Granularity.FULL)) == 2
    assert np.array_equal(notes_as_written(notes, Granularity.FLAT)["end"], [1.0])
