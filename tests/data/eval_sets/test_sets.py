"""Test sets of small scores: their make-up, that they can be rebuilt, and what is written."""

import collections
import hashlib
import json

import numpy as np
import pytest
import soundfile

from mt3x.data.eval_sets.arrangements import Ensemble
from mt3x.data.eval_sets.pieces import TWINS_IN_TRAINING
from mt3x.data.eval_sets.sets import (
    MANIFEST_FILE,
    PEAK,
    SAMPLE_RATE,
    SETS,
    draw_test_set,
    read_manifest,
    write_test_set,
)
from mt3x.data.synthetic.scores import is_held_out
from mt3x.music.midi import read_midi
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT
from tests.data.eval_sets.test_arrangements import make_choir, make_song

NAMES = [name for name in (f"lc{i}" for i in range(1000)) if is_held_out(name)][:8]
SCORES = [make_song(name) for name in NAMES[:6]] + [make_choir(name) for name in NAMES[6:]]


def test_challenge25_is_made_as_the_challenge_tells():
    assert SETS["challenge25"].pieces == 76
    drawn = list(draw_test_set("challenge25", SCORES))
    assert collections.Counter(excerpt.ensemble for excerpt in drawn) == {
        Ensemble.SOLO: 6,
        Ensemble.DUO: 24,
        Ensemble.TRIO: 46,
    }
    assert len({excerpt.name for excerpt in drawn}) == 76
    programs = {program for excerpt in drawn for program in excerpt.excerpt.notes["program"].tolist()}
    assert programs == {0, 40, 41, 42, 57, 68, 70, 73}
    assert not any(excerpt.excerpt.notes["is_drum"].any() for excerpt in drawn)
    assert len({excerpt.ensemble for excerpt in drawn[:12]}) > 1, "few pieces are of several kinds"


def test_every_piece_is_played_before_one_comes_again():
    drawn = draw_test_set("song", SCORES)
    names = [next(drawn).score.name for _ in range(12)]
    assert sorted(names[:6]) == sorted(names[6:]) == sorted(NAMES[:6])


@pytest.mark.parametrize("name", SETS)
def test_a_set_depends_on_the_seed_alone(name):
    def first(seed):
        return [next(drawn).excerpt.notes for drawn in [draw_test_set(name, SCORES, seed)] for _ in range(3)]

    assert all(map(np.array_equal, first(1), first(1)))
    assert not any(map(np.array_equal, first(1), first(2)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "band"
    return folder, write_test_set("band", SCORES, folder, TEST_SOUNDFONT, pieces=2)


def test_a_written_set_holds_audio_notes_and_manifest(written):
    folder, manifest = written
    assert sorted(path.name for path in folder.iterdir()) == [
        *("000.flac", "000.mid", "001.flac", "001.mid", MANIFEST_FILE),
    ]
    assert read_manifest(folder) == manifest == json.loads((folder / MANIFEST_FILE).read_text())
    assert (manifest["set"], manifest["soundfont"]["name"], manifest["room"]) == ("band", "TimGM6mb", "dry")
    for entry in manifest["excerpts"]:
        samples, rate = soundfile.read(folder / f"{entry['name']}.flac", dtype="int16")
        assert rate == SAMPLE_RATE and samples.shape == (20 * SAMPLE_RATE,)
        assert np.abs(samples).max() == pytest.approx(PEAK * 32767, abs=1)
        assert entry["samples_sha256"] == hashlib.sha256(samples.tobytes()).hexdigest()
        midi = folder / f"{entry['name']}.mid"
        assert entry["midi_sha256"] == hashlib.sha256(midi.read_bytes()).hexdigest()
        notes = read_midi(midi)
        assert len(notes) == entry["notes"] and notes["is_drum"].any()
        assert entry["score"] in NAMES and (entry["title"], entry["composer"]) == ("Title", "Composer")
        assert len(entry["instruments"]) == 4 and entry["instruments"][-1] == "drums"


def test_fewer_pieces_are_the_first_ones_bit_for_bit(written, tmp_path):
    folder, manifest = written
    again = write_test_set("band", SCORES, tmp_path, TEST_SOUNDFONT, pieces=1)
    assert again["excerpts"] == manifest["excerpts"][:1]
    for name in ("000.flac", "000.mid"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    twin = next(iter(TWINS_IN_TRAINING))
    trained = next(name for name in (f"lc{i}" for i in range(1000)) if not is_held_out(name))
    for arguments, message in (
        (("opera", SCORES), "no test set opera; the sets are challenge25, piano"),
        (("song", [make_song(trained)]), f"{trained} is no test piece"),
        (("song", [make_song(twin)]), "is no test piece"),
        (("song", SCORES[6:]), "none of 2 scores has parts for a voice and a piano"),
    ):
        with pytest.raises(ValueError, match=message):
            write_test_set(*arguments, tmp_path / "set", TEST_SOUNDFONT)
    for pieces in (0, 41):
        with pytest.raises(ValueError, match=f"pieces is {pieces}; song has 1..40"):
            write_test_set("song", SCORES, tmp_path / "set", TEST_SOUNDFONT, pieces=pieces)
    assert not list(tmp_path.iterdir())


def test_scores_that_leave_an_instrument_silent_are_given_up(monkeypatch):
    monkeypatch.setattr("mt3x.data.eval_sets.sets.draw_excerpt", lambda *_: None)
    with pytest.raises(ValueError, match="8 scores had a silent instrument for song"):
        next(draw_test_set("song", SCORES))


def test_a_folder_without_manifest_is_no_set(tmp_path):
    for text in (None, "{", "[]", '{"excerpts": []}'):
        if text:
            (tmp_path / MANIFEST_FILE).write_text(text)
        with pytest.raises(ValueError, match="is no manifest of a test set"):
            read_manifest(tmp_path)
