"""What is written is read back; what others write is read too."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mt3x.score.io.musicxml import compress_musicxml, musicxml_bytes
from mt3x.score.io.musicxml_files import MusicXmlError, musicxml_content
from mt3x.score.io.musicxml_reading import score_of_musicxml
from mt3x.score.io.reading import read_score
from mt3x.score.notation.engraving import name_at, pitch_at
from mt3x.score.score import SCORE_NOTE_DTYPE, Part, Score, sort_score_notes
from tests.score.io.musicxml_checks import check
from tests.score.pieces import alla_turca, ensemble, part, score, voice


def read_back(whole: Score, folder, edit=lambda text: text) -> Score:
    path = folder / "score.musicxml"
    path.write_text(edit(musicxml_bytes(whole).decode()))
    return read_score(path)


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
        np.array(list(itertools.pairwise(starts)), np.int64),
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
                count = draw(st.integers(1, 2))
                rows += [(time, length, *draw(_name(is_drum)), voice, staff, 0) for _ in range(count)]
                if draw(st.integers(0, 9)) == 0:
                    rows.append((time, 0, *draw(_name(is_drum)), voice, staff, 1))
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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=scores())
def test_any_score_is_valid_and_read_as_it_was_written(whole, tmp_path):
    check(musicxml_bytes(whole))
    assert read_back(whole, tmp_path) == whole


def test_title_and_composer_are_read_as_they_were_written(tmp_path):
    whole = dataclasses.replace(score(part(voice("C4:4"))), title="A Song", composer="C. Schumann")
    assert read_back(whole, tmp_path) == whole


def test_grace_notes_keep_their_order_their_chords_and_their_place_at_the_end(tmp_path):
    line = voice("D5:0 B4+E4:0 C5:4")
    after = [(96, 0, 74, "D", 0, 5, 1, 1, 2), (96, 0, 71, "B", 0, 4, 1, 1, 1)]
    assert read_back(score(part(line, after)), tmp_path) == score(part(line, after))


def test_tempos_inside_a_measure_are_read(tmp_path):
    whole = dataclasses.replace(score(part(voice("C4:4"))), tempos=((0, 100.0), (6, 80.5), (60, 90.0)))
    assert read_back(whole, tmp_path) == whole


def test_compressed_files_are_read(tmp_path):
    path = tmp_path / "score.mxl"
    path.write_bytes(compress_musicxml(musicxml_bytes(ensemble())))
    assert read_score(path) == ensemble()


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
        head, _, rest = text.partition("<divisions>24</divisions>")
        a, _, c = rest.partition("<duration>96</duration>")
        return head + "<divisions>5</divisions>" + a + "<duration>20</duration>" + c

    read = read_back(coarse, tmp_path, halve_first)
    assert read.divs_per_quarter == 120
    assert [p.notes["duration_div"].tolist() for p in read.parts] == [[480], [480]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no xml", "is no XML"),
        (b"<score-timewise/>", "only MusicXML by parts"),
        (b"<score-partwise/>", "can't be read as a score: it holds no pitched note"),
        (
            compress_musicxml(b"")
            .replace(b"container.xml", b"container.txt")
            .replace(b".musicxml", b".mscx.xxx"),
            "holds no MusicXML",
        ),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "score.musicxml"
    path.write_bytes(content)
    with pytest.raises(MusicXmlError, match=message):
        read_score(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MusicXmlError, match="none.mxl: cannot be read .No such file"):
        musicxml_content(tmp_path / "none.mxl")


NAMES = "".join(f'<score-part id="P{n}"><part-name>{n}</part-name></score-part>' for n in (1, 2))
TIME = "<time><beats>4</beats><beat-type>4</beat-type></time>"
BEGIN, END = '<tie type="start"/>', '<tie type="stop"/>'
BACK = "<backup><duration>{0}</duration></backup>"


def note(name: str, duration: float, more: str = "") -> str:
    """`more` comes first: <grace/>, <chord/>, <tie .../>, as the reader does not mind order."""
    pitch = (
        f"<pitch><step>{name[0]}</step><alter>{name.count('#')}</alter><octave>{name[-1]}</octave></pitch>"
    )
    return f"<note>{more}{pitch}<duration>{duration}</duration></note>"


def read_parts(*parts: list[str], divisions: int = 1) -> Score:
    """The score of parts, lists of measures; what they begin with is added."""
    body = ""
    for number, (first, *others) in enumerate(parts, start=1):
        begin = f"<attributes><divisions>{divisions}</divisions>{TIME}</attributes>"
        inside = "".join(f"<measure>{measure}</measure>" for measure in (begin + first, *others))
        body += f'<part id="P{number}">{inside}</part>'
    text = f"<score-partwise><part-list>{NAMES}</part-list>{body}</score-partwise>"
    return score_of_musicxml(text.encode(), "piece")


def test_parts_are_kept_together_at_their_measures():
    whole = read_parts([note("C4", 3), note("D4", 4)], [note("E4", 4), note("F4", 4), note("G4", 4)])
    assert whole.measures.tolist() == [[0, 4], [4, 8], [8, 12]]
    assert [p.notes["onset_div"].tolist() for p in whole.parts] == [[0, 4], [0, 4, 8]]


def test_durations_need_not_be_whole():
    whole = read_parts([note("C4", 0.5) + note("D4", 0.5) + note("E4", 3)])
    assert whole.divs_per_quarter == 2
    assert whole.parts[0].notes["onset_div"].tolist() == [0, 1, 2]


def test_a_time_signature_makes_measures_whole_divs():
    eighths = "<attributes><time><beats>3+2</beats><beat-type>8</beat-type></time></attributes>"
    whole = read_parts([note("C4", 4), eighths + note("C4", 2)])
    assert (whole.divs_per_quarter, whole.time_signatures) == (2, ((0, 4, 4), (8, 5, 8)))


def test_a_tie_leads_to_its_own_voice_and_else_to_any_of_its_pitch():
    one, two = "<voice>1</voice>", "<voice>2</voice>"
    unison = note("C4", 4, BEGIN + one) + BACK.format(2) + note("C4", 2, BEGIN + two)
    ends = note("C4", 4, END + one) + BACK.format(4) + note("C4", 1, END + two) + note("D4", 3)
    (both,) = read_parts([unison, ends]).parts
    assert both.notes[["onset_div", "duration_div", "voice"]].tolist() == [(0, 8, 1), (2, 3, 2), (5, 3, 1)]
    crossing = note("D4", 2, one) + note("C4", 2, END + one) + BACK.format(4) + note("C4", 2, BEGIN + two)
    (crossed,) = read_parts([crossing]).parts
    assert crossed.notes[["onset_div", "duration_div", "pitch"]].tolist() == [(0, 4, 60), (0, 2, 62)]


def test_metronome_marks_count_where_nothing_says_how_to_play():
    def mark(unit: str, number: str) -> str:
        shown = f"<beat-unit>{unit}</beat-unit><beat-unit-dot/><per-minute>{number}</per-minute>"
        return f"<direction><direction-type><metronome>{shown}</metronome></direction-type></direction>"

    whole = read_parts([mark("quarter", "c. 60") + note("C4", 2) + '<sound tempo="99"/>' + note("D4", 2)])
    assert whole.tempos == ((0, 90.0), (2, 99.0))
    both = mark("half", "60").replace("</direction>", '<sound tempo="100"/></direction>')
    assert read_parts([mark("half", "50") + both + note("C4", 4)]).tempos == ((0, 100.0),)


def test_a_key_inside_a_measure_holds_from_the_next_one_on():
    key = "<attributes><key><fifths>{0}</fifths><mode>dorian</mode></key></attributes>"
    whole = read_parts([note("C4", 2) + key.format(3) + note("D4", 2), note("E4", 4) + key.format(-2)])
    assert whole.key_signatures == ((4, 3),)
    assert read_parts([note("C4", 4), key.format(1)]).key_signatures == ()  # the second measure lasts nothing


def test_written_pitches_and_keys_are_read_as_they_sound():
    clarinet = "<key><fifths>2</fifths></key><transpose><chromatic>-2</chromatic></transpose>"
    whole = read_parts([f"<attributes>{clarinet}</attributes>" + note("F#4", 4)], [note("E4", 4)])
    names = [p.notes[["pitch", "step", "alter", "octave"]].tolist() for p in whole.parts]
    assert names == [[(64, "E", 0, 4)]] * 2
    assert whole.key_signatures == ((0, 0),)


def test_a_part_of_pitched_notes_stays_one_with_a_drum_in_it_and_cues_are_left_out():
    drum = "<note>{0}<unpitched/><duration>1</duration></note>"
    (pitched,) = read_parts([note("C4", 1) + drum.format("") + note("D4", 1, "<cue/>") + note("E4", 1)]).parts
    assert not pitched.is_drum and pitched.notes["pitch"].tolist() == [60, 64]
    (drums,) = read_parts([note("C4", 1) + drum.format("") + drum.format("<chord/>") + drum.format("")]).parts
    assert drums.is_drum and drums.notes["onset_div"].tolist() == [0, 1, 1, 2]
    assert set(drums.notes["step"]) == {""}


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (note("H4", 4), "'H'|substring"),
        (note("C4", 4).replace("4</d", "four</d"), "four"),
        ("<attributes><divisions>0</divisions></attributes>", "must be positive"),
        ("<attributes><time><beats>4</beats><beat-type>0</beat-type></time></attributes>", "beat type 0"),
    ],
)
def test_a_malformed_measure_is_named(measure, message):
    with pytest.raises(MusicXmlError, match=f"piece can't be read as a score: .* measure .*({message})"):
        read_parts([measure])


def test_divisions_without_a_small_common_multiple_are_an_error():
    with pytest.raises(MusicXmlError, match="needs 1000003 divs per quarter in common, more than 1000000"):
        read_parts([note("C4", 4)], divisions=1_000_003)
