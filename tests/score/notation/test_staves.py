"""Parts as their players read them."""

import dataclasses

from mt3x.score.notation.accidentals import Shown
from mt3x.score.notation.engraving import BASS, TREBLE
from mt3x.score.notation.staves import WrittenPart, WrittenPitch
from tests.score.pieces import part, score, voice


def test_accidentals_go_by_time_over_the_voices_of_a_staff():
    whole = score(part(voice("C5:3 F#4:1"), voice("F#4:1 C4:3", voice=2)))
    written = WrittenPart(whole.parts[0], whole)
    sharps = [i for i, pitch in enumerate(written.pitches) if pitch.alter]
    assert [written.shown[i] for i in sharps] == [Shown.YES, Shown.NO]


def test_accidentals_of_one_staff_do_not_count_on_another():
    whole = score(part(voice("F#4:4"), voice("r:1 F#4:3", voice=3, staff=2)))
    assert WrittenPart(whole.parts[0], whole).shown == [Shown.YES, Shown.YES]


def test_a_tied_note_needs_no_second_accidental_but_the_next_does():
    whole = score(part(voice("F#4:6 F#4:2")), num_measures=2)
    assert WrittenPart(whole.parts[0], whole).shown == [Shown.YES, Shown.YES]


def test_a_horn_reads_a_fifth_higher_and_one_sharp_more():
    horn = score(part(voice("F4:4"), program=60), key=-1)
    written = WrittenPart(horn.parts[0], horn)
    assert written.pitches == [WrittenPitch("C", 0, 5)] and written.written_key(-1) == 0


def test_a_key_that_no_interval_saves_is_written_enharmonically():
    whole = score(part(voice("C4:4"), program=65), num_measures=2)
    whole = dataclasses.replace(whole, key_signatures=((0, 7), (96, -7)))
    written = WrittenPart(whole.parts[0], whole)
    assert [written.written_key(fifths) for fifths in (7, -7)] == [-2, -4]


def test_clefs_follow_the_written_pitch():
    bass = score(part(voice("C3:4"), program=33))
    assert WrittenPart(bass.parts[0], bass).pitches == [WrittenPitch("C", 0, 4)]
    piano = score(part(voice("C5:4"), voice("C3:4", voice=3, staff=2)))
    assert WrittenPart(piano.parts[0], piano).clefs == {1: [TREBLE], 2: [BASS]}


def test_drums_have_no_pitches():
    drums = score(part(voice("36:4"), is_drum=True))
    assert WrittenPart(drums.parts[0], drums).pitches == []
