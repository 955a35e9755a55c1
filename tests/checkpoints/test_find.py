"""Which checkpoint a path names, and what is said of paths that name none."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mt3x.checkpoints import (
    CheckpointError,
    Format,
    find_checkpoint,
    latest_step,
    load_checkpoint,
    load_params,
    read_config,
    save_orbax,
    write_t5x,
)
from mt3x.checkpoints.folder import Folder, check_new_place, new_folder

GOLDEN = Path(__file__).parents[1] / "golden"


def params_of(value):
    return {"decoder": {"scale": np.full(4, value, np.float32)}}


@pytest.fixture
def run(tmp_path):
    """A folder with T5X checkpoints of steps 9 and 10, and one that was never finished."""
    for step in (9, 10):
        write_t5x(tmp_path / f"checkpoint_{step}", params_of(step), step)
    (tmp_path / "checkpoint_11.tmp-1700000000").mkdir()
    (tmp_path / "checkpoint_12.orbax-checkpoint-tmp").mkdir()
    return tmp_path


def test_the_newest_of_several_checkpoints_is_taken(run):
    assert load_params(run)["decoder"]["scale"].tolist() == [10.0] * 4
    assert latest_step(run) == 10


def test_one_of_several_checkpoints_can_be_named(run):
    assert load_checkpoint(run / "checkpoint_9").step == 9


def test_the_folder_of_a_training_run_names_its_newest_checkpoint(tmp_path):
    for step in (9, 10):
        write_t5x(tmp_path / "run" / "checkpoints" / f"checkpoint_{step}", params_of(step), step)
    (tmp_path / "run" / "config.json").write_text("{}")
    assert load_params(tmp_path / "run")["decoder"]["scale"].tolist() == [10.0] * 4
    assert read_config(find_checkpoint(tmp_path / "run")) == b"{}"


def test_a_trailing_slash_or_the_file_itself_names_the_same_checkpoint(run):
    expected = find_checkpoint(run / "checkpoint_10")
    assert find_checkpoint(f"{run}/checkpoint_10/") == expected
    assert find_checkpoint(run / "checkpoint_10" / "checkpoint") == expected


def test_a_relative_path_and_a_home_folder_are_resolved(run, monkeypatch):
    monkeypatch.chdir(run)
    monkeypatch.setenv("HOME", str(run))
    assert find_checkpoint("checkpoint_9").folder.path == str(run / "checkpoint_9")
    assert find_checkpoint("~/checkpoint_9").folder.path == str(run / "checkpoint_9")


def test_a_folder_with_spaces_and_non_ascii_letters_is_read(tmp_path):
    path = tmp_path / "Modèle für Klavier" / "checkpoint_1"
    write_t5x(path, params_of(1), 1)
    assert load_params(path)["decoder"]["scale"].tolist() == [1.0] * 4


def test_an_orbax_folder_is_found_in_all_its_layouts(tmp_path):
    save_orbax(tmp_path / "plain", params_of(1))
    save_orbax(tmp_path / "managed" / "checkpoint_7" / "default", params_of(7))
    for path in ("plain", "managed", "managed/checkpoint_7", "managed/checkpoint_7/default"):
        assert find_checkpoint(tmp_path / path).format is Format.ORBAX
    loaded = load_checkpoint(tmp_path / "managed")
    assert loaded.step == 7
    assert loaded.params["decoder"]["scale"].tolist() == [7.0] * 4


def test_a_folder_without_checkpoints_has_no_latest_step(tmp_path):
    assert latest_step(tmp_path) is None
    assert latest_step(tmp_path / "absent") is None


def test_config_is_found_in_the_checkpoint_before_the_run_around_it(run):
    found = find_checkpoint(run)
    assert read_config(found) is None
    (run / "config.json").write_text("run")
    assert read_config(found) == b"run"
    (run / "checkpoint_10" / "config.json").write_text("own")
    assert read_config(found) == b"own"


def test_config_of_a_training_run_is_found_from_its_checkpoints(tmp_path):
    save_orbax(tmp_path / "run" / "checkpoints" / "checkpoint_7" / "state", params_of(7))
    (tmp_path / "run" / "config.json").write_text("run")
    assert read_config(find_checkpoint(tmp_path / "run" / "checkpoints")) == b"run"


def test_config_of_a_folder_around_something_else_is_not_taken(tmp_path):
    write_t5x(tmp_path / "model", params_of(1), 1)
    (tmp_path / "config.json").write_text("another program's")
    assert read_config(find_checkpoint(tmp_path / "model")) is None


def test_a_path_where_nothing_is_says_so(tmp_path):
    with pytest.raises(
        CheckpointError, match="absent: no such folder, or it is empty; expected a file 'checkpoint'"
    ):
        find_checkpoint(tmp_path / "absent")


def test_a_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="model.pt: is a file"):
        find_checkpoint(tmp_path / "model.pt")


def test_the_folder_of_one_array_points_to_the_one_around_it():
    checkpoint = GOLDEN / "t5x_checkpoint_tiny" / "checkpoint_3"
    with pytest.raises(CheckpointError, match=f"this is one array of a checkpoint; .*{checkpoint}"):
        find_checkpoint(checkpoint / "target.decoder.decoder_norm.scale")


def test_arrays_without_their_msgpack_file_are_named(run):
    (run / "checkpoint_10" / "checkpoint").unlink()
    with pytest.raises(CheckpointError, match="checkpoint_10: arrays of a T5X checkpoint without their file"):
        find_checkpoint(run)


def test_a_folder_too_high_up_names_the_right_one(run):
    (run / "checkpoint_9").rename(run / "piano")
    for name in ("checkpoint_10", "checkpoint_11.tmp-1700000000", "checkpoint_12.orbax-checkpoint-tmp"):
        shutil.rmtree(run / name)
    with pytest.raises(CheckpointError, match=f"no checkpoint here, but in piano; give {run}/piano"):
        find_checkpoint(run)


def test_leftovers_of_unfinished_saves_are_named(run):
    with pytest.raises(CheckpointError, match="checkpoint_11.tmp-1700000000: left over from a save"):
        find_checkpoint(run / "checkpoint_11.tmp-1700000000")
    for step in (9, 10):
        shutil.rmtree(run / f"checkpoint_{step}")
    with pytest.raises(
        CheckpointError, match="holds only checkpoint_11.tmp-1700000000, left over from a save"
    ):
        find_checkpoint(run)


def test_a_folder_of_other_things_says_what_is_expected(tmp_path):
    (tmp_path / "song.wav").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"no checkpoint here; expected .* or folders checkpoint_<step>"
    ):
        find_checkpoint(tmp_path)


def test_a_name_that_the_system_refuses_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be listed: File name too long"):
        Folder.at(tmp_path / ("x" * 300)).names()
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        Folder.at(tmp_path).read("x" * 300)


def test_reading_what_is_no_file_gives_none(tmp_path):
    (tmp_path / "folder").mkdir()
    assert Folder.at(tmp_path).read("folder") is None
    assert Folder.at(tmp_path).read("absent") is None


def test_a_bucket_path_is_split_into_bucket_and_folder():
    folder = Folder.at("gs://mt3/checkpoints/mt3/")
    assert str(folder) == "gs://mt3/checkpoints/mt3"
    assert (folder.name, folder.parent.path) == ("mt3", "gs://mt3/checkpoints")
    assert (folder / "w").kvstore() == {"driver": "gcs", "bucket": "mt3", "path": "checkpoints/mt3/w/"}
    assert Folder.at("gs://mt3").kvstore() == {"driver": "gcs", "bucket": "mt3", "path": ""}


def test_a_bucket_path_without_a_bucket_is_refused():
    with pytest.raises(CheckpointError, match="names no bucket"):
        Folder.at("gs:///checkpoints")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("gs://mt3/new", "written to local folders only"),
        ("checkpoint_1.tmp-3", "mark unfinished checkpoints"),
        (".", "exists already"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(path, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        check_new_place(path)


def test_a_new_folder_appears_when_it_is_complete(tmp_path):
    with new_folder(tmp_path / "deep" / "new") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "file").read_text() == "x"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new"]


def test_a_new_folder_vanishes_when_its_writer_is_interrupted(tmp_path):
    def write_and_interrupt():
        with new_folder(tmp_path / "new") as folder:
            (folder / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    assert list(tmp_path.iterdir()) == []
