"""`mt3x train-beats`: a run from scores to weights by its gin file, and what is said of wrong settings."""

import zipfile

import numpy as np
import pytest

from mt3x.apps.cli import main
from mt3x.data.synthetic.scores import is_held_out

SCALE = "".join(
    f"<note><pitch><step>{step}</step><octave>4</octave></pitch><duration>1</duration></note>"
    for step in "CDEF"
)
ATTRIBUTES = (
    "<attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)
SCORE = (
    "<score-partwise><part-list><score-part id='P1'><part-name>Flute</part-name></score-part></part-list>"
    "<part id='P1'>"
    + "".join(f"<measure number='{i}'>{ATTRIBUTES if i == 1 else ''}{SCALE}</measure>" for i in range(1, 41))
    + "</part></score-partwise>"
)
CONTAINER = "<container><rootfiles><rootfile full-path='score.xml'/></rootfiles></container>"


def command(scores, folder, **bindings):
    tiny = {f"{stage}/BeatStage.total_steps": "2" for stage in ("music", "exercises", "parts")}
    settings = {
        **tiny,
        "BeatTraining.width": "4",
        "BeatStage.log_every": "1",
        "SCORES": repr(str(scores)),
        "MODEL_DIR": repr(str(folder)),
        **bindings,
    }
    words = [f"--gin.{name}={value}" for name, value in settings.items()]
    return main(["train-beats", "--gin_file=run/beats.gin", *words])


def write_scores(folder):
    """A piece to learn from, and one that is held out."""
    folder.mkdir()
    for kind in (True, False):
        name = next(f"piece {i}" for i in range(1000) if is_held_out(f"piece {i}") == kind)
        with zipfile.ZipFile(folder / f"{name}.mxl", "w") as archive:
            archive.writestr("META-INF/container.xml", CONTAINER)
            archive.writestr("score.xml", SCORE)


@pytest.mark.slow
def test_a_folder_of_scores_becomes_weights_and_a_log(tmp_path, capsys):
    write_scores(tmp_path / "scores")
    assert command(tmp_path / "scores", tmp_path / "run") == 0
    assert "metre_loss" in capsys.readouterr().err
    with np.load(tmp_path / "run" / "network.npz") as archive:
        assert archive["head"].shape == (4, 8)
    assert command(tmp_path / "scores", tmp_path / "run", **{"BeatStage.seed": "3"}) == 1
    assert "holds a run with other settings" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys):
    assert command("x", tmp_path / "run", **{"BeatTraining.depth": "3"}) == 2
    assert "depth" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert command(tmp_path / "empty", tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert said == "mt3x train-beats: there is no score to learn beats from; give a folder of .mxl files\n"
