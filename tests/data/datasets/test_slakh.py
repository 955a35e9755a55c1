import dataclasses
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.audio.load import load_audio
from mt3x.data.datasets.slakh import CLASSES, Slakh, random_subsets
from mt3x.data.records.recordings import DataError, Item
from mt3x.music.instruments import SLAKH_CLASSES, slakh_class_to_program_and_is_drum
from mt3x.music.notes import make_notes
from tests.data.datasets.releases_slakh import BASS, DRUMS, PIANO, TRACKS, make_release, write_track


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads") / "slakh2100_flac_redux"
    make_release(folder)
    return folder


def read(release, track, problems=None):
    """The recording of "split/TrackXXXXX"; what was reported goes to `problems`, else it must be nothing."""
    split, name = track.split("/")
    found = []
    recording = Slakh().read(
        release, Item(name, split, (f"{track}/metadata.yaml",)), lambda *line: found.append(line)
    )
    if problems is None:
        assert not found
    else:
        problems += found
    return recording


def test_items_are_the_tracks_of_three_splits_in_order(release):
    items = Slakh().items(release, pytest.fail)
    assert [f"{item.split}/{item.id}" for item in items] == [t for t in TRACKS if "omitted" not in t]


def test_two_stems_become_the_notes_that_sound(release):
    recording = read(release, "test/Track01876")
    piano, bass = recording.stems
    assert (recording.id, recording.split, recording.mixes) == ("Track01876", "test", ((0, 1),))
    assert (piano.name, bass.name) == ("Acoustic Piano", "Electric Bass")
    np.testing.assert_array_equal(piano.notes, make_notes([0.0, 0.5], [0.5, 1.0], [60, 64], 80, program=0))
    np.testing.assert_array_equal(bass.notes, make_notes(0.25, 0.75, 40, 80, program=33))
    for stem in recording.stems:
        assert stem.samples.dtype == np.float32 and stem.samples.shape == (32000,)


def test_stems_sum_to_the_mix(tmp_path):
    write_track(tmp_path / "test/Track00007", (PIANO, BASS))
    recording = read(tmp_path, "test/Track00007")
    mix = load_audio(tmp_path / "test/Track00007/mix.flac")
    # Each file is rounded to 16 bits: half a step of 2**-15 a stem, and half one for the mix.
    np.testing.assert_allclose(sum(stem.samples for stem in recording.stems), mix, atol=2.5 * 2**-15)


def test_whole_song_and_mix_files_are_not_read(tmp_path):
    write_track(tmp_path / "test/Track01876", TRACKS["test/Track01876"])
    (tmp_path / "test/Track01876/all_src.mid").unlink()
    (tmp_path / "test/Track01876/mix.flac").unlink()
    assert len(read(tmp_path, "test/Track01876").stems) == 2


def test_slap_bass_sounds_as_written(release):
    bass = read(release, "validation/Track01501", []).stems[2]
    assert bass.name == "Electric Bass" and bass.notes["pitch"].tolist() == [40]


def test_bass_notes_that_no_pitch_is_low_enough_for_are_reported(tmp_path):
    low = dataclasses.replace(BASS, notes=((0, 4, 11), (4, 8, 12)))
    write_track(tmp_path / "test/Track00007", (PIANO, low))
    problems = []
    _, bass = read(tmp_path, "test/Track00007", problems).stems
    np.testing.assert_array_equal(bass.notes, make_notes(0.5, 1.0, 0, 80, program=33))
    file = "test/Track00007/MIDI/S01.mid"
    assert problems == [(file, "1 of 2 bass notes would sound below pitch 0: left out")]


def test_drums_have_no_program(release):
    drums = read(release, "validation/Track01501", []).stems[1]
    assert drums.name == "Drums" and drums.notes["is_drum"].all() and not drums.notes["program"].any()


def test_training_song_has_ten_mixes_that_repeat(release):
    recording = read(release, "train/Track00001", [])
    assert [stem.name for stem in recording.stems] == [
        "Distorted Electric Guitar",
        "Drums",
        "Acoustic Piano",
        "Electric Bass",
        "Choir and Voice",
        "Clean Electric Guitar",
    ]
    assert len(recording.mixes) == 10
    assert recording.mixes == read(release, "train/Track00001", []).mixes
    assert recording.mixes == random_subsets(6, "Track00001")


def test_subsets_stay_as_they_were_first_drawn():
    expected = ((0, 1, 5, 7), (0, 2, 3, 5, 6, 7), (0, 2, 4, 5, 6, 7))
    assert random_subsets(8, "Track00001")[:3] == expected


@given(st.integers(4, 20), st.text(max_size=10))
def test_subsets_are_different_and_not_too_small(num_stems, seed):
    subsets = random_subsets(num_stems, seed)
    assert len(set(subsets)) == len(subsets)
    assert len(subsets) == min(10, sum(math.comb(num_stems, size) for size in range(4, num_stems + 1)))
    for subset in subsets:
        assert len(subset) >= 4 and list(subset) == sorted(set(subset)) and subset[-1] < num_stems


def test_training_song_of_three_stems_is_refused(tmp_path):
    write_track(tmp_path / "train/Track00007", (PIANO, DRUMS, BASS))
    with pytest.raises(DataError, match=r"train/Track00007/metadata.yaml: 3 stems .* needs 4"):
        read(tmp_path, "train/Track00007")


def test_bends_and_overlapping_and_endless_notes_are_reported(release):
    problems = []
    choir = read(release, "train/Track00001", problems).stems[4]
    np.testing.assert_array_equal(choir.notes, make_notes([0.0, 0.5], [0.5, 1.0], 72, 80, program=52))
    files = [file for file, _ in problems]
    assert files == ["train/Track00001/MIDI/S00.mid", *["train/Track00001/MIDI/S04.mid"] * 2]
    for (_, reason), words in zip(
        problems, ("3 pitch bends", "1 note lasts no time", "1 of 2 notes"), strict=True
    ):
        assert words in reason


def test_notes_after_the_audio_are_cut_and_reported(release):
    problems = []
    guitar = read(release, "validation/Track01501", problems).stems[3]
    np.testing.assert_array_equal(guitar.notes, make_notes(1.5, 2.0, 57, 80, program=29))
    reasons = [reason for file, reason in problems if file.endswith("MIDI/S03.mid")]
    assert len(reasons) == 2 and all("audio's end at 2.000 s" in reason for reason in reasons)


def test_stem_without_audio_or_without_notes_is_reported(release, tmp_path):
    problems = []
    assert len(read(release, "validation/Track01501", problems).stems) == 4
    file = "validation/Track01501/metadata.yaml"
    assert (file, "stem S04 (Organ) has MIDI but no audio: left out") in problems

    write_track(tmp_path / "test/Track00007", (PIANO, dataclasses.replace(BASS, is_saved=False)))
    problems.clear()
    assert len(read(tmp_path, "test/Track00007", problems).stems) == 1
    assert problems == [("test/Track00007/metadata.yaml", "stem S01 (Bass) has audio but no MIDI: left out")]


def test_stem_of_an_unknown_class_is_reported(release):
    problems = []
    assert len(read(release, "train/Track00003", problems).stems) == 4
    ((file, reason),) = problems
    assert (
        file == "train/Track00003/metadata.yaml" and "S03 has inst_class 'Theremin' and program 200" in reason
    )


def test_song_without_a_usable_stem_is_refused(tmp_path):
    write_track(
        tmp_path / "test/Track00007", (dataclasses.replace(PIANO, is_rendered=False, is_saved=False),)
    )
    with pytest.raises(DataError, match="test/Track00007/metadata.yaml: no stem can be used"):
        read(tmp_path, "test/Track00007")


def test_cut_off_flac_is_refused(release):
    with pytest.raises(DataError, match=r"Track00002/stems/S01.flac: is cut off"):
        read(release, "train/Track00002")


@pytest.mark.parametrize("file", ["stems/S01.flac", "MIDI/S01.mid", "metadata.yaml"])
def test_missing_file_is_refused(tmp_path, file):
    write_track(tmp_path / "test/Track01876", TRACKS["test/Track01876"])
    (tmp_path / "test/Track01876" / file).unlink()
    with pytest.raises(DataError, match=f"test/Track01876/{file}: "):
        read(tmp_path, "test/Track01876")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stems: [", "cannot be read"),
        ("UUID: 1a81", "lists no stems"),
        ("stems:\n  S00: {audio_rendered: true, midi_saved: true}", "stem S00 lacks a field .*inst_class"),
        ("stems:\n  S00:", "stem S00 lacks a field"),
    ],
)
def test_damaged_metadata_are_refused(tmp_path, text, words):
    write_track(tmp_path / "test/Track01876", TRACKS["test/Track01876"])
    (tmp_path / "test/Track01876/metadata.yaml").write_text(text)
    with pytest.raises(DataError, match=f"test/Track01876/metadata.yaml: .*{words}"):
        read(tmp_path, "test/Track01876")


def test_track_without_metadata_is_reported(tmp_path):
    write_track(tmp_path / "test/Track01876", TRACKS["test/Track01876"])
    (tmp_path / "test/Track01877").mkdir()
    problems = []
    items = Slakh().items(tmp_path, lambda *line: problems.append(line))
    assert [item.id for item in items] == ["Track01876"]
    assert problems[0][0] == "test/Track01877/metadata.yaml"


def test_wrong_folder_names_the_right_one(release, tmp_path):
    for folder in (release.parent, release / "train"):
        with pytest.raises(DataError, match=f"but {release} does: give that folder"):
            Slakh().items(folder, pytest.fail)
    write_track(tmp_path / "babyslakh_16k/Track00001", (PIANO,))
    with pytest.raises(DataError, match="none of the folders train, validation, test"):
        Slakh().items(tmp_path, pytest.fail)


def test_missing_yaml_package_is_named(release, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'mt3x\[train\]'"):
        read(release, "test/Track01876")


def test_class_table_knows_every_class_once():
    classes = [(name, programs) for group in CLASSES.values() for name, programs in group.items()]
    assert {name for name, _ in classes} == {*SLAKH_CLASSES, "Drums"}
    all_programs = [program for _, programs in classes for program in programs]
    assert len(set(all_programs)) == len(all_programs)
    for name in SLAKH_CLASSES:
        program, _ = slakh_class_to_program_and_is_drum(name)
        assert any(program in programs for other, programs in classes if other == name)
