"""`mt3x synthesize` on small scores under the names of the test pieces."""

import json

import numpy as np
import pytest

from mt3x.apps.cli import main
from mt3x.data.eval_sets.pieces import TEST_PIECES
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, save_scores
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT

BEATS = 64


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    notes = np.zeros(3 * BEATS, PIECE_NOTE_DTYPE)
    notes["onset_quarters"], notes["duration_quarters"] = np.repeat(np.arange(BEATS), 3), 1
    notes["part"], notes["pitch"] = np.tile([0, 1, 1], BEATS), np.tile([67, 40, 55], BEATS)
    bars = np.arange(0, BEATS, 4, dtype=np.float32)
    tempos = np.zeros((0, 2), np.float32)
    path = tmp_path_factory.mktemp("scores") / "openscore.npz"
    save_scores([Piece(n, n, "Composer", ("Voice", "Piano"), notes, bars, tempos) for n in TEST_PIECES], path)
    return path


def test_sets_are_written_by_set_and_soundfont(packed, tmp_path, capsys):
    words = ["synthesize", "song", "piano", "--scores", str(packed), "-o", str(tmp_path), "--pieces", "1"]
    assert main([*words, "--soundfont", TEST_SOUNDFONT, "--seed", "7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / name}: 1 excerpts of 1 scores" for name in ("song-TimGM6mb", "piano-TimGM6mb")
    ]
    manifest = json.loads((tmp_path / "song-TimGM6mb" / "manifest.json").read_text())
    assert manifest["seed"] == 7 and len(manifest["excerpts"]) == 1
    assert (tmp_path / "piano-TimGM6mb" / "000.flac").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pieces", "0"], "pieces is 0; song has 1..40"),
        (["--soundfont", "none.sf2"], "no soundfont at none.sf2"),
        (["--scores", "none.npz"], "none.npz is not an archive of scores"),
        (["--scores", "."], "84 of 84 test pieces are missing"),
    ],
)
def test_a_wrong_option_is_told_and_exits_with_2(packed, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", "song", "--scores", str(packed), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_set_is_told_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["synthesize", "opera", "--scores", "x", "-o", "y"])
    assert exit_.value.code == 2 and "challenge25" in capsys.readouterr().err
