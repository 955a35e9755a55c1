"""URMP from a miniature of its release."""

import numpy as np
import pytest

from mt3x.data.datasets.urmp import Urmp
from mt3x.data.records.recordings import DataError, check_recording
from tests.data.datasets.releases_public import Problems, make_urmp, write_urmp_piece

JUPITER = "01_Jupiter_vn_vc"
VIOLIN = f"{JUPITER}/Notes_1_vn_01_Jupiter.txt"


@pytest.fixture
def release(tmp_path):
    return make_urmp(tmp_path / "urmp")


@pytest.fixture
def problems():
    return Problems()


def test_the_piece_number_says_the_split(release, problems):
    items = Urmp().items(release, problems)
    assert [(item.id, item.split) for item in items] == [
        (JUPITER, "validation"),
        ("07_GString_tpt_tbn", "train"),
        ("15_Surprise_tpt_tpt_tbn", "train"),
    ]
    assert items[0].files == (
        f"{JUPITER}/AuMix_{JUPITER}.wav",
        VIOLIN,
        f"{JUPITER}/Notes_2_vc_01_Jupiter.txt",
    )
    assert problems == [(".", "3 pieces are here; the release has 44")]


def test_the_mix_has_the_notes_of_all_parts(release, problems):
    item = Urmp().items(release, problems)[0]
    stem = check_recording(Urmp().read(release, item, problems), item).stems[0]
    assert len(stem.samples) == 32000
    np.testing.assert_allclose(stem.notes["start"], [0.1, 0.2])
    np.testing.assert_allclose(stem.notes["end"], [0.6, 0.7])
    assert stem.notes["pitch"].tolist() == [57, 69]  # 220 and 440 Hz
    assert stem.notes["program"].tolist() == [40, 42]


def test_the_trombone_of_piece_15_whose_files_say_trumpet_is_a_trombone(release, problems):
    item = Urmp().items(release, problems)[2]
    assert Urmp().read(release, item, problems).stems[0].notes["program"].tolist() == [56, 56, 57]
    file = "15_Surprise_tpt_tpt_tbn/Notes_3_tpt_15_Surprise.txt"
    assert problems[1:] == [(file, "is named tpt, the folder says tbn; taken as tbn")]


def test_missing_files_are_reported(release, problems):
    (release / VIOLIN).unlink()
    assert len(Urmp().items(release, problems)) == 2
    assert (VIOLIN, "is missing; the item is left out") in problems


@pytest.mark.parametrize(
    "extra", ["Notes_3_vn_01_Jupiter.txt", "Notes_1_vn_01_Jupiter_copy.txt", "Notes_.txt"]
)
def test_a_file_too_many_is_reported(release, problems, extra):
    (release / JUPITER / extra).write_text("")
    assert Urmp().items(release, problems)[0].files[1] == VIOLIN
    reason = "is of no part, or of one that has another file; left out"
    assert problems[1:] == [(f"{JUPITER}/{extra}", reason)]


def test_an_unknown_instrument_is_refused(release, problems):
    write_urmp_piece(release, "16_Surprise_tpt_kazoo")
    item = Urmp().items(release, problems)[-1]
    with pytest.raises(DataError, match="Notes_2_kazoo_16_Surprise.txt: unknown URMP instrument 'kazoo'"):
        Urmp().read(release, item, problems)


def test_the_wrong_folder_is_told_the_right_one(release, problems):
    with pytest.raises(DataError, match="/urmp does: give that folder"):
        Urmp().items(release / JUPITER, problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1 440", r"row 1 is \['0.1', '440'\], expected 3 numbers"),
        ("0.1 440 0.5\n0.2 A4 0.5", r"row 2 is .*A4"),
        ("0.1 440 inf", "row 1 is"),
        ("0.1 0 0.5", r"a pitch is 0.0 Hz; all must be positive"),
        ("", "holds no note; unpack the release again"),
        ("-0.1 440 0.5", r"lasts from -0.1 to 0.4 s"),
    ],
)
def test_a_bad_line_of_notes_is_refused(release, problems, text, message):
    item = Urmp().items(release, problems)[0]
    (release / VIOLIN).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        Urmp().read(release, item, problems)
    assert JUPITER in str(caught.value)


def test_odd_notes_are_reported(release, problems):
    item = Urmp().items(release, problems)[0]
    (release / VIOLIN).write_text("0.1 880 0.2\n")
    (release / item.files[2]).write_text("0.1 440 1\n0.5 441 0\n0.6 439 1\n1.5 220 1\n3 220 1\n")
    notes = Urmp().read(release, item, problems).stems[0].notes
    np.testing.assert_allclose(notes["end"][notes["program"] != 40], [0.6, 1.6, 2.0])
    for reason, what in zip(
        problems.reasons[1:], ("last no time", "begin after", "cut there", "overlap"), strict=True
    ):
        assert reason.startswith("1 of 6 notes") and what in reason


def test_truncated_audio_is_refused(release, problems):
    item = Urmp().items(release, problems)[0]
    audio = release / item.files[0]
    audio.write_bytes(audio.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"AuMix_01_Jupiter_vn_vc\.wav: is cut off"):
        Urmp().read(release, item, problems)
