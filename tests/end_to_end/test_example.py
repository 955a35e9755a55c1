"""The README's first command: the shipped example, with the model inside the package."""

from importlib.resources import files
from pathlib import Path

import pytest

from mt3x.apps.cli import main
from mt3x.metrics.notes import note_scores
from mt3x.music.midi import read_midi

EXAMPLES = Path(__file__).parents[2] / "examples"
LARGEST_MODEL_BYTES = 30e6


@pytest.fixture(scope="module")
def transcribed(tmp_path_factory):
    """(reference, estimate): the notes of the score and those that the command wrote."""
    folder = tmp_path_factory.mktemp("example")
    assert main(["transcribe", str(EXAMPLES / "das_wandern.flac"), "-o", str(folder)]) == 0
    return read_midi(EXAMPLES / "das_wandern.score.mid"), read_midi(folder / "das_wandern.mid")


def test_the_example_becomes_a_midi_close_to_its_score(transcribed):
    # Notes moved by a tritone and half a second are as dense and as plausible, but wrong.
    reference, estimate = transcribed
    wrong = reference.copy()
    wrong["pitch"] += 6
    wrong["start"] += 0.5
    wrong["end"] += 0.5
    assert note_scores(reference, estimate).f1 >= 0.7
    assert note_scores(wrong, estimate).f1 < 0.2


def test_most_of_the_flute_of_the_example_is_off_the_piano_s_track_and_most_of_the_piano_is_on_it(
    transcribed,
):
    reference, estimate = transcribed
    flute, piano = (reference[reference["program"] == program] for program in (73, 0))
    others, on_piano = estimate[estimate["program"] >= 8], estimate[estimate["program"] < 8]
    assert (len(flute), len(piano)) == (48, 205)
    assert note_scores(flute, others).recall > 0.5
    assert note_scores(flute, others).precision > 0.5
    assert note_scores(piano, on_piano).recall > 0.7


def test_the_model_inside_the_package_is_small():
    folder = files("mt3x") / "models" / "default"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) <= LARGEST_MODEL_BYTES
