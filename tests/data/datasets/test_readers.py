"""What every reader promises, checked on a miniature of each release; a new data set adds one line here."""

import contextlib
import dataclasses
import functools
import pickle
import shutil

import numpy as np
import pytest

from mt3x.data.datasets import READERS, make_reader
from mt3x.data.records.array_records import Records
from mt3x.data.records.build import build
from mt3x.data.records.recordings import DataError, check_recording
from tests.data.datasets import releases_public, releases_scores, releases_slakh
from tests.data.datasets.test_midi_folder import make_release as make_midi_folder

RELEASES = {
    "slakh": releases_slakh.make_release,
    "cerberus4": releases_slakh.make_release,
    "maestrov1": functools.partial(releases_public.make_maestro, version=1),
    "maestrov3": functools.partial(releases_public.make_maestro, version=3),
    "guitarset": releases_public.make_guitarset,
    "urmp": releases_public.make_urmp,
    "musicnet": releases_public.make_musicnet,
    "musicnet_em": releases_public.make_musicnet_em,
    "midi_folder": make_midi_folder,
    "openscore_synth": releases_scores.make_release,
    "monophonic": releases_scores.make_release,
}
"""Functions that write a miniature release into a folder."""

OPTIONS = {"openscore_synth": releases_scores.OPTIONS, "monophonic": releases_scores.OPTIONS}

every_reader = pytest.mark.parametrize("name", READERS)


def ignore(file, reason):
    """A report that nobody reads."""


GARBAGE = b"\0\xff not this \xfe" * 20


def good_items(reader, folder):
    """Items that can be read; miniatures may hold some that are broken on purpose, but fewer."""
    items = reader.items(folder, ignore)
    good = []
    for item in items:
        with contextlib.suppress(DataError):
            reader.read(folder, item, ignore)
            good.append(item)
    assert len(good) > len(items) / 2
    return good


@pytest.fixture(scope="module")
def release_of(tmp_path_factory):
    """name -> (reader, folder of its miniature), made once."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        RELEASES[name](folder)
        return make_reader(name, **OPTIONS.get(name, {})), folder

    return make


def test_every_reader_has_a_miniature_release():
    assert set(RELEASES) == set(READERS)


@every_reader
def test_its_name_is_that_of_the_table_and_it_travels_to_workers(name, release_of):
    reader, _ = release_of(name)
    assert reader.name == name
    assert set(reader.splits) <= {"train", "validation", "test"} and "train" in reader.splits
    copy = pickle.loads(pickle.dumps(reader))
    assert (copy.name, copy.splits) == (reader.name, reader.splits)


@every_reader
def test_its_options_show_in_its_repr(name, release_of):
    reader, _ = release_of(name)
    if dataclasses.is_dataclass(reader):
        for option in dataclasses.fields(reader):
            assert f"{option.name}={getattr(reader, option.name)!r}" in repr(reader)
    else:
        assert vars(reader) == {}


@every_reader
def test_its_items_are_stable_and_their_files_are_there(name, release_of):
    reader, folder = release_of(name)
    items = reader.items(folder, ignore)
    assert items and items == reader.items(folder, ignore)
    assert len({item.id for item in items}) == len(items)
    for item in items:
        assert item.split in reader.splits
        assert item.files and all((folder / file).is_file() for file in item.files)
        assert not any(file.startswith("/") or "\\" in file for file in item.files)


@every_reader
def test_its_recordings_are_sound_and_always_the_same(name, release_of):
    reader, folder = release_of(name)
    for item in good_items(reader, folder):
        first = check_recording(reader.read(folder, item, ignore), item)
        second = reader.read(folder, item, ignore)
        assert first.mixes == second.mixes
        for mine, theirs in zip(first.stems, second.stems, strict=True):
            assert mine.name and mine.name == theirs.name
            np.testing.assert_array_equal(mine.samples, theirs.samples)
            np.testing.assert_array_equal(mine.notes, theirs.notes)


@every_reader
def test_all_of_its_good_items_become_records(name, release_of, tmp_path):
    reader, folder = release_of(name)
    good = good_items(reader, folder)
    manifest = build(reader, folder, tmp_path)
    left_out = {item for split in manifest["splits"].values() for item in split["left_out"]}
    assert left_out == {item.id for item in reader.items(folder, ignore)} - {item.id for item in good}
    for split in manifest["splits"]:
        records = Records(tmp_path, split)
        mine = [item for item in good if item.split == split]
        assert [records.record(number).id for number in range(records.num_records)] == [i.id for i in mine]
        example = records[len(records) - 1]
        whole = reader.read(folder, mine[-1], ignore)
        stems = [whole.stems[stem] for stem in whole.mixes[-1]]
        summed = np.sum([stem.samples for stem in stems], axis=0)
        np.testing.assert_allclose(example.samples, summed, atol=2**-15 * len(stems))
        assert len(example.notes) == sum(len(stem.notes) for stem in stems)


@every_reader
@pytest.mark.parametrize("damage", ["empty", "garbage", "cut off", "missing"])
def test_a_damaged_file_is_told(name, release_of, tmp_path, damage):
    reader, folder = release_of(name)
    item = good_items(reader, folder)[0]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file in item.files:
        content = (copy / file).read_bytes()
        half = content[: len(content) // 2]
        if damage == "missing":
            (copy / file).unlink()
        else:
            (copy / file).write_bytes({"empty": b"", "garbage": GARBAGE, "cut off": half}[damage])
        told = []
        try:
            check_recording(reader.read(copy, item, lambda *problem, told=told: told.append(problem)), item)
        except DataError as error:
            told.append((item.id, str(error)))
        (copy / file).write_bytes(content)
        is_text = b"\0" not in content  # half of a text may be a whole one
        assert told or (is_text and damage == "cut off")


@every_reader
def test_a_folder_that_is_not_the_release_is_an_error(name, release_of, tmp_path):
    reader, _ = release_of(name)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=str(folder)):
            reader.items(folder, ignore)


def test_an_unknown_data_set_or_option_is_an_error():
    with pytest.raises(ValueError, match="there is no data set 'jazz'; there are slakh, cerberus4"):
        make_reader("jazz")
    with pytest.raises(ValueError, match="maestrov3 has no option version; it has none"):
        make_reader("maestrov3", version=1)
    with pytest.raises(ValueError, match="monophonic has no option colour; it has seed, takes, seconds"):
        make_reader("monophonic", colour="red")
