"""What is written is read back; what others write is read too."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mt3x.score.io.musicxml import compress_musicxml, musicxml_bytes
from mt3x.score.io.musicxml_reading import MusicXmlError, musicxml_content, read_musicxml
from mt3x.score.notation.engraving import name_at, pitch_at
from mt3x.score.score import SCORE_NOTE_DTYPE, Part, Score, sort_score_notes
from tests.score.io.musicxml_checks import check
from tests.score.pieces import alla_turca, ensemble, part, score, voice


def read_back(whole: Score, folder, edit=lambda text: text) -> Score:
    path = folder / "score.musicxml"
    path.write_text(edit(musicxml_bytes(whole, "T", "C").decode()))
    return read_musicxml(path)


@pytest.mark.parametrize("make", [alla_turca, ensemble])
def test_a_score_is_read_as_it_was_written(make, tmp_path):
    assert read_back(make(), tmp_path) == make()


@st.composite
def scores(draw) -> Score:
    """Small scores: one staff or two, up to two voices each, triplets, chords, ties, graces, drums."""
    beats, beat_type = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 2)]))
    divs, num_measures = 12, draw(st.integers(1, 3))
    full = 4 * divs * beats // beat_type
    pickup = draw(st.sampled_from([0, divs]))
    starts = [*([0] if pickup else []), *(pickup + full * i for i in range(num_measures + 1))]
    parts = []
    for number in range(draw(st.integers(1, 2))):
        is_drum = draw(st.booleans()) and number == 1
        program = 0 if is_drum else draw(st.sampled_from([0, 40, 41, 43, 65, 71, 72]))
        rows = []
        for line in range(draw(st.integers(1, 3))):
            rows += draw(_line(starts[-1], line + 1, 1 if is_drum else 1 + line // 2, is_drum))
        notes = sort_score_notes(np.array(rows, SCORE_NOTE_DTYPE))
        parts.append(Part(f"Part {number}", program, is_drum, notes))
    is_keyed = not parts[0].is_drum
    return Score(
        divs,
        tuple(parts),
        np.array(list(zip(starts, starts[1:], strict=False)), np.int64),
        ((0, beats, beat_type),),
        ((0, draw(st.integers(-5, 4))),) if is_keyed else (),
        draw(st.sampled_from([(), ((0, 61.5),), ((0, 100.0), (divs // 2, 80.0))])),
    )


@st.composite
def _line(draw, end: int, voice: int, staff: int, is_drum: bool) -> list[tuple]:
    rows, time = [], 0
    while time < end:
        beat = 12 - time % 12
        if beat == 12 and draw(st.integers(0, 4)) == 0:
            lengths = [4, 4, 4]
        else:
            lengths = [draw(st.sampled_from([3, 6, 9, 12, 18, 24, 36]))]
        for length in lengths:
            length = min(length, end - time)
            if draw(st.integers(0, 4)):
                for _ in range(draw(st.integers(1, 2))):
                    rows.append((time, length, *draw(_name(is_drum)), voice, staff))
                if draw(st.integers(0, 9)) == 0:
                    rows.append((time, 0, *draw(_name(is_drum)), voice, staff))
            time += length
    unique = {(*row[:3], row[6]): row for row in rows}  # one note of a pitch in a chord
    return list(unique.values())


@st.composite
def _name(draw, is_drum: bool) -> tuple[int, str, int, int]:
    if is_drum:
        return draw(st.sampled_from([36, 38, 42, 49, 77])), "", 0, 0
    place = draw(st.integers(25, 40))
    pitch = pitch_at(place) + draw(st.integers(-1, 1))
    return pitch, *name_at(place, pitch)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=scores())
def test_any_score_is_valid_and_read_as_it_was_written(whole, tmp_path):
    check(musicxml_bytes(whole))
    assert read_back(whole, tmp_path) == whole


def test_tempos_inside_a_measure_are_read(tmp_path):
    whole = dataclasses.replace(score(part(voice("C4:4"))), tempos=((0, 100.0), (6, 80.5), (60, 90.0)))
    assert read_back(whole, tmp_path) == whole


def test_compressed_files_are_read(tmp_path):
    path = tmp_path / "score.mxl"
    path.write_bytes(compress_musicxml(musicxml_bytes(ensemble())))
    assert read_musicxml(path) == ensemble()


def test_octaves_of_a_transposition_are_read(tmp_path):
    whole = score(part(voice("E2:4"), program=43))
    edited = read_back(
        whole,
        tmp_path,
        lambda text: text.replace("<diatonic>-7</diatonic>", "").replace(
            "<chromatic>-12</chromatic>", "<chromatic>0</chromatic><octave-change>-1</octave-change>"
        ),
    )
    assert edited == whole


def test_a_drum_without_an_instrument_is_told_by_its_place(tmp_path):
    whole = score(part(voice("36:1 38+42:1 46:1 49:1"), is_drum=True, name="Drums"), key=None)

    def without_instruments(text):
        return "\n".join(line for line in text.splitlines() if "<instrument id" not in line)

    assert read_back(whole, tmp_path, without_instruments) == whole
    nowhere = read_back(
        whole,
        tmp_path,
        lambda text: without_instruments(text).replace(
            "<display-octave>5</display-octave>", "<display-octave>2</display-octave>"
        ),
    )
    assert set(nowhere.parts[0].notes["pitch"]) == {36, 38}


def test_divisions_that_differ_between_parts_are_brought_together(tmp_path):
    coarse = score(part(voice("C4:4"), name="A"), part(voice("D4:4"), name="B"))

    def halve_first(text):
        head, first, rest = text.partition("<divisions>24</divisions>")
        a, b, c = rest.partition("<duration>96</duration>")
        return head + "<divisions>5</divisions>" + a + "<duration>20</duration>" + c

    read = read_back(coarse, tmp_path, halve_first)
    assert read.divs_per_quarter == 120
    assert [p.notes["duration_div"].tolist() for p in read.parts] == [[480], [480]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no xml", "is no XML"),
        (b"<score-timewise/>", "only MusicXML by parts"),
        (b"<score-partwise/>", "cannot be read as a score"),
        (compress_musicxml(b"").replace(b"META-INF/container", b"META-INF/CONTAINER"), "holds no MusicXML"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "score.musicxml"
    path.write_bytes(content)
    with pytest.raises(MusicXmlError, match=message):
        read_musicxml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MusicXmlError, match="none.mxl: cannot be read .No such file"):
        musicxml_content(tmp_path / "none.mxl")
