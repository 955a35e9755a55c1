"""GuitarSet from a miniature of its release."""

import numpy as np
import pytest

from mt3x.data.datasets.guitarset import GuitarSet
from mt3x.data.records.recordings import DataError, check_recording
from tests.data.datasets.releases_public import Problems, make_guitarset, write_jams

FIRST = "annotation/00_BN1-129-Eb_comp.jams"


@pytest.fixture
def release(tmp_path):
    return make_guitarset(tmp_path / "guitarset")


@pytest.fixture
def problems():
    return Problems()


def test_each_excerpt_is_two_recordings_and_progression_3_is_for_validation(release, problems):
    items = GuitarSet().items(release, problems)
    assert [(item.id, item.split) for item in items] == [
        ("00_BN1-129-Eb_comp_mic", "train"),
        ("00_BN1-129-Eb_comp_mix", "train"),
        ("03_Rock2-142-D_solo_mic", "train"),
        ("03_Rock2-142-D_solo_mix", "train"),
        ("05_SS3-84-Bb_comp_mic", "validation"),
        ("05_SS3-84-Bb_comp_mix", "validation"),
    ]
    assert items[1].files == ("audio_mono-pickup_mix/00_BN1-129-Eb_comp_mix.wav", FIRST)
    assert problems == [("annotation", "3 excerpts are here; the release has 360")]


def test_the_notes_of_all_strings_are_rounded_to_semitones(release, problems):
    items = GuitarSet().items(release, problems)
    notes = check_recording(GuitarSet().read(release, items[0], problems), items[0]).stems[0].notes
    assert notes["pitch"].tolist() == [40, 50, 52]
    np.testing.assert_allclose(notes["start"], [0.1, 0.1, 1.0])
    np.testing.assert_allclose(notes["end"], [0.5, 0.4, 1.5])
    assert (notes["program"] == 24).all()
    assert len(problems) == 1


def test_missing_files_are_reported(release, problems):
    (release / FIRST).unlink()
    (release / "audio_mono-mic/05_SS3-84-Bb_comp_mic.wav").unlink()
    assert len(GuitarSet().items(release, problems)) == 3
    assert {file for file, reason in problems if "missing" in reason} == {
        FIRST,
        "audio_mono-mic/05_SS3-84-Bb_comp_mic.wav",
    }


@pytest.mark.parametrize("name", ["00_BN4-129-Eb_comp", "BN1-129-Eb_comp", "00_BN1-129-Eb_both"])
def test_a_name_that_tells_no_progression_is_reported(release, problems, name):
    write_jams(release / "annotation" / f"{name}.jams", [])
    assert len(GuitarSet().items(release, problems)) == 6
    assert problems[1][0] == f"annotation/{name}.jams"
    assert "is not named" in problems[1][1]


def test_the_wrong_folder_is_told_the_right_one(release, problems):
    with pytest.raises(DataError, match="/guitarset does: give that folder"):
        GuitarSet().items(release / "annotation", problems)


def test_strings_that_sound_one_pitch_and_notes_past_the_end_are_reported(release, problems):
    item = GuitarSet().items(release, problems)[0]
    strings = [[(0.0, 1.0, 52.1)], [(0.5, 1.0, 51.9)], [(1.0, 0.0, 60.0)], [(1.9, 0.5, 64.0)]]
    write_jams(release / FIRST, strings)
    notes = GuitarSet().read(release, item, problems).stems[0].notes
    np.testing.assert_allclose(notes["end"], [0.5, 1.5, 2.0])
    assert [file for file, _ in problems[1:]] == [FIRST] * 3
    for reason, what in zip(problems.reasons[1:], ("last no time", "cut there", "overlap"), strict=True):
        assert reason.startswith("1 of 4 notes") and what in reason


def test_a_file_that_is_no_jams_is_refused(release, problems):
    item = GuitarSet().items(release, problems)[0]
    for text in ("{", "[]", '{"annotations": [{"namespace": "note_midi", "data": [{"time": 0}]}]}'):
        (release / FIRST).write_text(text)
        with pytest.raises(DataError, match=f"{FIRST}: is no JAMS file of notes"):
            GuitarSet().read(release, item, problems)
    (release / FIRST).write_bytes(b"\xff")
    with pytest.raises(DataError, match=f"^{FIRST}: cannot be read as text"):
        GuitarSet().read(release, item, problems)
    (release / FIRST).write_text('{"annotations": []}')
    with pytest.raises(DataError, match=f"{FIRST}: holds no annotation note_midi"):
        GuitarSet().read(release, item, problems)
    write_jams(release / FIRST, [[(0.0, 1.0, float("nan"))]])
    with pytest.raises(DataError, match=rf"{FIRST}: row 1 is \(0.0, 1.0, nan\), expected 3 numbers"):
        GuitarSet().read(release, item, problems)


def test_an_impossible_pitch_is_refused(release, problems):
    item = GuitarSet().items(release, problems)[0]
    write_jams(release / FIRST, [[(0.0, 1.0, 200.0)]])
    with pytest.raises(DataError, match=f"{FIRST}: note 0 has pitch 200"):
        GuitarSet().read(release, item, problems)


def test_truncated_audio_is_refused(release, problems):
    item = GuitarSet().items(release, problems)[0]
    audio = release / item.files[0]
    audio.write_bytes(audio.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"00_BN1-129-Eb_comp_mic\.wav: is cut off"):
        GuitarSet().read(release, item, problems)
