"""What the frame recogniser owes to its sounds and to its harmonic layers: one run for each, scored alike.

    python benchmarks/ablations.py --clips FOLDER --real FOLDER --scores openscore.npz --bands bands.npz \
        --samples samples_packed [--steps N] [--work FOLDER]

Every variant learns from the same number of examples (8 a step, `--steps`, 300) of its own kind, from the
same seed and first weights, as run/frames.gin says. It is scored with thresholds of its own, chosen as
`benchmarks/thresholds.py` does on the same development set: real clips, real piano, and synthetic examples
that instruments play which no variant has heard. So the figures compare variants with each other; all
flatter.

Printed is a table in Markdown. About 6 minutes a variant on two idle cores. A variant whose weights are in
the work folder is not trained again.
"""

import argparse
import contextlib
import dataclasses
import functools
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from clips import Kind
from thresholds import (
    ALONE,
    EXAMPLE,
    PIANO,
    Item,
    add_development_set,
    assemble,
    choose,
    group_f1,
    mean_by_kind,
    onset_f1,
    read_items,
)

from mt3x.apps.train import read_settings
from mt3x.data.synthetic.played_examples import PlayedConfig
from mt3x.metrics.instruments import multi_onset_scores
from mt3x.model.pitch_convolution import HARMONIC_SHIFTS
from mt3x.training.loop import train
from mt3x.training.sources.synthetic import PlayedMusic
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.recogniser import FrameRecogniser
from mt3x.transcription.models import resolve_model

DRY = dataclasses.replace(
    PlayedConfig(),
    score_share=0.78,
    band_share=0.0,
    samples_probability=0.0,
    synthesizer_probability=0.0,
    other_body_probability=0.0,
    effects_probability=0.0,
    file_probability=0.0,
)
SAMPLED = dataclasses.replace(
    DRY,
    **{
        name: getattr(PlayedConfig(), name)
        for name in ("samples_probability", "synthesizer_probability", "other_body_probability")
    },
)
BANDS = dataclasses.replace(
    SAMPLED, score_share=PlayedConfig().score_share, band_share=PlayedConfig().band_share
)
VARIANTS: dict[str, tuple[PlayedConfig, bool]] = {
    "soundfonts": (DRY, True),
    "and samples, synthesisers": (SAMPLED, True),
    "and bands": (BANDS, True),
    "and effects (all)": (PlayedConfig(), True),
    "all, without harmonic layers": (PlayedConfig(), False),
}
"""Examples, and whether the network has harmonic layers."""


def without_harmonics(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """What is left of a harmonic layer that looks at its own pitch alone."""
    return x @ kernel[HARMONIC_SHIFTS.index(0)]


def learn(args: argparse.Namespace, examples: PlayedConfig, folder: Path) -> None:
    """Trains a variant into a folder, as run/frames.gin says, but for its length and its average."""
    settings = read_settings(
        ["run/frames.gin"],
        [
            f"MODEL_DIR = {str(folder)!r}",
            f"SCORES_FILE = {str(args.scores)!r}",
            f"BANDS_FILE = {str(args.bands)!r}",
            f"SAMPLES = {str(args.samples)!r}",
            f"HELD_OUT = {tuple(args.held_out.split(','))!r}",
            f"TRAIN_STEPS = {args.steps}",
        ],
    )
    training = dataclasses.replace(settings.training, average_decay=0.98)
    assert isinstance(settings.source, PlayedMusic)
    with dataclasses.replace(settings.source, examples=examples).open(settings.model) as feed:
        train(settings.model, training, feed, folder)


def score(config: FrameConfig, items: list[Item]) -> list[float]:
    """A row of the table."""
    found = {id(item): assemble(config, item) for item in items}

    def of(kinds: tuple[str, ...]) -> list[Item]:
        return [item for item in items if item.kind in kinds]

    def onset(item: Item, with_offsets: bool = False) -> float | None:
        return onset_f1(item, found[id(item)], with_offsets)

    drums = [
        mean_by_kind(
            of((Kind.MIX, Kind.DRUMS)), lambda item, group=group: group_f1(item, found[id(item)], group)
        )
        for group in ("kick", "snare", "cymbal")
    ]
    examples = of((EXAMPLE,))
    return [
        mean_by_kind(of(ALONE), onset),
        float(np.mean(drums)),
        mean_by_kind(of((PIANO,)), onset),
        mean_by_kind(of((PIANO,)), functools.partial(onset, with_offsets=True)),
        mean_by_kind(examples, onset),
        float(np.mean([multi_onset_scores(item.notes, found[id(item)]).f1 for item in examples])),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Trains variants of the frame recogniser and compares them.")
    add_development_set(parser)
    parser.add_argument("--steps", type=int, default=300, help="of 8 examples each (300)")
    parser.add_argument("--work", type=Path, default=Path("ablations"), help="folder for the runs")
    args = parser.parse_args()
    head = ("variant", "voice, strings, sax, guitar", "drums", "piano", "with offset", "unheard samples")
    print(f"| {' | '.join(head)} | multi-onset |\n|{' --- |' * (len(head) + 1)}")
    for name, (examples, has_harmonics) in VARIANTS.items():
        folder = args.work / name.replace(", ", "_").replace(" ", "_")
        patch = mock.patch("mt3x.model.trunk.mix_harmonics", without_harmonics)
        with contextlib.nullcontext() if has_harmonics else patch:
            if not (folder / "weights").exists():
                learn(args, examples, folder)
            config, params, _ = resolve_model(folder)
            assert isinstance(config, FrameConfig)
            items = read_items(args, config, FrameRecogniser(config, params))
        with contextlib.redirect_stdout(sys.stderr):
            chosen = choose(config, items, rounds=1)
        row = " | ".join(f"{value:.3f}" for value in score(chosen, items))
        print(f"| {name} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
