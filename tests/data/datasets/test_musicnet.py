"""MusicNet and MusicNetEM from miniatures of their releases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.datasets.musicnet import INSTRUMENTS, TEST_IDS, VALIDATION_IDS, MusicNet, MusicNetEm
from mt3x.data.datasets.reading import clean_notes
from mt3x.data.records.recordings import DataError, Item, Recording, Stem, check_recording
from mt3x.music.instruments import program_name
from mt3x.music.notes import make_notes
from tests.data.datasets.releases_public import (
    Problems,
    make_musicnet,
    make_musicnet_em,
    midi_note,
    write_labels,
    write_midi,
)

LABELS = "train_labels/1727.csv"
ITEM = Item("1", "train", ())


@pytest.fixture
def release(tmp_path):
    return make_musicnet_em(tmp_path / "musicnet")


@pytest.fixture
def problems():
    return Problems()


def test_the_splits_are_those_of_mt3_and_not_the_folders(tmp_path, problems):
    items = MusicNet().items(make_musicnet(tmp_path), problems)
    assert [(item.id, item.split) for item in items] == [
        ("1727", "train"),
        ("1729", "test"),
        ("1733", "validation"),
        ("1759", "train"),
        ("2194", "train"),
    ]
    assert items[3].files == ("test_data/1759.wav", "test_labels/1759.csv")
    assert problems == [(".", "5 recordings are here; the release has 330")]
    assert len(VALIDATION_IDS) == len(TEST_IDS) == 15 and not VALIDATION_IDS & TEST_IDS


def test_labels_count_samples_at_44100_hz_and_programs_from_1(release, problems):
    item = MusicNet().items(release, problems)[0]
    stem = check_recording(MusicNet().read(release, item, problems), item).stems[0]
    assert len(stem.samples) == 32000
    np.testing.assert_allclose(stem.notes["start"], [0.25, 0.5, 0.5], atol=1e-4)
    np.testing.assert_allclose(stem.notes["end"], [0.75, 1.5, 1.0], atol=1e-4)
    assert stem.notes["program"].tolist() == [0, 40, 43]
    assert [program_name(instrument - 1) for instrument in INSTRUMENTS] == [
        *("Acoustic Grand Piano", "Harpsichord", "Violin", "Viola", "Cello", "Contrabass"),
        *("French Horn", "Oboe", "Bassoon", "Clarinet", "Flute"),
    ]


def test_musicnet_em_has_the_same_audio_and_its_own_notes(release, problems):
    item = MusicNetEm().items(release, problems)[0]
    assert item.files == ("train_data/1727.wav", "musicnet_em/1727.mid")
    notes = check_recording(MusicNetEm().read(release, item, problems), item).stems[0].notes
    np.testing.assert_allclose(notes["start"], [0.26, 0.5])
    assert notes["program"].tolist() == [0, 40]


def test_a_recording_without_refined_notes_is_reported(release, problems):
    assert len(MusicNetEm().items(release, problems)) == 4
    assert problems[1:] == [("2194.mid", "is missing; the item is left out")]


def test_a_missing_recording_is_reported(release, problems):
    (release / "train_data/1727.wav").unlink()
    assert len(MusicNet().items(release, problems)) == 4
    assert problems[1:] == [("1727.wav", "is missing; the item is left out")]


def test_files_of_no_recording_or_of_one_that_is_there_are_reported(release, problems):
    write_labels(release / "test_labels/1727.csv", (0.0, 1.0, 1, 60))
    write_labels(release / "test_labels/1727 (1).csv", (0.0, 1.0, 1, 60))
    items = MusicNet().items(release, problems)
    assert items[0].files[1] == "test_labels/1727.csv" and len(items) == 5
    assert problems[:2] == [
        ("test_labels/1727 (1).csv", "is not named by the number of a recording; left out"),
        (LABELS, "is of the same recording as test_labels/1727.csv; left out"),
    ]


def test_an_unknown_instrument_is_refused(release, problems):
    item = MusicNet().items(release, problems)[0]
    write_labels(release / LABELS, (0.0, 1.0, 0, 60), (0.0, 1.0, 40, 60), (0.0, 1.0, 1, 60))
    with pytest.raises(DataError, match=rf"{LABELS}: has unknown instruments \[0.0, 40.0\]"):
        MusicNet().read(release, item, problems)


def test_bad_labels_are_refused(release, problems):
    item = MusicNet().items(release, problems)[0]
    path = release / LABELS
    text = path.read_text()
    path.write_text(text.replace("instrument", "program"))
    with pytest.raises(DataError, match=f"{LABELS}: has no column instrument, only start_time"):
        MusicNet().read(release, item, problems)
    path.write_text(text.replace(",60,", ",C4,"))
    with pytest.raises(DataError, match=f"{LABELS}: row 1 is .*C4"):
        MusicNet().read(release, item, problems)
    path.write_text(text.replace(",60,", ",160,"))
    with pytest.raises(DataError, match=f"{LABELS}: note 0 has pitch 160"):
        MusicNet().read(release, item, problems)


def test_odd_labels_are_reported(release, problems):
    item = MusicNet().items(release, problems)[0]
    rows = [(0.0, 1.0, 41, 60), (0.5, 1.0, 41, 60), (1.0, 1.0, 1, 60), (1.5, 2.5, 1, 62), (3.0, 4.0, 1, 64)]
    write_labels(release / LABELS, *rows)
    notes = MusicNet().read(release, item, problems).stems[0].notes
    np.testing.assert_allclose(notes["end"], [0.5, 1.0, 2.0])
    assert {file for file, _ in problems[1:]} == {LABELS}
    for reason, what in zip(
        problems.reasons[1:], ("last no time", "begin after", "cut there", "overlap"), strict=True
    ):
        assert reason.startswith("1 of 5 notes") and what in reason


QUARTERS = st.integers(0, 12).map(lambda quarter: quarter / 4)


@given(st.lists(st.tuples(QUARTERS, QUARTERS, st.sampled_from([60, 61]), st.sampled_from([0, 40]))))
def test_of_any_labels_the_notes_kept_last_fit_the_audio_and_do_not_overlap(rows):
    start, end, pitch, program = np.array(rows).reshape(-1, 4).T
    problems = Problems()
    notes = clean_notes(make_notes(start, end, pitch, program=program), 32000, LABELS, problems)
    check_recording(Recording("1", "train", (Stem("mix", np.zeros(32000, np.float32), notes),)), ITEM)
    assert (notes["end"] > notes["start"]).all()
    for pitch, program in {(note["pitch"], note["program"]) for note in notes}:
        line = notes[(notes["pitch"] == pitch) & (notes["program"] == program)]
        assert (line["start"][1:] >= line["end"][:-1]).all()
    kept = set(zip(*(notes[name].tolist() for name in ("start", "end", "pitch", "program")), strict=True))
    assert problems or kept == set(rows)


def test_pitch_bends_of_refined_notes_are_reported(release, problems):
    item = MusicNetEm().items(release, problems)[0]
    bend = (0.3, "pitchwheel", {"pitch": -100})
    write_midi(release / item.files[1], *midi_note(0.2, 0.5, 60), bend)
    assert len(MusicNetEm().read(release, item, problems).stems[0].notes) == 1
    assert problems[-1][0] == item.files[1] and "1 pitch bends" in problems[-1][1]


def test_truncated_audio_is_refused(release, problems):
    item = MusicNet().items(release, problems)[0]
    audio = release / item.files[0]
    audio.write_bytes(audio.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"1727\.wav: is cut off"):
        MusicNet().read(release, item, problems)


def test_the_wrong_folder_is_told_the_right_one(release, problems):
    with pytest.raises(DataError, match="/musicnet does: give that folder"):
        MusicNet().items(release / "train_data", problems)
    for path in release.glob("musicnet_em/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds no musicnet_em/\*.mid; give the folder where"):
        MusicNetEm().items(release, problems)
