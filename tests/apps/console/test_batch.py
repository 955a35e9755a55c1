import argparse
import os
from pathlib import Path

import pytest

from mt3x.apps.console.batch import Job, plan, read_formats


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def outputs(inputs, output_directory=None, formats=("mid",)):
    jobs, complaints = plan(inputs, formats, output_directory)
    assert complaints == []
    return [os.path.relpath(output) for job in jobs for output in job.outputs]


def test_output_stands_beside_its_recording(folder):
    touch("a b/söng.wav")
    assert outputs(["a b/söng.wav"]) == ["a b/söng.mid"]


def test_each_format_has_its_output(folder):
    touch("song.wav")
    assert outputs(["song.wav"], formats=("mid", "csv")) == ["song.mid", "song.csv"]


def test_output_directory_holds_the_outputs_of_one_folder_flat(folder):
    touch("in/a.wav", "in/b.wav")
    assert outputs(["in/a.wav", "in/b.wav"], Path("out")) == ["out/a.mid", "out/b.mid"]


def test_output_directory_mirrors_folders(folder):
    touch("in/one/track.wav", "in/two/track.wav")
    expected = ["out/one/track.mid", "out/two/track.mid"]
    assert outputs(["in"], Path("out")) == expected
    assert outputs(["in/one/track.wav", "in/two/track.wav"], Path("out")) == expected


def test_folder_is_mirrored_from_itself_even_with_everything_in_one_subfolder(folder):
    touch("in/one/track.wav")
    assert outputs(["in"], Path("out")) == ["out/one/track.mid"]


def test_folder_is_searched_for_audio_and_leaves_out_the_rest(folder):
    touch("in/b.FLAC", "in/deep/a.mp3", "in/notes.txt", "in/.hidden.wav", "in/.git/c.wav")
    assert outputs(["in"]) == ["in/b.mid", "in/deep/a.mid"]


def test_pattern_is_expanded_where_the_shell_did_not(folder):
    touch("in/a.wav", "in/b.wav", "in/c.txt")
    assert outputs(["in/*.wav"]) == ["in/a.mid", "in/b.mid"]
    touch("in/deep/er/d.wav")
    assert outputs(["in/**/*.wav"])[-1] == "in/deep/er/d.mid"


def test_name_with_brackets_that_exists_is_no_pattern(folder):
    touch("take[1].wav", "take1.wav")
    assert outputs(["take[1].wav"]) == ["take[1].mid"]


def test_recordings_that_differ_in_suffix_keep_it_whether_or_not_both_are_named(folder):
    touch("song.wav", "song.mp3", "other.wav")
    assert outputs(["."]) == ["other.mid", "song.mp3.mid", "song.wav.mid"]
    assert outputs(["song.wav"]) == ["song.wav.mid"]


def test_names_that_differ_in_case_do_not_collide(folder):
    touch("Song.wav", "song.mp3")
    assert outputs(["."]) == ["Song.wav.mid", "song.mp3.mid"]


def test_kept_suffix_never_collides_with_a_stem(folder):
    touch("a.wav", "a.mp3", "a.wav.flac")
    names = outputs(["."])
    assert len(set(names)) == 3


def test_recording_named_twice_is_one_job(folder):
    touch("in/song.wav")
    assert outputs(["in/song.wav", "in", "./in/../in/song.wav"]) == ["in/song.mid"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.wav", "absent.wav: no such file or folder"),
        ("*.ogg", "*.ogg: no file matches this pattern"),
        ("empty", "empty: no recordings in this folder"),
    ],
)
def test_input_without_recordings_is_named_and_the_rest_goes_on(folder, name, sentence):
    touch("song.wav")
    Path("empty").mkdir()
    jobs, complaints = plan([name, "song.wav"], ["mid"])
    assert complaints == [sentence]
    assert [job.recording.name for job in jobs] == ["song.wav"]


def test_dangling_link_is_left_to_the_reader_to_report(folder):
    Path("song.wav").symlink_to("gone.wav")
    (job,), complaints = plan(["song.wav"], ["mid"])
    assert complaints == [] and not job.is_done()


def test_job_is_done_when_every_output_is_as_new_as_the_recording(folder):
    touch("song.wav", "song.mid")
    job = Job(Path("song.wav"), (Path("song.mid"), Path("song.json")))
    assert not job.is_done()
    touch("song.json")
    assert job.is_done()
    os.utime("song.mid", (1, 1))
    assert not job.is_done()


def test_formats_are_named_once_each_in_any_case():
    assert read_formats("JSON,mid,json") == ("json", "mid")
    with pytest.raises(argparse.ArgumentTypeError, match="unknown format ''; choose from mid, json, csv"):
        read_formats("mid,")
