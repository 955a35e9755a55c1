"""MAESTRO from a miniature of its release."""

import numpy as np
import pytest

from mt3x.data.datasets.maestro import Maestro
from mt3x.data.records.recordings import DataError, Item, check_recording
from tests.data.datasets.releases_public import Problems, make_maestro, midi_note, write_midi, write_wav

TRAIN = "2004/MIDI-Unprocessed_TRAIN_wav--1"


@pytest.fixture
def release(tmp_path):
    return make_maestro(tmp_path / "maestro", 3)


@pytest.fixture
def problems():
    return Problems()


@pytest.mark.parametrize("version", [1, 3])
def test_the_table_says_the_splits(tmp_path, version, problems):
    reader = Maestro(version)
    items = reader.items(make_maestro(tmp_path, version), problems)
    assert reader.name == f"maestrov{version}"
    assert [item.split for item in items] == ["train", "validation", "test"]
    assert items[0] == Item(TRAIN, "train", (f"{TRAIN}.wav", f"{TRAIN}.midi"))
    assert not problems


def test_notes_last_while_the_pedal_is_down(release, problems):
    reader = Maestro()
    recordings = [reader.read(release, item, problems) for item in reader.items(release, problems)]
    for recording, item in zip(recordings, reader.items(release, problems), strict=True):
        check_recording(recording, item)
    stem = recordings[0].stems[0]
    assert stem.name == "mix" and len(stem.samples) == 32000
    np.testing.assert_allclose(stem.notes["start"], [0.25, 1.0])
    np.testing.assert_allclose(stem.notes["end"], [1.5, 1.5])
    assert stem.notes["pitch"].tolist() == [60, 64] and not stem.notes["program"].any()
    np.testing.assert_allclose(recordings[1].stems[0].notes["end"], [0.75, 1.25])
    assert not problems


def test_a_missing_file_is_reported_and_its_item_left_out(release, problems):
    (release / f"{TRAIN}.midi").unlink()
    assert len(Maestro().items(release, problems)) == 2
    assert problems == [(f"{TRAIN}.midi", "is missing; the item is left out")]


def test_an_unknown_split_is_reported(release, problems):
    table = release / "maestro-v3.0.0.csv"
    table.write_text(table.read_text().replace(",train,", ",Train,"))
    assert len(Maestro().items(release, problems)) == 2
    assert "'Train'" in problems[0][1]


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"version 2 .* \(1, 3\)"):
        Maestro(2)


def test_the_wrong_folder_is_told_the_right_one(release, problems):
    with pytest.raises(DataError, match=r"but .*/maestro does: give that folder"):
        Maestro().items(release.parent, problems)
    with pytest.raises(DataError, match=r"but .*/maestro does: give that folder"):
        Maestro().items(release / "2004", problems)
    with pytest.raises(DataError, match=r"holds no maestro-v1.0.0.csv; give the folder where"):
        Maestro(1).items(release, problems)
    with pytest.raises(DataError, match="is no folder"):
        Maestro().items(release / "nothing", problems)


def test_a_table_without_a_column_or_a_field_is_refused(release, problems):
    table = release / "maestro-v3.0.0.csv"
    text = table.read_text()
    table.write_text(text.replace("audio_filename", "audio"))
    with pytest.raises(DataError, match="maestro-v3.0.0.csv: has no column audio_filename"):
        Maestro().items(release, problems)
    table.write_text(text.replace(",test,", ",,"))
    with pytest.raises(DataError, match="maestro-v3.0.0.csv: a row has no split"):
        Maestro().items(release, problems)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="maestro-v3.0.0.csv: cannot be read as text"):
        Maestro().items(release, problems)


def test_broken_files_are_named(release, problems):
    item = Maestro().items(release, problems)[0]
    audio, midi = (release / file for file in item.files)
    audio.write_bytes(audio.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"_TRAIN_wav--1\.wav: is cut off"):
        Maestro().read(release, item, problems)
    midi.write_bytes(midi.read_bytes()[:30])
    with pytest.raises(DataError, match=r"_TRAIN_wav--1\.midi: MIDI file is"):
        Maestro().read(release, item, problems)


def test_what_is_odd_in_a_midi_file_is_reported_with_its_count(release, problems):
    item = Maestro().items(release, problems)[0]
    write_wav(release / item.files[0], 1.0)
    write_midi(
        release / item.files[1],
        *midi_note(0.2, 1.5, 60),
        *midi_note(0.4, 0.6, 62, channel=0),
        *midi_note(0.5, 0.7, 62, channel=1),  # the same key on another channel
        *midi_note(1.2, 1.4, 64),
        (0.1, "note_on", {"note": 70, "velocity": 80}),  # is never released
        (0.3, "pitchwheel", {"pitch": 2000}),
        (0.4, "pitchwheel", {"pitch": 0}),
    )
    notes = Maestro().read(release, item, problems).stems[0].notes
    assert notes["pitch"].tolist() == [70, 60, 62, 62]
    np.testing.assert_allclose(notes["end"], [1.0, 1.0, 0.5, 0.7])
    assert {file for file, _ in problems} == {item.files[1]}
    reasons = problems.reasons
    assert reasons[0] == "1 note was never released; it ends with the track."
    assert reasons[1] == "has 1 pitch bends; notes keep the pitches of their keys"
    assert reasons[2] == "1 of 5 notes begin after the audio's end at 1.000 s: left out"
    assert reasons[3] == "2 of 5 notes end after the audio's end at 1.000 s: cut there"
    assert reasons[4].startswith("1 of 5 notes overlap the next")
    assert len(reasons) == 5
