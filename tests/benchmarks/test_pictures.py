"""The pictures of clips are drawn from what a transcriber finds, whatever it finds."""

import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription
from tests.benchmarks.test_clips import write_folder


class Finds:
    """A transcriber that finds the same in every recording."""

    def __init__(self, notes, bends):
        self._notes, self._bends, self.asked = notes, bends, []

    def transcribe(self, recording, bends=False):
        self.asked.append(recording.stem)
        return Transcription(
            self._notes,
            DecodeReport(0, 0),
            1.0,
            "fake",
            tuning_cents=12.0,
            bends=self._bends if bends else None,
        )


NOTES = make_notes([0.1, 0.4], [0.4, 0.41], [60, 36], is_drum=[False, True])
BENDS = (np.array([[0.1, 0.0], [0.2, 20.0]], np.float32), np.zeros((0, 2), np.float32))


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs Matplotlib is imported when the first test here runs: collecting stays quick."""
    global pictures, plt
    import pictures
    from matplotlib import pyplot as plt


@pytest.mark.parametrize(("notes", "bends"), [(NOTES, BENDS), (empty_notes(), ())], ids=["notes", "nothing"])
def test_the_first_band_the_first_voice_and_all_single_instruments_are_drawn(tmp_path, notes, bends):
    clips = pictures.read_clips(write_folder(tmp_path / "clips"))
    transcriber = Finds(notes, bends)
    pictures.draw_all(clips, transcriber, tmp_path)
    assert transcriber.asked == ["a_MIX", "a_S01", "a_S01", "a_S02", "b_t0", "P1_sax"]
    for name in ("band", "voice", "tuning"):
        assert plt.imread(tmp_path / f"{name}.png").std() > 0.01, name
    plt.close("all")


def test_fine_pitch_is_drawn_at_the_note_s_pitch_and_the_recording_s_tuning(tmp_path):
    clips = pictures.read_clips(write_folder(tmp_path, kinds=("voice",)))
    _, ax = plt.subplots()
    pictures.draw_fine_pitch(clips[0], Finds(NOTES, BENDS).transcribe(clips[0].audio, bends=True), ax)
    (line,) = ax.collections[0].get_segments()
    np.testing.assert_allclose(line, [(0.1, 60.12), (0.2, 60.32)], rtol=1e-6)
    plt.close("all")
