"""Weights of one vocabulary made into those of another: each new token takes the weights of the nearest old.

A token's weights are its row of the embedding table and its column of the logits layer. Which old event a new
one is closest to:

- a shift: the old shift of the same time, whatever the steps of a second; none where it is longer than any;
- a velocity: the old bin that holds the middle one of the new bin's MIDI velocities;
- a program: itself, or, where instruments were told apart in another way, the program that stood for it;
- a pitch, a drum, the tie: itself.

Special ids keep their weights, and ids that mean nothing take those of others that mean nothing.
"""

from typing import Any

import numpy as np

from mt3x.checkpoints import flatten, unflatten
from mt3x.music.instruments import map_programs
from mt3x.music.timegrid import seconds_to_steps, steps_to_seconds
from mt3x.tokens.vocabulary import NUM_SPECIAL_IDS, bin_to_velocity, build_codec, velocity_to_bin
from mt3x.transcription.tokens.config import TranscriptionConfig

FRESH = -1
"""In place of an old id: there is none, the weights of a fresh network stay."""

EMBEDDING, LOGITS = "decoder/token_embedder/embedding", "decoder/logits_dense/kernel"


def old_ids(old: TranscriptionConfig, new: TranscriptionConfig) -> np.ndarray:
    """The old id whose weights each new one takes, or `FRESH`: int32 [V], V the new rows of embeddings."""
    old_codec, new_codec = build_codec(old.vocabulary), build_codec(new.vocabulary)
    ids = np.full(new.network.vocab_size, FRESH, np.int32)
    ids[:NUM_SPECIAL_IDS] = np.arange(NUM_SPECIAL_IDS)
    for kind in ("shift", *(event_range.type for event_range in new_codec.event_ranges)):
        new_first, new_last = new_codec.event_type_range(kind)
        old_first, old_last = old_codec.event_type_range(kind)
        values = _old_values(kind, np.arange(new_last - new_first + 1), old, new)
        is_known = values <= old_last - old_first
        ids[NUM_SPECIAL_IDS + new_first + np.flatnonzero(is_known)] = (
            NUM_SPECIAL_IDS + old_first + values[is_known]
        )
    first_unused = NUM_SPECIAL_IDS + new_codec.num_classes
    old_unused = np.arange(NUM_SPECIAL_IDS + old_codec.num_classes, old.network.vocab_size)
    places = np.arange(len(ids) - first_unused)
    ids[first_unused:] = old_unused[np.minimum(places, len(old_unused) - 1)]
    return ids


def _old_values(
    kind: str, values: np.ndarray, old: TranscriptionConfig, new: TranscriptionConfig
) -> np.ndarray:
    """The old values that events of a kind are closest to, from 0; they may be greater than any old one."""
    if kind == "shift":
        seconds = steps_to_seconds(values, new.vocabulary.steps_per_second)
        return seconds_to_steps(seconds, old.vocabulary.steps_per_second)
    if kind == "velocity":
        bins = new.vocabulary.num_velocity_bins
        lowest = np.where(values > 0, bin_to_velocity(values - 1, bins) + 1, 0)
        middle = (lowest + bin_to_velocity(values, bins)) // 2
        return velocity_to_bin(middle, old.vocabulary.num_velocity_bins)
    if kind == "program" and old.granularity is not new.granularity:
        return map_programs(values, old.granularity)
    return values


def with_vocabulary(params: dict[str, Any], fresh: dict[str, Any], ids: np.ndarray) -> dict[str, Any]:
    """Parameters of a network with tokens' weights in the order of another vocabulary.

    Args:
      params: of the network that was trained; fresh: of a new one, whose weights stay where `ids` are
        `FRESH`.
      ids: int [V], as `old_ids` gives them.
    """
    flat, flat_fresh = flatten(params), flatten(fresh)
    is_known = ids != FRESH
    rows = np.asarray(flat[EMBEDDING])[ids]  # [V, D]
    flat[EMBEDDING] = np.where(is_known[:, np.newaxis], rows, flat_fresh[EMBEDDING])
    if LOGITS in flat:  # else the embeddings serve as logits layer
        columns = np.asarray(flat[LOGITS])[:, ids]  # [D, V]
        flat[LOGITS] = np.where(is_known, columns, flat_fresh[LOGITS])
    return unflatten(flat)
