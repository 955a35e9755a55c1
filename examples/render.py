"""Renders the example: the beginning of Schubert's "Das Wandern", played by a flute and a piano.

    python examples/render.py lc5004731.mxl

The score is number 5004731 of the OpenScore Lieder corpus (CC0); training leaves it out
(`mt3x.data.synthetic.scores.is_held_out`), as it does the soundfont, TimGM6mb. Writes `das_wandern.flac` and,
as the reference, `das_wandern.score.mid` beside this file.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from mt3x.data.synthetic.scores import is_held_out, read_piece
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, Synthesizer

FLUTE, PIANO = 73, 0
BPM = 80.0
SECONDS = 24.0
SAMPLE_RATE = 44_100
FOLDER = Path(__file__).parent


def main(score_path: str) -> None:
    score = read_piece(score_path)
    assert is_held_out(score.name)
    is_voice = score.notes["part"] == 0
    start = score.notes["onset_quarters"] * 60 / BPM
    end = start + score.notes["duration_quarters"] * 60 / BPM * 0.95
    notes = make_notes(
        start,
        end,
        score.notes["pitch"],
        velocity=np.where(is_voice, 95, 75),
        program=np.where(is_voice, FLUTE, PIANO),
    )
    notes = trim_overlapping_notes(notes[notes["start"] < SECONDS - 1])
    notes["end"] = np.minimum(notes["end"], SECONDS - 0.5)
    write_midi(notes, FOLDER / "das_wandern.score.mid")
    samples = Synthesizer(TEST_SOUNDFONT, SAMPLE_RATE, use_reverb=True).render(notes, SECONDS)
    soundfile.write(FOLDER / "das_wandern.flac", samples, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(sys.argv[1])
