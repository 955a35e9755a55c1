"""The README's first command: the shipped example, with the model inside the package."""

from importlib.resources import files
from pathlib import Path

import pytest

from mt3x.apps.cli import main
from mt3x.metrics.notes import note_scores
from mt3x.music.midi import read_midi

EXAMPLES = Path(__file__).parents[2] / "examples"
LARGEST_MODEL_BYTES = 30e6


@pytest.mark.slow
def test_the_example_becomes_a_multi_track_midi_close_to_its_score(tmp_path, capsys):
    assert main(["transcribe", str(EXAMPLES / "das_wandern.flac"), "-o", str(tmp_path)]) == 0
    estimate = read_midi(tmp_path / "das_wandern.mid")
    reference = read_midi(EXAMPLES / "das_wandern.score.mid")
    assert note_scores(reference, estimate).f1 >= 0.7
    assert len(set(estimate["program"])) > 1
    assert "das_wandern" in capsys.readouterr().out


def test_the_model_inside_the_package_is_small():
    folder = files("mt3x") / "models" / "default"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) <= LARGEST_MODEL_BYTES
