"""What is told of a mended file."""

from mt3x.music.smf.mending import Mending, describe


def test_all_is_told_in_one_line_of_sentences():
    assert describe({}) == describe({Mending.NO_END: 0}) == ""
    assert describe({Mending.UNRELEASED: 2}) == "2 notes were never released; they end with the track."
    assert describe({Mending.NO_LENGTH: 1, Mending.TRACK_COUNT: 1}) == (
        "the header gives a wrong number of tracks. 1 note lasts no time; it is left out."
    )
    everything = describe(dict.fromkeys(Mending, 3))
    assert everything.count(".") == len(Mending) and "{}" not in everything and "\n" not in everything
