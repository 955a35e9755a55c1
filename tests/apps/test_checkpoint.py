"""The command `mt3x checkpoint`: what it prints, writes and refuses."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mt3x.apps import checkpoint
from mt3x.checkpoints import CheckpointDirectory, flatten, load_checkpoint, load_params, write_t5x

BY_T5X = Path(__file__).parents[1] / "golden" / "t5x_checkpoint_tiny"


def run(*words):
    parser = argparse.ArgumentParser()
    checkpoint.add_parser(parser.add_subparsers())
    return checkpoint.run(parser.parse_args(["checkpoint", *map(str, words)]))


@pytest.fixture
def small(tmp_path):
    write_t5x(tmp_path / "small", {"scale": np.ones(4, np.float32)}, 5, inline=True)
    return tmp_path / "small"


def test_inspect_prints_format_step_sizes_and_arrays(capsys):
    assert run("inspect", BY_T5X) == 0
    out = capsys.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if line)
    assert lines["path"] == str(BY_T5X / "checkpoint_3")
    assert (lines["format"], lines["step"], lines["parameters"]) == ("T5X", "3", "426,752")
    assert lines["config.json"].startswith("none")
    assert "vocab_size 1536, emb_dim 64, input_depth 512" in lines["sizes"]
    assert "num_encoder_layers 2, num_decoder_layers 2" in lines["sizes"]
    assert lines["decoder/logits_dense/kernel"].split() == ["[64,", "1536]", "float32"]
    assert len(lines) == 6 + 51


def test_inspect_says_what_is_unknown(tmp_path, small, capsys):
    run("convert", small, tmp_path / "orbax", "--to", "orbax")
    (tmp_path / "orbax" / "config.json").write_text("{}")
    capsys.readouterr()
    assert run("inspect", tmp_path / "orbax") == 0
    out = capsys.readouterr().out
    assert "format      Orbax" in out
    assert "config.json yes" in out
    assert "sizes       not those of a T5 network" in out


@pytest.mark.parametrize("to", ["t5x", "t5x-inline", "orbax"])
def test_converted_weights_are_the_same(tmp_path, to, capsys):
    assert run("convert", BY_T5X, tmp_path / "new", "--to", to) == 0
    assert f"wrote {tmp_path}/new: {to}, 426,752 parameters, step 3, " in capsys.readouterr().out
    found, expected = load_checkpoint(tmp_path / "new"), load_checkpoint(BY_T5X)
    assert found.step == 3
    found, expected = flatten(found.params), flatten(expected.params)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_conversion_to_bfloat16_halves_the_file(tmp_path):
    for dtype in ("float32", "bfloat16"):
        assert run("convert", BY_T5X, tmp_path / dtype, "--to", "t5x-inline", "--dtype", dtype) == 0
        assert {array.dtype.name for array in flatten(load_params(tmp_path / dtype)).values()} == {dtype}
    sizes = [(tmp_path / dtype / "checkpoint").stat().st_size for dtype in ("float32", "bfloat16")]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.01)


def test_config_travels_with_the_weights_of_a_training_run(tmp_path, capsys):
    state = {"average": {"scale": np.ones(4, np.float32)}, "step": np.int32(8)}
    with CheckpointDirectory(tmp_path / "run" / "checkpoints") as checkpoints:
        checkpoints.save(8, {"state": state}, {})
    (tmp_path / "run" / "config.json").write_text('{"hop": 256}')
    assert run("convert", tmp_path / "run" / "checkpoints", tmp_path / "model", "--to", "t5x-inline") == 0
    assert "step 8, 0.0 MiB, with config.json" in capsys.readouterr().out
    assert (tmp_path / "model" / "config.json").read_text() == '{"hop": 256}'
    assert load_params(tmp_path / "model")["scale"].tolist() == [1.0] * 4


def test_a_wrong_path_gives_one_line_and_exit_code_2(tmp_path, capsys):
    assert run("inspect", tmp_path / "absent") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mt3x checkpoint: {tmp_path}/absent: no such folder")
    assert error.count("\n") == 1


def test_an_existing_destination_is_not_touched(tmp_path, small, capsys):
    assert run("convert", BY_T5X, small, "--to", "t5x") == 2
    assert "exists already" in capsys.readouterr().err
    assert list(load_params(small)) == ["scale"]


def test_a_disk_that_refuses_gives_one_line_and_exit_code_1(tmp_path, small, capsys):
    (tmp_path / "file").write_text("")
    assert run("convert", small, tmp_path / "file" / "new", "--to", "t5x-inline") == 1
    error = capsys.readouterr().err
    assert error.startswith("mt3x checkpoint: ")
    assert error.count("\n") == 1


def test_a_reader_that_stops_early_is_no_error():
    command = [sys.executable, "-m", "mt3x", "checkpoint", "inspect", str(BY_T5X)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
