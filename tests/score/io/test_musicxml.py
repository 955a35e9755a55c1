"""Written MusicXML is valid, complete, and says what the score says."""

import dataclasses
import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from mt3x.score.io.musicxml import compress_musicxml, musicxml_bytes
from mt3x.score.notation.writing import empty_score
from mt3x.score.score import Score, make_score_notes
from tests.score.io.musicxml_checks import check, schema_errors
from tests.score.pieces import DIVS, alla_turca, ensemble, part, score, voice


def written(whole: Score, **names: str) -> ElementTree.Element:
    return ElementTree.fromstring(musicxml_bytes(whole, **names))


def column(root: ElementTree.Element, tag: str) -> list[str]:
    return [element.text or "" for element in root.iter(tag)]


@pytest.mark.parametrize("make", [alla_turca, ensemble, empty_score])
def test_what_is_written_is_valid_and_complete(make):
    check(musicxml_bytes(make(), "A title", "A composer"))


def test_the_schema_can_fail():
    broken = musicxml_bytes(alla_turca()).replace(b"<voice>1</voice>", b"<voice>1</voice><sound/>", 1)
    assert "sound" in schema_errors(broken)[0]


def test_the_same_score_gives_the_same_bytes():
    assert musicxml_bytes(ensemble(), "T", "C") == musicxml_bytes(ensemble(), "T", "C")


def test_a_pickup_is_measure_0_and_its_other_hand_rests():
    root = written(alla_turca())
    first = root.findall("part/measure")[0]
    assert (first.get("number"), first.get("implicit")) == ("0", "yes")
    assert root.findall("part/measure")[1].get("number") == "1"
    assert first.findall("note")[-1].findtext("type") == "quarter"
    assert [clef.findtext("sign") for clef in root.iter("clef")] == ["G", "F"]


def test_title_and_composer_are_for_programs_and_for_the_page():
    root = written(alla_turca(), title="Alla turca", composer="Mozart & Co")
    assert root.findtext("work/work-title") == "Alla turca"
    assert column(root, "creator") == ["Mozart & Co"]
    assert column(root, "credit-words") == ["Alla turca", "Mozart & Co"]
    assert not list(written(alla_turca()).iter("credit"))


def test_metronome_marks_count_the_beats_of_the_metre():
    line = part(voice("C5:3/2 C5:3/2"))
    for metre, unit, count in (((6, 8), "quarter.", "60"), ((3, 4), "quarter", "90")):
        root = written(score(line, beats=metre[0], beat_type=metre[1], tempo=90.0))
        assert root.findtext(".//beat-unit", "") + "." * len(list(root.iter("beat-unit-dot"))) == unit
        assert root.findtext(".//per-minute") == count
        assert [sound.get("tempo") for sound in root.iter("sound")] == ["90"]
    half = written(score(part(voice("C5:4")), beats=2, beat_type=2, tempo=90.0))
    assert (half.findtext(".//beat-unit"), half.findtext(".//per-minute")) == ("half", "45")


def test_a_tempo_inside_a_measure_stands_where_it_begins():
    whole = dataclasses.replace(score(part(voice("C5:4"))), tempos=((0, 60.0), (DIVS, 72.5)))
    measure = written(whole).findall("part/measure")[0]
    tags = [element.tag for element in measure]
    assert tags[1:6] == ["direction", "forward", "direction", "backup", "note"]
    check(musicxml_bytes(whole))


def test_a_clef_changes_before_the_bar_line():
    low = "C3:1 " * 4
    cello = part(voice(f"{low} | C6:1 D6:1 E6:1 F6:1 | {low}"), name="Cello", program=42)
    content = musicxml_bytes(score(cello, num_measures=3))
    measures = ElementTree.fromstring(content).findall("part/measure")
    assert [column(measure, "sign") for measure in measures] == [["F", "G"], ["F"], []]
    assert [measure[-1].tag for measure in measures] == ["attributes", "attributes", "barline"]
    check(content)


def test_transposing_instruments_are_written_as_they_are_read():
    root = written(score(part(voice("Bb4:4"), name="Clarinet", program=71), key=-2))
    assert [column(root, tag) for tag in ("step", "alter", "octave", "fifths")] == [["C"], [], ["5"], ["0"]]
    assert [column(root, tag) for tag in ("diatonic", "chromatic")] == [["-1"], ["-2"]]


def test_a_transposed_key_with_too_many_sharps_is_written_in_flats():
    root = written(score(part(voice("F#4:4"), name="Clarinet", program=71), key=6))
    assert column(root, "fifths") == ["-4"]
    assert (column(root, "step"), column(root, "alter")) == (["A"], ["-1"])


def test_drums_have_places_and_heads_and_are_instruments_of_their_own():
    root = written(score(part(voice("36:1 38+42:1 46:1 77:1"), name="Drums", is_drum=True)))
    heads = [(n.findtext("unpitched/display-step"), n.findtext("notehead")) for n in root.iter("note")]
    assert heads == [("F", None), ("C", None), ("G", "x"), ("G", "circle-x"), ("G", "triangle")]
    assert column(root, "midi-unpitched") == ["37", "39", "43", "47", "78"]
    assert column(root, "instrument-name")[:2] == ["Bass Drum", "Snare"]
    assert set(column(root, "midi-channel")) == {"10"} and column(root, "sign") == ["percussion"]
    assert not column(root, "fifths")


def test_parts_have_channels_of_their_own_but_not_that_of_drums():
    parts = [part(voice("C4:4"), name=str(i), program=i) for i in range(16)]
    channels = column(written(score(*parts)), "midi-channel")
    assert channels == [str(i) for i in (*range(1, 10), *range(11, 17), 1)]


def test_one_grace_note_has_a_slash_and_several_a_beam():
    root = written(score(part(voice("B4:0 C5:2 D5:0 E5:0 F5:2"))))
    graces = [note for note in root.iter("note") if note.find("grace") is not None]
    assert [(g.findtext("type"), g.find("grace").get("slash")) for g in graces] == [
        ("eighth", "yes"),
        ("16th", None),
        ("16th", None),
    ]
    assert [beam.text for grace in graces for beam in grace.findall("beam")] == ["begin"] * 2 + ["end"] * 2


def test_triplets_have_a_bracket_unless_a_beam_shows_them():
    root = written(score(part(voice("C5:1/3 D5:1/3 E5:1/3 C5:2/3 r:1/3 C5:2"))))
    brackets = [t.get("bracket") for t in root.iter("tuplet") if t.get("type") == "start"]
    assert brackets == ["no", "yes"]
    assert {m.findtext("actual-notes") for m in root.iter("time-modification")} == {"3"}


def test_a_second_voice_hides_the_rests_around_it():
    root = written(score(part(voice("C5:4"), voice("r:1 E4:1/2 r:1/2 E4:1 r:1", voice=2))))
    rests = [note for note in root.iter("note") if note.find("rest") is not None]
    assert [rest.get("print-object") for rest in rests] == ["no", None, "no"]


def test_ties_between_divs_make_divs_finer():
    notes = make_score_notes([0], [9], 60, "C", 0, 4)
    line = dataclasses.replace(part(voice("C4:1")), notes=notes)
    whole = Score(2, (line,), score(line, num_measures=3).measures // 12, ((0, 9, 8),))
    check(musicxml_bytes(whole))


def test_a_compressed_file_holds_the_score_and_where_it_is():
    with zipfile.ZipFile(io.BytesIO(compress_musicxml(b"<x/>"))) as archive:
        assert archive.read("score.musicxml") == b"<x/>"
        assert b'full-path="score.musicxml"' in archive.read("META-INF/container.xml")
    assert compress_musicxml(b"<x/>") == compress_musicxml(b"<x/>")


def test_notes_without_names_are_refused():
    notes = make_score_notes([0], 4, 60)
    with pytest.raises(ValueError, match="note 0 of part 'Piano' is not spelled"):
        musicxml_bytes(score(dataclasses.replace(part(), notes=notes)))


def test_notes_of_one_voice_that_overlap_are_refused():
    with pytest.raises(ValueError, match="voice 1 on staff 1 of part 'Piano' has notes from div 0 to 48"):
        musicxml_bytes(score(part(voice("C4:2"), voice("r:1 D4:2"))))


def test_a_grace_note_inside_a_note_is_refused():
    with pytest.raises(ValueError, match="grace note at div 24, while a note sounds"):
        musicxml_bytes(score(part(voice("C4:2"), voice("r:1 D4:0"))))


def test_what_cannot_be_written_is_located():
    line = dataclasses.replace(part(), notes=make_score_notes([44], 1, 60, "C", 0, 4))
    with pytest.raises(ValueError, match="part 'Piano', measure 2: .*quantise the notes first"):
        musicxml_bytes(
            Score(
                11, (line,), np.array([[0, 44], [44, 88]], np.int64), ((0, 4, 4),)
            )  # elevenths of a quarter
        )
