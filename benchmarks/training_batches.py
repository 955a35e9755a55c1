"""Batches of random music for timing a training step, as three pipelines would pad them.

Nothing is heard: samples are noise. Targets and notes are those of random music, every other example by one
instrument or a few, the rest by up to twelve at up to 90 notes a second, half of these with drums.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mt3x.data.pipeline.grain_pipeline import notes_to_write
from mt3x.data.synthetic.random_music import RandomMusicSettings, draw_random_music
from mt3x.tokens.encode import encode_segment
from mt3x.tokens.vocabulary import EOS_ID, build_codec, vocabulary_from_codec
from mt3x.transcription.tokens.config import TranscriptionConfig

LEAD_SECONDS, MAX_NOTES = 0.5, 512
FEW = RandomMusicSettings()
MANY = RandomMusicSettings(max_parts=12, max_polyphony=24, max_notes_per_second=90, drums_probability=0.5)


class Example(NamedTuple):
    """Target ids int32 [T] with the end, and notes in seconds from the segment's start."""

    targets: np.ndarray
    notes: np.ndarray


Batches = list[tuple[int, list[Example]]]
"""Batches, each with the length that its targets are padded to."""


def draw_examples(config: TranscriptionConfig, count: int) -> list[Example]:
    """Random music as the model would write it; what is too long for it is drawn anew."""
    codec = build_codec(config.vocabulary)
    vocabulary = vocabulary_from_codec(codec)
    end = LEAD_SECONDS + config.segment_seconds
    rng = np.random.default_rng(0)
    examples: list[Example] = []
    while len(examples) < count:
        notes = draw_random_music(rng, end, MANY if len(examples) % 2 else FEW)
        written = notes_to_write(notes, config.granularity, codec.steps_per_second)
        indexes = encode_segment(written, LEAD_SECONDS, end, codec, config.spec, config.granularity)
        if len(indexes) < config.max_target_length and len(notes) <= MAX_NOTES:
            for name in ("start", "end"):
                notes[name] -= LEAD_SECONDS
            targets = np.append(vocabulary.encode(indexes), EOS_ID).astype(np.int32)
            examples.append(Example(targets, notes))
    return examples


def padding_policies(examples: list[Example], size: int, lengths: Sequence[int]) -> dict[str, Batches]:
    """The same examples in batches, as three pipelines pad them."""

    def cut(some: list[Example], lengths: Sequence[int]) -> Batches:
        batches = [some[start : start + size] for start in range(0, len(some), size)]
        longest = [max(len(example.targets) for example in batch) for batch in batches]
        return [
            (next(length for length in lengths if length >= need), batch)
            for need, batch in zip(longest, batches, strict=True)
        ]

    by_length = sorted(examples, key=lambda example: len(example.targets))
    return {
        "sorted pools": cut(by_length, lengths),  # as data.pipeline.batches
        "as drawn": cut(examples, lengths),  # as data.pipeline.grain_pipeline
        "all at the longest": cut(examples, lengths[-1:]),  # as T5X
    }


def make_batch(config: TranscriptionConfig, examples: list[Example], length: int) -> dict[str, np.ndarray]:
    """What a pipeline would give to the step: noise, and the examples' targets and notes."""
    size = len(examples)
    rng = np.random.default_rng(1)
    batch = {
        "samples": rng.normal(0, 0.1, (size, config.segment_samples)).astype(np.float32),
        "num_frames": np.full(size, config.segment_frames, np.int32),
        "targets": np.zeros((size, length), np.int32),
    }
    for name, kind, padding in (
        *(("start", np.float32, 0), ("end", np.float32, 0)),
        *(("pitch", np.int32, -1), ("program", np.int32, 0), ("is_drum", bool, 0)),
    ):
        batch[f"note_{name}"] = np.full((size, MAX_NOTES), padding, kind)
        for row, example in zip(batch[f"note_{name}"], examples, strict=True):
            row[: len(example.notes)] = example.notes[name]
    for row, example in zip(batch["targets"], examples, strict=True):
        row[: len(example.targets)] = example.targets
    return batch


def batch_of(batches: Batches, length: int) -> list[Example]:
    """The middle one of the batches that are padded to a length; the last of all if none is."""
    padded_so = [batch for padded, batch in batches if padded == length]
    return padded_so[len(padded_so) // 2] if padded_so else batches[-1][1]
