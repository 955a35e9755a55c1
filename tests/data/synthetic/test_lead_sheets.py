"""Lead sheets: melody and chords of small scores, and files that are none."""

import zipfile
from pathlib import Path

import pytest

from mt3x.data.synthetic.lead_sheets import Chord, read_lead_sheet, read_lead_sheets

CONTAINER = '<container><rootfiles><rootfile full-path="sheet.xml"/></rootfiles></container>'
ATTRIBUTES = (
    "<attributes><divisions>2</divisions><time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
)


def note(step: str, octave: int, duration: int) -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration></note>"


def harmony(root: str, kind: str, more: str = "") -> str:
    return f"<harmony><root>{root}</root><kind>{kind}</kind>{more}</harmony>"


def step(letter: str, alter: int = 0) -> str:
    return f"<root-step>{letter}</root-step><root-alter>{alter}</root-alter>"


def bass(letter: str, alter: int) -> str:
    return f"<bass><bass-step>{letter}</bass-step><bass-alter>{alter}</bass-alter></bass>"


def degree(value: int, alter: int, change: str) -> str:
    number = f"<degree-value>{value}</degree-value><degree-alter>{alter}</degree-alter>"
    return f"<degree>{number}<degree-type>{change}</degree-type></degree>"


def write_sheet(path: Path, *measures: str, container: str = CONTAINER) -> Path:
    body = "".join(f'<measure number="{i}">{measure}</measure>' for i, measure in enumerate(measures))
    text = (
        '<score-partwise><part-list><score-part id="P1"><part-name>M</part-name></score-part></part-list>'
        f'<part id="P1">{body}</part></score-partwise>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("sheet.xml", text)
    return path


def test_a_pickup_ends_at_a_bar_line(tmp_path: Path) -> None:
    path = write_sheet(
        tmp_path / "Waltz.mxl",
        ATTRIBUTES + '<sound tempo="140"/>' + note("G", 4, 2),
        harmony(step("C"), "major") + note("E", 5, 4) + harmony(step("G"), "dominant") + note("D", 5, 2),
    )
    sheet = read_lead_sheet(path)
    assert (sheet.name, sheet.quarters_per_bar, sheet.bpm, sheet.num_bars) == ("Waltz", 3.0, 140.0, 2)
    # The pickup is one quarter long, so that it begins on the third beat.
    assert sheet.melody["onset_quarters"].tolist() == [2.0, 3.0, 5.0]
    assert sheet.melody["duration_quarters"].tolist() == [1.0, 2.0, 1.0]
    assert sheet.melody["pitch"].tolist() == [67, 76, 74]
    assert sheet.chords == (Chord(3.0, 0, (0, 4, 7), 0), Chord(5.0, 7, (0, 4, 7, 10), 7))


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        (harmony(step("B", -1), "minor-seventh"), (10, (0, 3, 7, 10), 10)),
        (harmony(step("D"), "major", bass("F", 1)), (2, (0, 4, 7), 6)),
        (harmony(step("G"), "dominant", degree(9, -1, "add")), (7, (0, 4, 7, 10, 13), 7)),
        (harmony(step("G"), "dominant", degree(5, 1, "alter")), (7, (0, 4, 8, 10), 7)),
        (harmony(step("G"), "dominant", degree(3, 0, "subtract")), (7, (0, 7, 10), 7)),
        (harmony(step("A"), "unheard of"), (9, (0, 4, 7), 9)),
        (harmony(step("A"), "none"), (9, (), 9)),
    ],
)
def test_chord_symbols_are_read(tmp_path: Path, symbol: str, expected: tuple) -> None:
    sheet = read_lead_sheet(write_sheet(tmp_path / "a.mxl", ATTRIBUTES + symbol + note("C", 5, 6)))
    assert sheet.chords == (Chord(0.0, *expected),)
    assert sheet.bpm is None


def test_an_archive_with_a_malformed_container_is_read(tmp_path: Path) -> None:
    measure = ATTRIBUTES + harmony(step("C"), "major") + note("C", 5, 6)
    path = write_sheet(tmp_path / "S.mxl", measure, container="<container path=''S.xml'/>")
    assert read_lead_sheet(path).melody["pitch"].tolist() == [72]


def test_an_archive_of_two_scores_needs_a_container(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "S.mxl", note("C", 5, 6), container="<")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.xml", "<score-partwise/>")
    with pytest.raises(ValueError, match="2 scores; give an archive of one score"):
        read_lead_sheet(path)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (ATTRIBUTES + note("C", 5, 6), "1 notes, 0 chord symbols .* must have at least one"),
        (ATTRIBUTES + harmony(step("C"), "major"), "holds no pitched note"),
        (harmony(step("C"), "major") + note("C", 5, 6), "missing or malformed time signature"),
        (ATTRIBUTES + harmony(step("H"), "major") + note("C", 5, 6), "malformed .* chord symbol"),
    ],
)
def test_what_is_no_lead_sheet_is_refused(tmp_path: Path, measure: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_lead_sheet(write_sheet(tmp_path / "a.mxl", measure))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.mxl"):
        read_lead_sheet(tmp_path / "none.mxl")


def test_unreadable_sheets_are_counted(tmp_path: Path) -> None:
    write_sheet(tmp_path / "b.mxl", ATTRIBUTES + harmony(step("C"), "major") + note("C", 5, 6))
    (tmp_path / "a.mxl").write_bytes(b"no sheet")
    sheets, unreadable = read_lead_sheets(tmp_path)
    assert [sheet.name for sheet in sheets] == ["b"] and unreadable == 1


def test_a_folder_without_a_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 0 files .mxl, .* give at least one"):
        read_lead_sheets(tmp_path)
