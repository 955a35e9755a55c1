"""What the frame recogniser's predictions cost, against the notes of a segment.

A batch holds the segment's notes as columns [B, P] (`note_start`, `note_end` seconds from the segment's
start, `note_pitch` with -1 for padding, `note_velocity`, `note_program`, `note_is_drum`), and where it is
known how they are inflected, `note_cents`, `note_scoop_cents`, `note_scoop_seconds`, `note_vibrato_cents`,
`note_vibrato_hz`, `note_vibrato_phase`, `note_vibrato_delay_seconds` (`synthesis.inflection`), with
`note_has_cents`; and where it is known when a sustain pedal is down, `pedal` float32 [B, M, 2], rows of
seconds down and up, those of zeros for padding.

Onset and offset targets are 1 in the frame that holds them and fall to 0 at 40 ms: a narrower target teaches
less and finds fewer (docs/experiments.md). B segments, P notes, F pitch frames, T trunk frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from mt3x.model.trunk import DRUM_KEYS, FRAMES_PER_TRUNK_FRAME, LOWEST_PITCH, NUM_PITCHES
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import PROGRAMS_PER_CLASS
from mt3x.synthesis.inflection import inflection_cents
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import Candidates, Detected

_WIDTH_SECONDS, _DRUM_WIDTH_SECONDS = 0.032, 0.020
_FLAT = 0.25  # a target is 1 within this share of its width
_TOLERANCE_SECONDS = 0.05
"""A candidate is a note if one begins so near."""

_READ_AT = (0.2, 0.5, 0.8)
"""Shares of a note's time within the segment at which its program is read off the features."""


@dataclass(frozen=True)
class FrameLossConfig:
    """How the parts of the loss weigh. Rolls' costs are sums over pitches or keys, means over frames; the
    pedal's is a mean over trunk frames; the note head's, and that of the program while a note sounds, are
    means over candidates or notes.

    Raises:
      ValueError: a weight below 0, or a positive weight below 1.
    """

    onset_weight: float = 1.0
    active_weight: float = 0.5
    offset_weight: float = 0.5
    cents_weight: float = 0.002
    pedal_weight: float = 0.2
    drum_weight: float = 1.0
    is_note_weight: float = 0.1
    program_weight: float = 0.4
    sounding_weight: float = 0.2
    velocity_weight: float = 0.1
    positive_weight: float = 2.0

    def __post_init__(self) -> None:
        check_at_least(0, **vars(self))
        check_at_least(1, positive_weight=self.positive_weight)


def frame_loss(
    config: FrameConfig,
    weights: FrameLossConfig,
    params: Any,
    detected: Detected,
    batch: Mapping[str, jax.Array],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss, float32 [], and its parts and two accuracies as measurements, float32 [] each.

    params: of `network.fresh_params`; its program reader only learns here.
    """
    frames = detected.rolls.onset.shape[1]
    fps = config.spectra.frames_per_second
    is_note = batch["note_pitch"] >= 0
    row = batch["note_pitch"] - LOWEST_PITCH
    pitched = is_note & ~batch["note_is_drum"] & (row >= 0) & (row < NUM_PITCHES)
    onset = _peak_targets(batch["note_start"], row, pitched, (frames, NUM_PITCHES), fps, _WIDTH_SECONDS)
    offset = _peak_targets(batch["note_end"], row, pitched, (frames, NUM_PITCHES), fps, _WIDTH_SECONDS)
    active = _active_targets(batch, row, pitched, frames, fps)
    key = batch["note_pitch"] - DRUM_KEYS[0]
    is_hit = is_note & batch["note_is_drum"] & (key >= 0) & (key < len(DRUM_KEYS))
    size = (detected.drums.shape[1], len(DRUM_KEYS))
    hits = _peak_targets(batch["note_start"], key, is_hit, size, 2 * fps, _DRUM_WIDTH_SECONDS)
    positive = weights.positive_weight
    costs = {
        "onset": _roll_cost(detected.rolls.onset, onset, positive),
        "active": _roll_cost(detected.rolls.active, active, 1.0),
        "offset": _roll_cost(detected.rolls.offset, offset, positive),
        "drum": _roll_cost(detected.drums, hits, positive),
        "cents": _cents_cost(detected.rolls.cents, batch, row, pitched, fps),
        "sounding": _sounding_cost(params["program_reader"], detected.features, batch, row, pitched, fps),
    }
    of_notes, measured = _note_costs(config, detected, batch)
    costs |= of_notes
    if detected.rolls.pedal is not None and "pedal" in batch:
        is_down = _pedal_targets(batch["pedal"], detected.rolls.pedal.shape[1], fps)
        costs["pedal"] = jnp.mean(_cross_entropy(detected.rolls.pedal, is_down))
        measured["pedal_f1"] = _f1((detected.rolls.pedal > 0).astype(jnp.float32), is_down)
    total = sum((getattr(weights, f"{name}_weight") * cost for name, cost in costs.items()), jnp.zeros(()))
    named = {f"{name}_loss": cost for name, cost in costs.items()}
    return total, {"loss": total, **named, **measured}


def _peak_targets(
    seconds: jax.Array, column: jax.Array, counts: jax.Array, size: tuple[int, int], fps: float, width: float
) -> jax.Array:
    """A roll float32 [B, *size] with a peak of 1 at each event, falling to 0 within 1.25 widths."""
    first = jnp.floor(seconds * fps).astype(jnp.int32)
    reach = int(1.25 * width * fps) + 1
    at = first[..., None] + jnp.arange(-reach, reach + 1)[None, None]  # [B, P, 2 reach + 1]
    distance = jnp.abs((at.astype(jnp.float32) + 0.5) / fps - seconds[..., None])
    value = jnp.clip(1 + _FLAT - distance / width, 0, 1)
    inside = counts[..., None] & (at >= 0) & (at < size[0])
    segment = jnp.arange(len(seconds))[:, None, None]
    place = jnp.where(inside, at, size[0])  # dropped there
    columns = jnp.broadcast_to(jnp.clip(column, 0, size[1] - 1)[..., None], at.shape)
    return jnp.zeros((len(seconds), *size)).at[segment, place, columns].max(value, mode="drop")


def _active_targets(
    batch: Mapping[str, jax.Array], row: jax.Array, pitched: jax.Array, frames: int, fps: float
) -> jax.Array:
    first = jnp.floor(batch["note_start"] * fps).astype(jnp.int32)
    last = jnp.maximum(jnp.rint(batch["note_end"] * fps).astype(jnp.int32), first + 1)
    frame = jnp.arange(frames, dtype=jnp.int32)[None, :, None]
    sounds = (frame >= first[:, None]) & (frame < last[:, None]) & pitched[:, None]  # [B, F, P]
    return jnp.minimum(sounds.astype(jnp.float32) @ jax.nn.one_hot(row, NUM_PITCHES), 1.0)


def _roll_cost(logits: jax.Array, target: jax.Array, positive: float) -> jax.Array:
    cost = -positive * target * jax.nn.log_sigmoid(logits) - (1 - target) * jax.nn.log_sigmoid(-logits)
    return jnp.mean(jnp.sum(cost, axis=-1))


def _cents_cost(
    cents: jax.Array, batch: Mapping[str, jax.Array], row: jax.Array, pitched: jax.Array, fps: float
) -> jax.Array:
    """The mean absolute error in cents where the inflection of a sounding note is known."""
    if "note_has_cents" not in batch:
        return jnp.zeros(())
    frame = jnp.arange(cents.shape[1], dtype=jnp.float32)[None, :, None]
    time = (frame + 0.5) * FRAMES_PER_TRUNK_FRAME / fps
    since = time - batch["note_start"][:, None]  # [B, T, P]
    sounds = (since >= 0) & (time < batch["note_end"][:, None])
    known = (sounds & (pitched & batch["note_has_cents"])[:, None]).astype(jnp.float32)
    since = jnp.maximum(since, 0.0)

    def column(name: str) -> jax.Array:
        values = batch[f"note_{name}"][:, None]
        return jnp.maximum(values, 1e-3) if name == "scoop_seconds" else values  # 0 where there is no note

    true = inflection_cents(column, since, jnp)
    columns = jax.nn.one_hot(jnp.clip(row, 0, NUM_PITCHES - 1), NUM_PITCHES)
    count = known @ columns  # [B, T, 88]
    mean = (known * true) @ columns / jnp.maximum(count, 1.0)
    is_one = (count == 1).astype(jnp.float32)
    return _mean(jnp.abs(cents - jnp.clip(mean, -100, 100)), is_one)


def _pedal_targets(pedal: jax.Array, trunk_frames: int, fps: float) -> jax.Array:
    """float32 [B, T]: whether the pedal is down in the middle of each trunk frame."""
    time = (jnp.arange(trunk_frames, dtype=jnp.float32) + 0.5)[None, :, None] * FRAMES_PER_TRUNK_FRAME / fps
    is_down = (time >= pedal[:, None, :, 0]) & (time < pedal[:, None, :, 1])  # [B, T, M]
    return jnp.any(is_down, axis=-1).astype(jnp.float32)


def _sounding_cost(
    reader: Any,
    features: jax.Array,
    batch: Mapping[str, jax.Array],
    row: jax.Array,
    pitched: jax.Array,
    fps: float,
) -> jax.Array:
    """The cross-entropy of a note's program, read off the features alone while it sounds.

    The note head looks at notes where they begin; this teaches the trunk what instruments sound like later.
    """
    trunk_frames = features.shape[1]
    begin, end = (
        jnp.clip(batch[name] * fps / FRAMES_PER_TRUNK_FRAME, 0, trunk_frames)
        for name in ("note_start", "note_end")
    )
    share = jnp.asarray(_READ_AT)[None, None]
    frame = jnp.floor(begin[..., None] + share * (end - begin)[..., None]).astype(jnp.int32)  # [B, P, 3]
    sounds = pitched & (end > begin)
    segment = jnp.arange(len(row))[:, None, None]
    place = jnp.clip(row, 0, NUM_PITCHES - 1)[..., None]
    read = features[segment, jnp.minimum(frame, trunk_frames - 1), place]  # [B, P, 3, C]
    log_probs = jax.nn.log_softmax(read @ reader["kernel"] + reader["bias"][None, None, None])
    program = jnp.broadcast_to(batch["note_program"][..., None, None], (*frame.shape, 1))
    cost = -jnp.take_along_axis(log_probs, program, axis=-1)[..., 0]
    return _mean(jnp.mean(cost, axis=-1), sounds.astype(jnp.float32))


def _note_costs(
    config: FrameConfig, detected: Detected, batch: Mapping[str, jax.Array]
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    candidates, classified = detected.candidates, detected.classified
    is_note, note = match_candidates(config, candidates, batch)
    program, velocity = (
        jnp.take_along_axis(batch[name], note, axis=1) for name in ("note_program", "note_velocity")
    )
    counts = candidates.is_candidate.astype(jnp.float32)
    true = (is_note & candidates.is_candidate).astype(jnp.float32)
    log_probs = jax.nn.log_softmax(classified.programs)
    program_cost = -jnp.take_along_axis(log_probs, program[..., None], axis=-1)[..., 0]
    costs = {
        "is_note": _mean(_cross_entropy(classified.is_note, true), counts),
        "program": _mean(program_cost, true),
        "velocity": _mean(_cross_entropy(classified.velocity, velocity.astype(jnp.float32) / 127), true),
    }
    said = counts * (classified.is_note > 0).astype(jnp.float32)
    by_class = jax.nn.logsumexp(classified.programs.reshape(*program.shape, -1, PROGRAMS_PER_CLASS), axis=-1)
    is_class = (jnp.argmax(by_class, -1) == program // PROGRAMS_PER_CLASS).astype(jnp.float32)
    measured = {
        "note_f1": _f1(said, true),
        "class_accuracy": _mean(is_class, true),
    }
    return costs, measured


def match_candidates(
    config: FrameConfig, candidates: Candidates, batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Which candidates are the nearest to a true note within 50 ms, and that note: bool, int32 [B, Q]."""
    fps = config.spectra.frames_per_second
    row = batch["note_pitch"] - LOWEST_PITCH
    begins = (batch["note_pitch"] >= 0) & ~batch["note_is_drum"]
    begins &= (batch["note_start"] >= -_TOLERANCE_SECONDS) & (
        batch["note_start"] < config.segment_frames / fps
    )
    is_same = candidates.row[:, :, None] == row[:, None]  # [B, Q, P]
    is_same &= candidates.is_candidate[:, :, None] & begins[:, None]
    distance = jnp.abs(candidates.onset[:, :, None] / fps - batch["note_start"][:, None])
    distance = jnp.where(is_same & (distance <= _TOLERANCE_SECONDS), distance, jnp.inf)
    nearest = jnp.argmin(distance, axis=1, keepdims=True)  # [B, 1, P]
    is_nearest = jnp.arange(distance.shape[1])[None, :, None] == nearest
    distance = jnp.where(is_nearest, distance, jnp.inf)
    return jnp.min(distance, axis=2) < jnp.inf, jnp.argmin(distance, axis=2)


def _cross_entropy(logits: jax.Array, probability: jax.Array) -> jax.Array:
    return -probability * jax.nn.log_sigmoid(logits) - (1 - probability) * jax.nn.log_sigmoid(-logits)


def _f1(said: jax.Array, true: jax.Array) -> jax.Array:
    """Of zeros and ones of one shape."""
    return 2 * jnp.sum(said * true) / jnp.maximum(jnp.sum(said) + jnp.sum(true), 1.0)


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    return jnp.sum(values * counts) / jnp.maximum(jnp.sum(counts), 1.0)
