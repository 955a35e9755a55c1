"""Recordings and MIDI files pair by name, get a stable split, and are read as one stem."""

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from mt3x.data.datasets.midi_folder import MidiFolder
from mt3x.data.records.recordings import DataError, Item
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

NOTES = make_notes([0.25, 0.5, 1.0], [0.75, 1.25, 1.5], [60, 64, 36], [90, 80, 100], [24, 33, 0], [0, 0, 1])


def write_pair(folder: Path, name: str, suffixes=(".wav", ".mid"), seconds=2.0, notes=NOTES):
    folder.mkdir(parents=True, exist_ok=True)
    if suffixes[0]:
        tone = 0.3 * np.sin(np.arange(int(seconds * 44_100)) * 0.06)
        soundfile.write(folder / f"{name}{suffixes[0]}", np.stack([tone, tone], axis=1), 44_100)
    if suffixes[1]:
        write_midi(notes, folder / f"{name}{suffixes[1]}")


def make_release(folder: Path) -> None:
    """Pairs of every suffix in the folders of three splits, one of them a level down."""
    write_pair(folder / "train", "song", (".wav", ".mid"))
    write_pair(folder / "train" / "album", "song", (".flac", ".midi"))
    write_pair(folder / "validation", "take.2", (".ogg", ".MID"))
    write_pair(folder / "test", "last", (".mp3", ".mid"))


@pytest.fixture
def told():
    return []


@pytest.fixture
def report(told):
    return lambda file, reason: told.append((file, reason))


def test_pairs_are_found_at_any_depth_in_the_folders_of_splits(tmp_path, told, report):
    make_release(tmp_path)
    assert MidiFolder().items(tmp_path, report) == [
        Item("test/last", "test", ("test/last.mp3", "test/last.mid")),
        Item("train/album/song", "train", ("train/album/song.flac", "train/album/song.midi")),
        Item("train/song", "train", ("train/song.wav", "train/song.mid")),
        Item("validation/take.2", "validation", ("validation/take.2.ogg", "validation/take.2.MID")),
    ]
    assert told == []


def test_without_such_folders_one_pair_in_ten_is_for_validation_always_the_same(tmp_path, report):
    for number in range(200):
        (tmp_path / f"take {number:03}.wav").write_bytes(b"")
        (tmp_path / f"take {number:03}.mid").write_bytes(b"")
    splits = {item.id: item.split for item in MidiFolder().items(tmp_path, report)}
    held_out = [name for name, split in splits.items() if split == "validation"]
    assert set(splits.values()) == {"train", "validation"} and 10 <= len(held_out) <= 30
    for name in held_out[1:]:
        (tmp_path / f"{name}.mid").unlink()
    fewer = {item.id: item.split for item in MidiFolder().items(tmp_path, report)}
    assert fewer == {name: split for name, split in splits.items() if name not in held_out[1:]}


def test_files_without_a_partner_or_with_several_are_reported(tmp_path, told, report):
    write_pair(tmp_path, "good")
    write_pair(tmp_path, "audio only", (".flac", ""))
    write_pair(tmp_path, "notes only", ("", ".midi"))
    write_pair(tmp_path, "twice", (".wav", ".mid"))
    write_pair(tmp_path, "twice", (".flac", ""))
    (tmp_path / "readme.txt").write_text("no audio")
    (tmp_path / "._good.wav").write_text("what some systems leave on a disk")
    assert [item.id for item in MidiFolder().items(tmp_path, report)] == ["good"]
    assert [file for file, _ in told] == [
        *("audio only.flac", "notes only.midi", "twice.flac", "twice.wav", "twice.mid")
    ]
    reasons = dict(told)
    suffixes = ".mid, .midi, .kar, .rmi, .rmid, .smf"
    assert reasons["audio only.flac"] == f"has no MIDI file of the same name ({suffixes}); left out"
    assert reasons["notes only.midi"].startswith("has no recording of the same name (WAV, FLAC")
    assert "is one of several of a name, twice.flac, twice.wav, twice.mid" in reasons["twice.mid"]


def test_pairs_beside_the_folders_of_splits_are_reported(tmp_path, told, report):
    write_pair(tmp_path / "train", "song")
    write_pair(tmp_path, "outside")
    assert [item.id for item in MidiFolder().items(tmp_path, report)] == ["train/song"]
    assert told == [
        ("outside.wav", "lies beside train, validation, test, not in one of them; the pair is left out")
    ]


def test_folders_that_would_be_splits_one_level_up_are_reported(tmp_path, told, report):
    write_pair(tmp_path / "takes" / "test" / "monday", "song")
    (item,) = MidiFolder().items(tmp_path, report)
    assert item.id == "takes/test/monday/song"
    ((folder, reason),) = told
    assert folder == "takes/test"
    assert reason.startswith("is taken as no split") and reason.endswith("give takes if it is one")


def test_a_name_may_be_spelt_in_two_ways(tmp_path, told, report):
    composed, decomposed = "Fauré", "Faure\u0301"
    write_pair(tmp_path, composed, (".wav", ""))
    write_pair(tmp_path, decomposed, ("", ".mid"))
    (item,) = MidiFolder().items(tmp_path, report)
    assert item.id == composed and item.files == (f"{composed}.wav", f"{decomposed}.mid")
    assert len(MidiFolder().read(tmp_path, item, report).stems[0].notes) == 3 and told == []


def test_a_pair_is_read_as_one_stem_with_all_notes(tmp_path, told, report):
    make_release(tmp_path)
    for item in MidiFolder().items(tmp_path, report):
        recording = MidiFolder().read(tmp_path, item, report)
        (stem,) = recording.stems
        assert stem.name == "mix" and recording.mixes == ((0,),)
        assert stem.samples.dtype == np.float32 and abs(len(stem.samples) - 32_000) < 4_000
        np.testing.assert_allclose(stem.notes["start"], NOTES["start"], atol=1e-3)
        for column in ("pitch", "velocity", "program", "is_drum"):
            assert stem.notes[column].tolist() == NOTES[column].tolist()
    assert told == []


def test_midi_longer_than_the_audio_is_cut_and_reported(tmp_path, told, report):
    notes = make_notes([0.0, 0.5, 1.5], [0.5, 2.0, 2.5], [60, 62, 64])
    write_pair(tmp_path, "short", seconds=1.0, notes=notes)
    (item,) = MidiFolder().items(tmp_path, report)
    found = MidiFolder().read(tmp_path, item, report).stems[0].notes
    assert found["pitch"].tolist() == [60, 62]
    np.testing.assert_allclose(found["end"], [0.5, 1.0], atol=1e-3)
    assert [file for file, _ in told] == ["short.mid", "short.mid"]
    assert "1 of 3 notes begin after the audio's end at 1.000 s: left out" in told[0][1]
    assert "1 of 3 notes end after the audio's end at 1.000 s: cut there" in told[1][1]


def test_pitch_bends_are_reported(tmp_path, told, report):
    write_pair(tmp_path, "bent", (".wav", ""))
    bend = mido.Message("pitchwheel", pitch=1000)
    note = [mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=400)]
    mido.MidiFile(tracks=[mido.MidiTrack([bend, *note])]).save(tmp_path / "bent.mid")
    (item,) = MidiFolder().items(tmp_path, report)
    assert len(MidiFolder().read(tmp_path, item, report).stems[0].notes) == 1
    assert told == [("bent.mid", "has 1 pitch bends; notes keep the pitches of their keys")]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("song.wav", b"", "is empty"),
        ("song.mid", b"no MIDI", "is not a MIDI file"),
        ("song.mid", NOTES[:0], "holds no note; if nothing is played in song.wav, leave both out"),
        ("song.mid", make_notes(3.0, 4.0, 60), "has no note within song.wav; do they belong together"),
    ],
)
def test_a_pair_that_cannot_be_read_is_an_error(tmp_path, report, file, content, reason):
    write_pair(tmp_path, "song")
    (item,) = MidiFolder().items(tmp_path, report)
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    else:
        write_midi(content, tmp_path / file)
    with pytest.raises(DataError, match=reason):
        MidiFolder().read(tmp_path, item, report)


def test_a_folder_without_a_pair_is_an_error(tmp_path, report):
    with pytest.raises(DataError, match="holds no pair of a recording .* and a MIDI file"):
        MidiFolder().items(tmp_path, report)
    with pytest.raises(DataError, match="is no folder; give the one with your recordings"):
        MidiFolder().items(tmp_path / "nowhere", report)
