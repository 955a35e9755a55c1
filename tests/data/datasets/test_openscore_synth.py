"""Takes of scores: listed by split, always the same, one stem an instrument, and nothing beyond the audio."""

import dataclasses

import numpy as np
import pytest

from mt3x.data.datasets import rendered_scores
from mt3x.data.datasets.openscore_synth import OpenScoreSynth
from mt3x.data.records.recordings import DataError, Item, check_recording
from mt3x.data.synthetic.scores import pack_scores
from mt3x.music.instruments import DRUMS_NAME, program_name
from tests.data.datasets.releases_scores import OPTIONS, TEST, TRAIN, VALIDATION, make_release

READER = OpenScoreSynth(**OPTIONS)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    make_release(folder)
    return folder


@pytest.fixture
def told():
    return []


@pytest.fixture
def report(told):
    return lambda file, reason: told.append((file, reason))


def test_every_score_has_its_takes_in_its_split(release, told, report):
    items = READER.items(release, report)
    assert items[:2] == [
        Item(f"composer/{TRAIN}/0", "train", (f"composer/{TRAIN}.musicxml",)),
        Item(f"composer/{TRAIN}/1", "train", (f"composer/{TRAIN}.musicxml",)),
    ]
    assert {item.id.split("/")[-2]: item.split for item in items} == {
        TRAIN: "train",
        VALIDATION: "validation",
        TEST: "test",
    }
    assert len(items) == 6 and told == []


def test_an_archive_gives_the_same_takes_as_its_scores(release, tmp_path, report):
    archive = tmp_path / "scores.npz"
    pack_scores([release / "composer" / f"{TRAIN}.musicxml", release / f"{TEST}.musicxml"], archive)
    items = READER.items(archive, report)
    assert [(item.id, item.split) for item in items[2:]] == [(f"{TEST}/0", "test"), (f"{TEST}/1", "test")]
    packed = READER.read(archive, items[2], report)
    plain = READER.read(release, Item(f"{TEST}/0", "test", (f"{TEST}.musicxml",)), report)
    assert len(packed.stems) == len(plain.stems)
    for mine, theirs in zip(packed.stems, plain.stems, strict=True):
        np.testing.assert_array_equal(mine.notes, theirs.notes)
        np.testing.assert_array_equal(mine.samples, theirs.samples)


def test_scores_of_one_name_are_told_apart_in_an_archive_and_reported_in_a_folder(
    release, tmp_path, told, report
):
    make_release(tmp_path / "twice")
    (tmp_path / "twice" / f"{TEST}.xml").write_text("")
    pack_scores([release / f"{TEST}.musicxml"] * 2, tmp_path / "scores.npz")
    items = READER.items(tmp_path / "scores.npz", report)
    assert [item.id for item in items] == [f"{TEST}/0", f"{TEST}/1", f"{TEST}~2/0", f"{TEST}~2/1"]
    assert told == []
    assert len(READER.items(tmp_path / "twice", report)) == 4
    assert [file for file, _ in told] == [f"{TEST}.musicxml", f"{TEST}.xml"]
    assert f"is one of 2 scores named {TEST}; left out: keep one" in told[0][1]


def test_a_take_has_one_stem_for_each_instrument_and_one_mix_of_all(release, report):
    item = READER.items(release, report)[0]
    found = set()
    for seed in range(4):
        reader = dataclasses.replace(READER, seed=seed)
        recording = check_recording(reader.read(release, item, report), item)
        assert recording.mixes == (tuple(range(len(recording.stems))),)
        for stem in recording.stems:
            assert len(stem.samples) == 48_000 and np.abs(stem.samples).max() > 0.001
            (name,) = {
                DRUMS_NAME if note["is_drum"] else program_name(note["program"]) for note in stem.notes
            }
            assert stem.name == name
            found.add(name)
    assert len(found) > 2


def test_a_take_depends_on_seed_and_item_alone(release, report):
    first, second, *_ = READER.items(release, report)
    once = READER.read(release, first, report)
    other = READER.read(release, second, report)
    again = READER.read(release, first, report)
    np.testing.assert_array_equal(once.stems[0].samples, again.stems[0].samples)
    np.testing.assert_array_equal(once.stems[0].notes, again.stems[0].notes)
    assert not np.array_equal(once.stems[0].samples, other.stems[0].samples)
    reseeded = dataclasses.replace(READER, seed=1).read(release, first, report)
    assert not np.array_equal(once.stems[0].samples, reseeded.stems[0].samples)


def test_the_test_split_is_rendered_with_a_soundfont_of_its_own(release, report):
    item = READER.items(release, report)[-1]
    test_take = READER.read(release, item, report)
    as_training = dataclasses.replace(READER, test_soundfont="sf_GMbank").read(release, item, report)
    assert not np.array_equal(test_take.stems[0].samples, as_training.stems[0].samples)


def test_a_score_that_cannot_be_read_is_an_error_of_its_takes_alone(tmp_path, report):
    make_release(tmp_path)
    (tmp_path / f"{TEST}.musicxml").write_text("no score")
    *_, last = READER.items(tmp_path, report)
    with pytest.raises(DataError, match="can't be read as MusicXML"):
        READER.read(tmp_path, last, report)


def test_a_score_of_which_nothing_sounds_is_an_error(release, report, monkeypatch):
    monkeypatch.setattr(rendered_scores, "keep_sounding", lambda synthesizer, notes: notes[:0])
    item = READER.items(release, report)[0]
    with pytest.raises(DataError, match=f"{TRAIN}.musicxml: nothing sounds in 20 excerpts of it"):
        READER.read(release, item, report)


def test_a_soundfont_that_cannot_be_read_is_an_error(release, tmp_path, report):
    (tmp_path / "broken.sf2").write_bytes(b"no soundfont")
    reader = dataclasses.replace(READER, soundfonts=(str(tmp_path / "broken.sf2"),))
    with pytest.raises(DataError, match="broken.sf2 cannot be read as a soundfont"):
        reader.read(release, reader.items(release, report)[0], report)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"takes": 0}, "takes is 0; it must be positive"),
        ({"seconds": 0.0}, r"seconds is 0\.0; it must be positive"),
        ({"max_parts": 0}, "max_parts is 0; it must be positive"),
        ({"detune_cents": 300}, "detune_cents is 300; it must be within 0..200"),
    ],
)
def test_impossible_options_are_errors(options, reason):
    with pytest.raises(ValueError, match=reason):
        OpenScoreSynth(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"soundfonts": ("nowhere.sf2",)}, "no soundfont at nowhere.sf2"),
        ({"test_soundfont": "nowhere.sf2"}, "no soundfont at nowhere.sf2"),
        ({"soundfonts": ()}, r"soundfonts is \(\); name at least one"),
        (
            {"soundfonts": "sf_GMbank"},
            r"soundfonts is 'sf_GMbank'; name at least one, as in \('FluidR3_GM',\)",
        ),
    ],
)
def test_a_missing_soundfont_is_an_error(release, report, options, reason):
    with pytest.raises(DataError, match=reason):
        OpenScoreSynth(**{**OPTIONS, **options}).items(release, report)


def test_a_source_without_scores_is_an_error(tmp_path, report):
    with pytest.raises(DataError, match=r"holds no score to play \(\.mxl, \.musicxml, \.xml\)"):
        READER.items(tmp_path, report)
    with pytest.raises(DataError, match="is no folder of scores and no archive of them"):
        READER.items(tmp_path / "nowhere", report)
    (tmp_path / "scores.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="is not an archive of scores"):
        READER.items(tmp_path / "scores.npz", report)
