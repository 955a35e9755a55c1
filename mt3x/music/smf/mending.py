"""What can be wrong with a MIDI file that is read all the same: kinds of mending, counted, and told.

The values of `Mending` are the sentences, for one and for several.
"""

import enum
from collections.abc import Mapping


class MidiError(ValueError):
    """A file that cannot be read as MIDI; the message names it and says why."""


class Mending(enum.Enum):
    """A kind of mending, in the order in which they are told."""

    TRACK_COUNT = ("the header gives a wrong number of tracks",) * 2
    TRACK_LENGTH = "1 track is not as long as it says", "{} tracks are not as long as they say"
    NO_END = "1 track has no end", "{} tracks have no end"
    CUT = (
        "1 track is cut short or damaged; what follows in it is lost",
        "{} tracks are cut short or damaged; what follows in them is lost",
    )
    SKIPPED_BYTES = (
        "1 byte belongs to no event; it is passed over",
        "{} bytes belong to no event; they are passed over",
    )
    WRONG_VALUE = (
        "1 event holds a value that MIDI does not allow; it is changed or passed over",
        "{} events hold values that MIDI does not allow; they are changed or passed over",
    )
    LONG_DELTA = (
        "1 delta time is longer than MIDI allows; the file may be damaged",
        "{} delta times are longer than MIDI allows; the file may be damaged",
    )
    UNRELEASED = (
        "1 note was never released; it ends with the track",
        "{} notes were never released; they end with the track",
    )
    NO_LENGTH = "1 note lasts no time; it is left out", "{} notes last no time; they are left out"


def describe(mended: Mapping[Mending, int]) -> str:
    """All in one line of sentences; "" where nothing was mended.

    >>> describe({Mending.UNRELEASED: 2, Mending.NO_END: 1})
    '1 track has no end. 2 notes were never released; they end with the track.'
    """
    sentences = []
    for kind in Mending:
        if count := mended.get(kind, 0):
            sentence = kind.value[count > 1].format(count)
            sentences.append(f"{sentence[0].upper()}{sentence[1:]}." if sentences else f"{sentence}.")
    return " ".join(sentences)
