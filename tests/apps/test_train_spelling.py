"""`mt3x train-spelling`: a run from MusicXML files to weights, and what is said of wrong gin files."""

import argparse
from pathlib import Path

import pytest

from mt3x.apps import train_spelling
from mt3x.data.synthetic.scores import is_held_out
from mt3x.score.spelling.graph_spelling import GraphSpellingModel

SCALE = "".join(
    f"<note><pitch><step>{step}</step><octave>4</octave></pitch><duration>1</duration></note>"
    for step in "CDEFGABAGFED" * 3
)
SCORE = f"<score-partwise><part id='P1'><measure>{SCALE}</measure></part></score-partwise>"
TINY = {
    "TRAIN_STEPS": "2",
    "train_spelling.batch_notes": "64",
    "SpellingConfig.width": "8",
    "SpellingTraining.log_every": "1",
}


TINY_GRAPHS = {
    "TRAIN_STEPS": "2",
    "train_graph_spelling.num_notes": "100",
    "train_graph_spelling.region_notes": "10",
    "train_graph_spelling.batch_pieces": "2",
    "GraphSpellingConfig.hidden_channels": "4",
    "GraphSpellingConfig.encoding_channels": "4",
    "GraphSpellingConfig.num_layers": "1",
    "SpellingTraining.log_every": "1",
}


def run(
    places: dict[str, str], sizes: dict[str, str] = TINY, files: tuple[str, ...] = ("run/spelling.gin",)
) -> int:
    parser = argparse.ArgumentParser()
    train_spelling.add_parser(parser.add_subparsers())
    words = ["train-spelling"]
    for file in files:
        words += ["--gin_file", file]
    for name, value in {**sizes, **places}.items():
        words += ["--gin", f"{name}={value}"]
    return train_spelling.run(parser.parse_args(words))


def write_scores(folder: Path) -> None:
    """One piece to learn from and one that is held out."""
    folder.mkdir()
    learned = next(f"piece {i}" for i in range(1000) if not is_held_out(f"piece {i}"))
    held_out = next(f"piece {i}" for i in range(1000) if is_held_out(f"piece {i}"))
    for name in (learned, held_out):
        (folder / f"{name}.musicxml").write_text(SCORE)


@pytest.mark.slow
def test_a_folder_of_scores_becomes_weights_and_a_log(tmp_path, capsys):
    write_scores(tmp_path / "scores")
    places = {"SCORES": repr(str(tmp_path / "scores")), "MODEL_DIR": repr(str(tmp_path / "run"))}
    assert run(places) == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_file()) == [
        "log.jsonl",
        "spelled.npz",
        "weights.npz",
    ]
    assert "held_out_key_error" in capsys.readouterr().err


@pytest.mark.slow
def test_the_gin_file_picks_the_graph_network(tmp_path, capsys):
    write_scores(tmp_path / "scores")
    places = {"SCORES": repr(str(tmp_path / "scores")), "MODEL_DIR": repr(str(tmp_path / "run"))}
    assert run(places, TINY_GRAPHS, ("run/graph_spelling.gin",)) == 0
    assert GraphSpellingModel.load(tmp_path / "run" / "weights.npz").config.hidden_channels == 4
    printed = capsys.readouterr().err
    assert "held_out_spelling_accuracy" in printed and "held_out_key_accuracy" in printed


def test_one_gin_file_is_given(tmp_path, capsys):
    places = {"SCORES": "'x'", "MODEL_DIR": "'x'"}
    assert run(places, TINY, ("run/spelling.gin", "run/graph_spelling.gin")) == 2
    assert "give one of run/spelling.gin and run/graph_spelling.gin" in capsys.readouterr().err
    (tmp_path / "empty.gin").write_text("")
    assert run({}, {}, (str(tmp_path / "empty.gin"),)) == 2
    assert "the gin files set no networks" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys):
    assert run({"SCORES": "'x'", "MODEL_DIR": "'x'", "SpellingConfig.depth": "3"}) == 2
    assert "depth" in capsys.readouterr().err
    assert run({"MODEL_DIR": "'x'"}) == 2
    assert "SCORES is not set" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    places = {"SCORES": repr(str(tmp_path / "empty")), "MODEL_DIR": repr(str(tmp_path / "run"))}
    assert run(places) == 1
    assert "give a folder of scores" in capsys.readouterr().err
