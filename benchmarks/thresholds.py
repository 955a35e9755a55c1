"""Chooses a frame recogniser's thresholds on a development set: half real recordings, half synthetic ones.

    python benchmarks/thresholds.py --model FOLDER --clips FOLDER --real FOLDER --scores openscore.npz \
        --bands bands.npz --samples samples_packed [--examples N] [--write CONFIG.json]

The synthetic half is N examples of 8 s (`--examples`, 60) of music that training draws from, with another
seed, in which every sampled instrument that is held out of training (`--held_out`) plays. The network runs
once; then thresholds are moved one after the other to where their score is best, until none moves:

- `onset` and `note`: onset F1 of voices, guitars, violins, saxophones, pianos and examples, each source
  counting the same, and a fifth of the recall of labelled parts within bands, less a hundredth for each
  pitched note a minute where only drums play;
- `active` and `offset`: onset and offset F1 of pianos and examples;
- `kick`, `snare`, `cymbal`: onset F1 of the group, in the mix, in stems and in examples; `drum`: in examples;
  each less a hundredth for each hit of the group a minute where no drums play.

Printed are the thresholds and the scores before and after; `--write` writes the model's configuration with
them.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from accuracy import real_clips
from clips import Kind, read_clips

from mt3x.audio.load import load_audio
from mt3x.data.synthetic.played_examples import PlayedConfig, open_played_examples
from mt3x.metrics.notes import count_matches, match_notes
from mt3x.music.files import write_whole
from mt3x.transcription.frames.assembly import NoteAssembler
from mt3x.transcription.frames.config import FrameConfig, Thresholds
from mt3x.transcription.frames.network import FramePredictions
from mt3x.transcription.frames.recogniser import FrameRecogniser
from mt3x.transcription.models import resolve_model
from mt3x.transcription.recording import Recording
from mt3x.transcription.segment import Segment

GRID = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
PENALTY = 0.01
"""For each wrong note, or hit, a minute."""

GROUPS = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "cymbal": (42, 44, 46, 49, 51, 52, 53, 55, 57, 59),
    "drum": (41, 43, 45, 47, 48, 50, 54, 56, 58, *range(60, 82)),
}
HELD_OUT = "headroom_piano,guitar_black,bass_swag,drums_virtuosity,sax_weresax"
EXAMPLE, PIANO = "example", "piano"
LOOSE_SECONDS = 0.1
ALONE = (Kind.VOICE, Kind.GUITAR, Kind.VIOLIN, Kind.SAXOPHONE)
"""Kinds of recordings in which one instrument plays, and no drums."""


class Item(NamedTuple):
    """A recording of the development set: its kind, its notes, and what is predicted of its segments."""

    kind: str
    notes: np.ndarray
    predicted: list[tuple[Segment, FramePredictions | None]]


def predictions(
    recogniser: FrameRecogniser, config: FrameConfig, samples: np.ndarray
) -> list[tuple[Segment, FramePredictions | None]]:
    """Of all segments of a recording, float32 [N], cut as the transcriber cuts them."""
    segments = Recording(recogniser, config).segments([samples])
    return list(recogniser.recognise(segments))


def assemble(config: FrameConfig, item: Item) -> np.ndarray:
    """The notes of a recording with the thresholds of a configuration."""
    assembler = NoteAssembler(config)
    for segment, predicted in item.predicted:
        assembler.add(segment, predicted)
    return assembler.finish().notes


def onset_f1(item: Item, found: np.ndarray, with_offsets: bool = False) -> float | None:
    """Of pitched notes, whatever their programs; None where there are none."""
    reference, estimate = (notes[~notes["is_drum"]] for notes in (item.notes, found))
    if not len(reference) and not len(estimate):
        return None
    tolerance = LOOSE_SECONDS if item.kind in (Kind.VIOLIN, Kind.CHOIR, Kind.LIED) else 0.05
    pairs = match_notes(
        reference, estimate, onset_tolerance_seconds=tolerance, use_programs=False, use_offsets=with_offsets
    )
    return 2 * len(pairs) / (len(reference) + len(estimate))


def recall(item: Item, found: np.ndarray) -> float | None:
    """Of the pitched notes that are labelled, whatever else is found."""
    reference, estimate = (notes[~notes["is_drum"]] for notes in (item.notes, found))
    return len(match_notes(reference, estimate)) / len(reference) if len(reference) else None


def group_f1(item: Item, found: np.ndarray, group: str) -> float | None:
    """Of the hits on a group's keys, any of which stands for any other."""
    sides = []
    for notes in (item.notes, found):
        hits = notes[is_hit(notes, group)].copy()
        hits["pitch"] = GROUPS[group][0]
        sides.append(hits)
    if not len(sides[0]) and not len(sides[1]):
        return None
    counts = count_matches(*sides, use_programs=False)
    return 2 * counts.matched / (counts.reference + counts.estimate)


def is_hit(notes: np.ndarray, group: str) -> np.ndarray:
    """bool [N]: which notes are hits on the group's keys."""
    return notes["is_drum"] & np.isin(notes["pitch"], GROUPS[group])


def mean_a_minute(items: Sequence[Item], wrong: Callable[[Item], np.ndarray]) -> float:
    """The mean over recordings of how many are wrong in a minute of each, bool [N] of what was found."""
    rates = [60 * wrong(item).sum() / max(float(item.notes["start"].max()), 1.0) for item in items]
    return float(np.mean(rates)) if rates else 0.0


def mean_by_kind(items: Sequence[Item], score: Callable[[Item], float | None]) -> float:
    """The mean over kinds of the mean over the recordings of each."""
    by_kind: dict[str, list[float]] = {}
    for item in items:
        if (value := score(item)) is not None:
            by_kind.setdefault(item.kind, []).append(value)
    return float(np.mean([np.mean(values) for values in by_kind.values()])) if by_kind else 0.0


def score(name: str, config: FrameConfig, items: Sequence[Item]) -> float:
    """What a threshold is chosen by."""
    if name in ("onset", "note"):
        pitched = [item for item in items if item.kind in (*ALONE, PIANO, EXAMPLE)]
        drums_alone = [item for item in items if item.kind == Kind.DRUMS]
        penalty = PENALTY * mean_a_minute(drums_alone, lambda item: ~assemble(config, item)["is_drum"])
        parts = [item for item in items if item.kind in (Kind.MIX, Kind.SAXOPHONE_IN_A_BAND)]
        found = mean_by_kind(pitched, lambda item: onset_f1(item, assemble(config, item)))
        return found + 0.2 * mean_by_kind(parts, lambda item: recall(item, assemble(config, item))) - penalty
    if name in ("active", "offset"):
        pitched = [item for item in items if item.kind in (PIANO, EXAMPLE)]
        return mean_by_kind(pitched, lambda item: onset_f1(item, assemble(config, item), True))
    kinds = (EXAMPLE,) if name == "drum" else (Kind.MIX, Kind.DRUMS, EXAMPLE)
    struck = [item for item in items if item.kind in kinds]
    without_drums = [item for item in items if item.kind in (*ALONE, PIANO)]
    penalty = PENALTY * mean_a_minute(without_drums, lambda item: is_hit(assemble(config, item), name))
    return mean_by_kind(struck, lambda item: group_f1(item, assemble(config, item), name)) - penalty


def choose(config: FrameConfig, items: Sequence[Item], rounds: int = 2) -> FrameConfig:
    """The configuration with the best thresholds, moved one after the other."""
    for _ in range(rounds):
        before = config.thresholds
        for field in dataclasses.fields(Thresholds):
            if field.name in ("pedal_down", "pedal_up"):  # the development set does not tell of pedals
                continue
            tried = {}
            for value in GRID:
                moved = dataclasses.replace(config.thresholds, **{field.name: value})
                tried[value] = score(field.name, dataclasses.replace(config, thresholds=moved), items)
            best = max(tried, key=lambda value: tried[value])
            now = getattr(config.thresholds, field.name)
            print(f"{field.name}: {now} -> {best} ({tried.get(now, float('nan')):.4f} -> {tried[best]:.4f})")
            chosen = dataclasses.replace(config.thresholds, **{field.name: best})
            config = dataclasses.replace(config, thresholds=chosen)
        if config.thresholds == before:
            break
    return config


def read_items(args: argparse.Namespace, config: FrameConfig, recogniser: FrameRecogniser) -> list[Item]:
    """The development set, with predictions."""
    items = []
    for clip in read_clips(args.clips):
        samples = load_audio(clip.audio, config.sample_rate)
        items.append(Item(clip.kind, clip.notes, predictions(recogniser, config, samples)))
    for clip in real_clips(args.real):
        samples = load_audio(clip.audio, config.sample_rate)
        items.append(Item(PIANO, clip.notes, predictions(recogniser, config, samples)))
    examples = PlayedConfig(segment_seconds=8.0, lead_seconds=0.0, max_notes=1000, samples_probability=0.8)
    held_out = args.held_out.split(",")
    maker = open_played_examples(
        examples,
        str(args.scores),
        str(args.bands),
        str(args.samples),
        ("FluidR3_GM",),
        tuple(name for name in _instruments(args.samples) if name not in held_out),
    )
    for number in range(args.examples):
        example = maker.draw(np.random.default_rng((args.seed, number)))
        items.append(Item(EXAMPLE, example.notes, predictions(recogniser, config, example.sound["samples"])))
    return items


def _instruments(folder: Path) -> tuple[str, ...]:
    from mt3x.synthesis.sampled.instruments import load_samples

    return load_samples(folder).instruments


def add_development_set(parser: argparse.ArgumentParser) -> None:
    """Options that say where the development set comes from."""
    parser.add_argument("--clips", type=Path, required=True, help="folder of labelled clips")
    parser.add_argument("--real", type=Path, required=True, help="folder of piano recordings with tables")
    parser.add_argument("--scores", type=Path, required=True, help="packed by mt3x prepare scores")
    parser.add_argument("--bands", type=Path, required=True, help="packed by mt3x prepare bands")
    parser.add_argument("--samples", type=Path, required=True, help="packed by mt3x prepare note-bank")
    parser.add_argument("--held_out", default=HELD_OUT, help="instruments that play the examples")
    parser.add_argument("--examples", type=int, default=60, help="synthetic examples (60)")
    parser.add_argument("--seed", type=int, default=2026, help="of the examples (2026)")


def main() -> int:
    parser = argparse.ArgumentParser(description="Chooses a frame recogniser's thresholds.")
    parser.add_argument("--model", help="folder of a checkpoint; the default model without")
    add_development_set(parser)
    parser.add_argument("--write", type=Path, help="write the model's configuration with the thresholds here")
    args = parser.parse_args()
    config, params, _ = resolve_model(args.model)
    if not isinstance(config, FrameConfig):
        parser.error(f"{args.model} is no frame recogniser")
    items = read_items(args, config, FrameRecogniser(config, params))
    chosen = choose(config, items)
    print(chosen.thresholds)
    if args.write:
        write_whole(args.write, chosen.to_json().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
