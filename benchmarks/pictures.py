"""Pictures of what a frame recogniser finds in labelled recordings, to be looked at.

    python benchmarks/pictures.py --clips FOLDER --output FOLDER [--model FOLDER]

Writes three PNG files:

- `band.png`: the piano roll of the first clip of a band, over its labels (black outlines), drums below;
- `voice.png`: the fine pitch of the first clip of a voice (lines) over its spectrum and its labels;
- `tuning.png`: for single instruments, how many cents the notes lie from 440 Hz's scale, by time, and the
  tuning that is reported.
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from clips import Kind, LabelledClip, read_clips
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

import mt3x
from mt3x.audio.load import load_audio
from mt3x.audio.logfrequency import (
    BINS_PER_SEMITONE,
    MARGIN_BINS,
    SpectraConfig,
    compute_spectra,
    make_filter_bank,
)
from mt3x.metrics.rolls import note_rectangles
from mt3x.model.trunk import LOWEST_PITCH
from mt3x.transcription.result import Transcription
from mt3x.transcription.transcriber import Transcriber

SINGLE = (Kind.VOICE, Kind.GUITAR, Kind.VIOLIN, Kind.SAXOPHONE)


def draw_band(clip: LabelledClip, found: Transcription, axes: list[Axes]) -> None:
    """A piano roll over its labels, and drum hits below."""
    found.plot(axes[0])
    pitched = clip.notes[~clip.notes["is_drum"]]
    outlines = PolyCollection(
        list(note_rectangles(pitched)), facecolors="none", edgecolors="black", linewidths=0.6
    )
    axes[0].add_collection(outlines)
    axes[0].set_title(f"{clip.name}: found (colours), labelled (outlines)")
    for notes, marker in ((clip.notes, "k|"), (found.notes, "r.")):
        hits = notes[notes["is_drum"]]
        axes[1].plot(hits["start"], hits["pitch"], marker)
    axes[1].set(xlabel="seconds", ylabel="drum key", xlim=axes[0].get_xlim())


def draw_fine_pitch(clip: LabelledClip, found: Transcription, ax: Axes) -> None:
    """Bends over a spectrum whose rows are thirds of semitones."""
    config = SpectraConfig()
    samples = load_audio(clip.audio, config.sample_rate)
    samples = np.pad(samples, (0, -len(samples) % config.hop_samples))
    pitch = np.asarray(
        compute_spectra(jnp.asarray(samples)[None], make_filter_bank(config, (0,)), config).pitch
    )[0, :, :, 0]
    low = LOWEST_PITCH - (MARGIN_BINS + 1) / BINS_PER_SEMITONE
    high = low + pitch.shape[1] / BINS_PER_SEMITONE
    ax.imshow(
        pitch.T,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        extent=(0, len(samples) / config.sample_rate, low, high),
    )
    tuning = (found.tuning_cents or 0.0) / 100
    lines = [
        np.stack([bend[:, 0], note["pitch"] + tuning + bend[:, 1] / 100], axis=1)
        for note, bend in zip(found.notes, found.bends or (), strict=True)
        if len(bend) > 1
    ]
    ax.add_collection(LineCollection(lines, colors="red", linewidths=1.2))
    labels = PolyCollection(
        list(note_rectangles(clip.notes)), facecolors="none", edgecolors="blue", linewidths=0.6
    )
    ax.add_collection(labels)
    pitches = clip.notes["pitch"]
    ax.set(xlabel="seconds", ylabel="MIDI pitch", ylim=(pitches.min() - 4, pitches.max() + 4))
    ax.set_title(f"{clip.name}: fine pitch (red) over the spectrum, labels (blue)")


def draw_tuning(clip: LabelledClip, found: Transcription, ax: Axes) -> None:
    """A histogram of the cents of all frames of all notes."""
    cents = np.concatenate([np.zeros(0), *[bend[:, 1] for bend in found.bends or ()]])
    tuning = found.tuning_cents or 0.0
    ax.hist(cents + tuning, bins=list(range(-100, 101, 5)), color="grey")
    ax.axvline(tuning, color="red")
    ax.set_title(f"{clip.name}\n{tuning:+.0f} cents", fontsize=7)


def draw_all(clips: list[LabelledClip], transcriber: Transcriber, folder: Path) -> None:
    """Writes the three pictures."""

    def found_in(clip: LabelledClip) -> Transcription:
        return transcriber.transcribe(clip.audio, bends=True)

    band = next(clip for clip in clips if clip.kind is Kind.MIX)
    figure, axes = plt.subplots(2, figsize=(18, 10), height_ratios=(3, 1), layout="constrained")
    draw_band(band, found_in(band), list(axes))
    figure.savefig(folder / "band.png", dpi=90)

    voice = next(clip for clip in clips if clip.kind is Kind.VOICE)
    figure, ax = plt.subplots(figsize=(18, 8), layout="constrained")
    draw_fine_pitch(voice, found_in(voice), ax)
    figure.savefig(folder / "voice.png", dpi=90)

    single = [clip for clip in clips if clip.kind in SINGLE]
    figure, grid = plt.subplots(
        -(-len(single) // 4), 4, figsize=(14, 10), squeeze=False, layout="constrained"
    )
    for clip, ax in zip(single, grid.flat, strict=False):
        draw_tuning(clip, found_in(clip), ax)
    figure.savefig(folder / "tuning.png", dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draws what a frame recogniser finds in labelled recordings."
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of labelled clips")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--model", help="folder of a checkpoint; the default model without")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    draw_all(read_clips(args.clips), mt3x.load(args.model), args.output)


if __name__ == "__main__":
    main()
