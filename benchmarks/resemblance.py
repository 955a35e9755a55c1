"""How much the rendering of a transcription resembles its recording, where nobody can listen.

    python benchmarks/resemblance.py [examples/das_wandern.flac] [--soundfont FluidR3_GM] [--save FILE.wav]

Pearson correlations between the recording and the rendering: of their chroma (which pitch classes sound,
over time and classes) and of their onset strengths (when something begins, over time), both librosa's, in
frames of 23 ms. Beside them the same with the rendering turned round by a third of its length: what any
music of these pitches would reach.
"""

import argparse
from pathlib import Path

import librosa
import numpy as np

import mt3x
from mt3x.audio.load import load_audio
from mt3x.synthesis.soundfonts import Synthesizer, find_soundfont

SAMPLE_RATE = 22_050


def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chroma [12, frames] and onset strengths [frames]."""
    chroma = librosa.feature.chroma_cqt(y=samples, sr=SAMPLE_RATE)
    return chroma, librosa.onset.onset_strength(y=samples, sr=SAMPLE_RATE)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", nargs="?", type=Path, default="examples/das_wandern.flac")
    parser.add_argument("--soundfont", default="FluidR3_GM", help="that plays the transcription")
    parser.add_argument("--save", type=Path, help="the rendering, to listen to")
    arguments = parser.parse_args()
    recording = load_audio(arguments.recording, SAMPLE_RATE)
    notes = mt3x.load().transcribe(arguments.recording).notes
    synthesizer = Synthesizer(find_soundfont(arguments.soundfont), SAMPLE_RATE)
    rendering = synthesizer.render(notes, len(recording) / SAMPLE_RATE)
    if arguments.save:
        import soundfile

        soundfile.write(arguments.save, rendering / max(np.abs(rendering).max(), 1e-9), SAMPLE_RATE)
    of_recording, of_rendering = features(recording), features(rendering)
    for name, a, b in zip(("chroma", "onset strength"), of_recording, of_rendering, strict=True):
        turned = np.roll(b, b.shape[-1] // 3, axis=-1)
        print(f"{name}: {correlation(a, b):.3f} (turned round: {correlation(a, turned):.3f})")


if __name__ == "__main__":
    main()
