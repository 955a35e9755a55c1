"""Scores read from files of every format, and from addresses."""

import sys
from pathlib import Path

import numpy as np
import pytest

import mt3x.score.io.partitura_reading
import mt3x.score.io.reading
from mt3x.score.graphs.note_arrays import notes_of_score
from mt3x.score.io.partitura_import import import_partitura
from mt3x.score.io.reading import load_midi_to_graph, read_score
from tests.music.smf.smf_bytes import END, midi_file, note
from tests.score.graphs.graph_goldens import read_golden

TUNE = """X:1
T:Two bars
M:3/4
L:1/8
K:D
A2|d2f2a2|^g4 e2|
"""


def example(suffix):
    """partitura's own example: A held for a bar of 4/4, C and E on its third beat."""
    return Path(str(import_partitura().EXAMPLE_MUSICXML)).with_suffix(suffix)


def test_musicxml_gives_the_graph_of_graphmuse():
    stored, notes = read_golden("pt_example")
    score = notes_of_score(read_score(example(".musicxml")))
    for name in set(notes.dtype.names) & set(score.note_array.dtype.names or ()):
        np.testing.assert_array_equal(score.note_array[name], notes[name], err_msg=name)
    np.testing.assert_array_equal(score.measures, stored["measures"])
    graph = score.graph()
    for edge_type, pairs in graph.edges.items():
        np.testing.assert_array_equal(pairs, stored["__".join(("edge", *edge_type))])
    np.testing.assert_array_equal(graph.features["note"], stored["x__note"])
    np.testing.assert_array_equal(graph.labels["spelling"], stored["y_pitch"])
    np.testing.assert_array_equal(graph.labels["key"], stored["y_key"])


@pytest.mark.parametrize("suffix", [".krn", ".mei"])
def test_kern_and_mei_hold_the_same_notes(suffix):
    score = notes_of_score(read_score(example(suffix)))
    assert score.note_array["onset_beat"].tolist() == [0, 2, 2]
    assert score.note_array["pitch"].tolist() == [69, 72, 76]
    assert score.note_array["step"].tolist() == ["A", "C", "E"]
    divs = score.note_array["divs_pq"][0]
    assert score.measures.tolist() == [[0, 4 * divs]]


def test_kern_gives_measures_signatures_and_grace_notes(tmp_path):
    path = tmp_path / "a.krn"
    path.write_text("**kern\n*M2/4\n*k[b-]\n=1\n4c\n8qd\n8qe\n4f\n=2\n[2g\n=3\n4g]\n4r\n==\n*-\n")
    score = read_score(path)
    divs = score.divs_per_quarter
    assert (score.measures // divs).tolist() == [[0, 2], [2, 4], [4, 6]]
    assert (score.time_signatures, score.key_signatures) == (((0, 2, 4),), ((0, -1),))
    notes = score.parts[0].notes
    assert (notes["onset_div"] // divs).tolist() == [0, 1, 1, 1, 2]
    assert (notes["duration_div"] // divs).tolist() == [1, 0, 0, 1, 3]
    assert "".join(notes["step"]) == "CDEFG"
    assert notes["grace"].tolist() == [0, 2, 1, 0, 0]


def test_kern_of_rests_alone_is_an_error(tmp_path):
    (tmp_path / "a.krn").write_text("**kern\n*M2/4\n=1\n2r\n==\n*-\n")
    with pytest.raises(ValueError, match="a.krn can't be read: .*it has no notes"):
        read_score(tmp_path / "a.krn")


def test_midi_is_read_from_a_path_or_an_address_and_not_spelled():
    path = example(".mid")
    by_path = load_midi_to_graph(path)
    by_address = load_midi_to_graph(path.as_uri(), add_beats=True, add_measures=True)
    assert by_path.note_array["pitch"].tolist() == [69, 72, 76]
    assert by_path.metadata()[0] == ["note"] and not by_path.labels
    assert by_address.metadata()[0] == ["note", "measure", "beat"]
    np.testing.assert_array_equal(by_path.features["note"], by_address.features["note"])


def test_midi_has_a_grid_of_its_own(tmp_path):
    conductor = "00 ff580403021808 00 ff5902fd00 8b20 ff580402031808" + END  # 3/4, after 1,440 ticks 2/8
    voices = note(60) + note(62, channel=3) + "8360" + note(64)[2:] + "00 90 415a 00 80 4100" + END
    horn = "00 ff59020100" + note(67) + "00 99245a 892400" + END
    path = tmp_path / "a.kar"
    path.write_bytes(midi_file(conductor, voices, horn, num_tracks=9))
    score = notes_of_score(read_score(path))
    names = ["onset_div", "duration_div", "pitch", "part", "voice", "ks_fifths", "ts_beats", "ts_beat_type"]
    assert score.note_array[names].tolist() == [
        (0, 480, 60, 0, 1, -3, 3, 4),
        (0, 480, 67, 1, 1, -3, 3, 4),  # of the horn's own key a score knows nothing
        (480, 480, 62, 0, 2, -3, 3, 4),
        (1440, 480, 64, 0, 1, -3, 2, 8),
    ]
    assert score.note_array["onset_beat"].tolist() == [0, 0, 1, 3]
    assert score.note_array["duration_beat"].tolist() == [1, 1, 1, 2]
    assert set(score.note_array["divs_pq"]) == {480} and not (score.note_array["step"] != "").any()
    assert score.measures.tolist() == [[0, 1440], [1440, 1920]]


def test_midi_without_signatures_is_in_common_time(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(midi_file("8740" + note(60)[2:] + note(62) + note(64) + END))
    score = notes_of_score(read_score(path))
    assert score.note_array["onset_beat"].tolist() == [2, 3, 4]
    assert score.measures.tolist() == [[0, 1920], [1920, 2400]]


def test_midi_that_is_no_score_is_an_error(tmp_path):
    path = tmp_path / "a.mid"
    for content, reason in (
        (midi_file(note(36, channel=9) + END), "a.mid can't be read: it has no pitched notes"),
        (midi_file("8fffffff7f" + note(60)[2:] + END), "it has 2236963 measures of 4/4, more than 1000000"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason):
            read_score(path)


def test_abc_gives_a_spelled_tune_with_a_pickup(tmp_path):
    path = tmp_path / "tune.abc"
    path.write_text(TUNE)
    score = notes_of_score(read_score(path))
    assert score.note_array["onset_beat"].tolist() == [-1, 0, 1, 2, 3, 5]
    assert score.note_array["step"].tolist() == list("ADFAGE")
    assert score.note_array["alter"].tolist() == [0, 0, 1, 0, 1, 0]
    assert set(score.note_array["ks_fifths"]) == {2} and set(score.note_array["ts_beats"]) == {3}
    quarter = score.note_array["divs_pq"][0]
    assert score.measures.tolist() == [[0, quarter], [quarter, 4 * quarter], [4 * quarter, 7 * quarter]]
    assert score.graph().num_nodes("measure") == 3


def test_several_tunes_in_a_file_are_an_error(tmp_path):
    path = tmp_path / "tunes.abc"
    path.write_text(TUNE + "\n" + TUNE.replace("X:1", "X:2"))
    with pytest.raises(ValueError, match="holds 2 tunes"):
        read_score(path)


PART = """<part id="{0}"><measure number="1"><attributes><divisions>{1}</divisions><time><beats>2</beats>
<beat-type>4</beat-type></time></attributes>{2}</measure></part>"""
NOTE = "<note><pitch><step>{0}</step><octave>4</octave></pitch><duration>{1}</duration></note>"


def test_parts_of_different_divisions_meet(tmp_path):
    parts = [
        PART.format("P1", 2, NOTE.format("C", 2) + NOTE.format("D", 2)),
        PART.format("P2", 3, NOTE.format("E", 3) + "<forward><duration>3</duration></forward>"),
        PART.format("P3", 1, "<forward><duration>2</duration></forward>"),
    ]
    names = "".join(f'<score-part id="P{n}"><part-name>{n}</part-name></score-part>' for n in (1, 2, 3))
    path = tmp_path / "parts.musicxml"
    path.write_text(
        f'<score-partwise version="4.0"><part-list>{names}</part-list>{"".join(parts)}</score-partwise>'
    )
    score = notes_of_score(read_score(path))
    notes = score.note_array[["onset_div", "duration_div", "pitch", "part", "divs_pq"]]
    assert notes.tolist() == [(0, 6, 60, 0, 6), (0, 6, 64, 1, 6), (6, 6, 62, 0, 6)]
    assert score.measures.tolist() == [[0, 12]]


def test_files_that_are_not_what_they_say_are_errors(tmp_path):
    for name, content in (("a.musicxml", "<a><b>"), ("a.mid", "x"), ("a.abc", "")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=f"{name} can't be read"):
            read_score(tmp_path / name)
    empty = PART.format("P1", 1, "<forward><duration>2</duration></forward>")
    head = '<part-list><score-part id="P1"><part-name>1</part-name></score-part></part-list>'
    (tmp_path / "b.musicxml").write_text(f'<score-partwise version="4.0">{head}{empty}</score-partwise>')
    with pytest.raises(ValueError, match="no pitched notes"):
        notes_of_score(read_score(tmp_path / "b.musicxml"))


def test_absent_and_unknown_files_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.mid is no file"):
        read_score(tmp_path / "none.mid")
    with pytest.raises(ValueError, match="ends in '.txt'; scores are read from .mxl"):
        read_score("score.txt")
    with pytest.raises(ValueError, match="no MIDI file by its name"):
        load_midi_to_graph(tmp_path / "score.musicxml")
    with pytest.raises(OSError, match="none.mid"):
        load_midi_to_graph((tmp_path / "none.mid").as_uri())


def test_large_downloads_are_refused(tmp_path, monkeypatch):
    (tmp_path / "large.mid").write_bytes(bytes(11))
    monkeypatch.setattr(mt3x.score.io.reading, "MAX_DOWNLOAD_BYTES", 10)
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        load_midi_to_graph((tmp_path / "large.mid").as_uri())


def test_a_missing_music21_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "tune.abc").write_text(TUNE)
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(ImportError, match=r"mt3x\[score\]"):
        read_score(tmp_path / "tune.abc")


def test_divisions_without_a_small_common_multiple_are_an_error(monkeypatch):
    monkeypatch.setattr(mt3x.score.io.partitura_reading, "MAX_DIVS_PER_QUARTER", 1)
    with pytest.raises(ValueError, match="divs per quarter in common, more than 1"):
        read_score(example(".krn"))
