import numpy as np
import pytest

from mt3x.data.datasets.cerberus4 import Cerberus4
from mt3x.data.records.recordings import DataError, Item
from mt3x.music.notes import make_notes
from tests.data.datasets.releases_slakh import BASS, DRUMS, GUITAR, PIANO, make_release, write_track


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slakh2100_flac_redux")
    make_release(folder)
    return folder


def read(release, track):
    split, name = track.split("/")
    problems = []
    item = Item(name, split, (f"{track}/metadata.yaml",))
    return Cerberus4().read(release, item, lambda *line: problems.append(line)), problems


def test_items_are_the_songs_that_hold_a_quartet(release):
    items = Cerberus4().items(release, pytest.fail)
    assert [(item.id, item.split) for item in items] == [
        ("Track00001", "train"),
        ("Track00002", "train"),
        ("Track01501", "validation"),
    ]


def test_one_quartet_has_four_programs(tmp_path):
    write_track(tmp_path / "test/Track00007", (PIANO, BASS, GUITAR, DRUMS))
    recording, problems = read(tmp_path, "test/Track00007")
    assert not problems
    assert [stem.name for stem in recording.stems] == ["piano", "bass", "guitar", "drums"]
    piano, bass, guitar, drums = (stem.notes for stem in recording.stems)
    np.testing.assert_array_equal(piano, make_notes([0.0, 0.5], [0.5, 1.0], [60, 64], 80, program=0))
    np.testing.assert_array_equal(bass, make_notes(0.25, 0.75, 40, 80, program=32))
    np.testing.assert_array_equal(guitar, make_notes(0.0, 1.0, 57, 80, program=24))
    np.testing.assert_array_equal(drums, make_notes([0.0, 0.5], [0.125, 0.625], [36, 38], 80, is_drum=True))
    assert [sorted(mix) for mix in recording.mixes] == [[0, 1, 2, 3]]


def test_two_guitars_and_two_basses_make_four_quartets(tmp_path):
    write_track(tmp_path / "train/Track00007", (PIANO, GUITAR, GUITAR, DRUMS, BASS, BASS))
    recording, _ = read(tmp_path, "train/Track00007")
    assert sorted(sorted(mix) for mix in recording.mixes) == [
        [0, 1, 3, 4],
        [0, 1, 3, 5],
        [0, 2, 3, 4],
        [0, 2, 3, 5],
    ]


def test_other_stems_are_left_out(release):
    recording, _ = read(release, "train/Track00001")
    assert [stem.name for stem in recording.stems] == ["guitar", "drums", "piano", "bass", "guitar"]


def test_damaged_metadata_are_reported_and_left_out(tmp_path):
    write_track(tmp_path / "train/Track00007", (PIANO, BASS, GUITAR, DRUMS))
    write_track(tmp_path / "train/Track00008", (PIANO, BASS, GUITAR, DRUMS))
    (tmp_path / "train/Track00007/metadata.yaml").write_text("stems: [")
    problems = []
    items = Cerberus4().items(tmp_path, lambda *line: problems.append(line))
    assert [item.id for item in items] == ["Track00008"]
    ((file, reason),) = problems
    assert file == "train/Track00007/metadata.yaml" and "cannot be read" in reason


def test_cut_off_flac_is_refused(release):
    with pytest.raises(DataError, match="Track00002/stems/S01.flac: is cut off"):
        read(release, "train/Track00002")


def test_wrong_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no"):
        Cerberus4().items(tmp_path, pytest.fail)
