"""What a reader may give: sound recordings, and an error that says how one is not."""

import dataclasses

import numpy as np
import pytest

from mt3x.data.records.recordings import SAMPLE_RATE, DataError, Item, Recording, Stem, check_recording
from mt3x.music.notes import empty_notes, make_notes

SECOND = np.zeros(SAMPLE_RATE, np.float32)
NOTE = make_notes(0.1, 0.9, 60)
UNSORTED = make_notes([0.5, 0.1], [0.6, 0.2], 60)
ITEM = Item("x", "train", ())


def one_stem(samples=SECOND, notes=NOTE, **changes):
    recording = Recording("x", "train", (Stem("mix", samples, notes),))
    return dataclasses.replace(recording, **changes)


def test_a_sound_recording_is_given_back():
    two = Stem("a", SECOND, NOTE), Stem("silence", SECOND, empty_notes())
    for recording in (one_stem(), one_stem(stems=two, mixes=((0,), (1, 0)))):
        assert check_recording(recording, ITEM) is recording
    up_to_the_end = make_notes(0.0, 1.0, 60)
    check_recording(one_stem(notes=up_to_the_end), ITEM)


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (one_stem(id="y"), r"was read as \('y', 'train'\); it must be \('x', 'train'\)"),
        (one_stem(stems=()), "has no stems"),
        (
            one_stem(stems=(Stem("a", SECOND, NOTE), Stem("b", SECOND[:-1], NOTE))),
            r"\[15999, 16000\] samples",
        ),
        (one_stem(SECOND[:0], empty_notes()), r"stems have \[0\] samples"),
        (one_stem(mixes=()), r"mixes are \(\)"),
        (one_stem(mixes=((),)), r"mixes are \(\(\),\)"),
        (one_stem(mixes=((0, 1),)), "each must name some of 1 stems"),
        (one_stem(SECOND.astype(np.float64)), r"stem 'mix': samples are float64 \[16000\]"),
        (one_stem(np.full(SAMPLE_RATE, np.nan, np.float32)), "some samples are not finite"),
        (one_stem(notes=make_notes(0.9, 0.1, 60)), r"note 0 lasts from 0\.9 to 0\.1 s"),
        (one_stem(notes=UNSORTED), "notes are not sorted"),
        (one_stem(notes=make_notes(0.1, 1.1, 60)), r"a note ends at 1\.1 s, after the audio's 1\.0 s"),
    ],
)
def test_a_recording_that_is_not_what_it_must_be_is_an_error(recording, reason):
    with pytest.raises(DataError, match=reason):
        check_recording(recording, ITEM)
