import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.checkpoints import CheckpointError, cast_floats, flatten, write_t5x
from mt3x.model.config import TINY
from mt3x.transcription import models
from mt3x.transcription.models import resolve_model
from mt3x.transcription.tokens.config import PRESETS
from mt3x.transcription.tokens.parameters import parameter_shapes

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def folder(small_model, tmp_path):
    """The small network without settings."""
    write_t5x(tmp_path / "small", small_model[1], step=1, inline=True)
    return tmp_path / "small"


def test_folder_gives_settings_weights_and_its_name(small_model, small_model_folder):
    config, params, name = resolve_model(small_model_folder)
    assert config == small_model[0] and name == str(small_model_folder)
    expected = flatten(small_model[1])
    for key, array in flatten(params).items():
        np.testing.assert_array_equal(array, expected[key])


def test_stored_bfloat16_is_read_as_float32(small_model, tmp_path):
    config, params = small_model
    write_t5x(tmp_path / "half", cast_floats(params, "bfloat16"), step=1, inline=True)
    (tmp_path / "half" / "config.json").write_text(config.to_json())
    _, params, _ = resolve_model(tmp_path / "half")
    assert {array.dtype.name for array in flatten(params).values()} == {"float32"}


def test_preset_serves_weights_without_settings(small_model, folder, monkeypatch):
    monkeypatch.setitem(PRESETS, "mt3", small_model[0])
    assert resolve_model(folder, preset="mt3")[0] == small_model[0]


def test_default_model_is_the_one_inside_the_package(small_model, small_model_folder, monkeypatch):
    monkeypatch.setattr(models, "_default_folder", lambda: str(small_model_folder))
    for given in (None, "default"):
        config, _, name = resolve_model(given)
        assert config == small_model[0] and name == "default"


def test_missing_default_model_says_what_to_give(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="holds no model .*; give the path of a checkpoint"):
        resolve_model()


def test_missing_settings_name_the_presets_and_the_sizes(folder):
    with pytest.raises(
        ValueError, match="no config.json .* one of mt3, ismir2021 .its sizes are those of none"
    ):
        resolve_model(folder)


def test_missing_settings_name_the_preset_whose_sizes_fit(folder, small_model, monkeypatch):
    monkeypatch.setitem(PRESETS, "ismir2021", small_model[0])
    with pytest.raises(ValueError, match="its sizes are those of ismir2021"):
        resolve_model(folder)


def test_unknown_preset_lists_the_choices(folder):
    with pytest.raises(ValueError, match="no preset 'mt4'; choose from mt3, ismir2021"):
        resolve_model(folder, preset="mt4")


def test_name_of_a_preset_alone_says_that_weights_are_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match="'mt3' names settings, whose weights are not shipped; give the folder"
    ):
        resolve_model("mt3")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="absent: no such folder"):
        resolve_model(tmp_path / "absent")


def test_weights_of_other_sizes_name_the_arrays(folder, small_model):
    wrong = json.loads(small_model[0].to_json())
    wrong["network"]["mlp_dim"] = 64
    (folder / "config.json").write_text(json.dumps(wrong))
    with pytest.raises(CheckpointError, match=r"small: .*mlp/wi_0/kernel is \[32, 32\], expected \[32, 64\]"):
        resolve_model(folder)


def test_broken_settings_name_the_file(folder):
    (folder / "config.json").write_text('{"hop": 1}')
    with pytest.raises(ValueError, match="small: config.json: .*no field 'hop'"):
        resolve_model(folder)


def test_shapes_are_those_of_the_network_t5x_wrote():
    golden = np.load(GOLDEN / "tiny_params.npz")
    shapes = {name: golden[name].shape for name in golden.files}
    assert parameter_shapes(TINY) == shapes
