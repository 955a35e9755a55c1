"""A score is played as it is written."""

import dataclasses

import numpy as np
import pytest

from mt3x.music.tempo_map import TempoMap
from mt3x.score.io.playing import GRACE_SECONDS, played_notes, score_tempo_map, seconds_at
from tests.score.pieces import DIVS, part, score, voice


def test_notes_are_played_at_their_tempo():
    whole = score(part(voice("C4:1 D4:2")), tempo=60.0)
    notes = played_notes(whole)
    assert notes[["start", "end", "pitch"]].tolist() == [(0.0, 1.0, 60), (1.0, 3.0, 62)]
    assert played_notes(dataclasses.replace(whole, tempos=()))["end"].tolist() == [0.5, 1.5]


def test_tempos_change_on_the_way_and_the_first_holds_from_the_start():
    whole = dataclasses.replace(score(part(voice("C4:4"))), tempos=((DIVS, 60.0), (2 * DIVS, 120.0)))
    divs = DIVS * np.arange(5)
    assert seconds_at(whole, divs).tolist() == [0.0, 1.0, 2.0, 2.5, 3.0]


def test_the_midi_tempo_map_holds_all_tempos_and_bars():
    whole = dataclasses.replace(
        score(part(voice("C4:1 D4:3 E4:2")), num_measures=2),
        measures=DIVS * np.array([[0, 1], [1, 4], [4, 6]]),  # a pickup, a bar, the rest of a bar
        time_signatures=((0, 3, 4),),
        key_signatures=((0, 2), (4 * DIVS, -1)),
        tempos=((DIVS, 60.0), (2 * DIVS, 120.0)),
    )
    assert score_tempo_map(whole) == TempoMap(
        ((0.0, 60.0), (1.0, 60.0), (2.0, 120.0)), ((0.0, 1, 4), (1.0, 3, 4)), ((0.0, 2), (4.0, -1))
    )
    slow = dataclasses.replace(whole, tempos=((0, 2.0),))
    with pytest.raises(ValueError, match="tempo is 2"):
        played_notes(slow)


def test_grace_notes_come_before_and_never_before_the_start():
    notes = played_notes(score(part(voice("B4:0 C5:1 D5:0 C5:1")), tempo=60.0))
    assert notes["start"].tolist() == pytest.approx([0.0, 0.0, 1 - GRACE_SECONDS, 1.0])
    assert sorted(notes["end"].tolist()) == pytest.approx([GRACE_SECONDS, 1.0, 1.0, 2.0])


def test_grace_notes_are_played_one_after_another_and_chords_of_them_together():
    notes = played_notes(score(part(voice("r:1 D5:0 B4+E4:0 C5:1")), tempo=60.0))
    first, second = 1 - 2 * GRACE_SECONDS, 1 - GRACE_SECONDS
    assert notes["start"].tolist() == pytest.approx([first, second, second, 1.0])
    assert notes["pitch"].tolist() == [74, 64, 71, 72]


def test_parts_keep_their_instruments():
    notes = played_notes(score(part(voice("C4:1"), program=40), part(voice("38:1"), is_drum=True)))
    assert notes[["pitch", "program", "is_drum"]].tolist() == [(60, 40, False), (38, 0, True)]
    assert not len(played_notes(score(part())))
