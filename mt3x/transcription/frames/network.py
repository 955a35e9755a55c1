"""The frame recogniser: samples in, probabilities of notes and drum hits out.

Two steps. The trunk's rolls say where a note may begin: their peaks, down to unlikely ones, are onset
candidates. The note head (`model.note_head`) then classifies each: whether it is a note, which of 128
programs plays it and how hard; it looks at the trunk's features there, at the spectrum at the note's
harmonics, and at the other candidates of the segment.

B segments, N samples, F pitch frames, T = F / 2 trunk frames, Q candidates.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.audio.logfrequency import BINS_PER_SEMITONE, MARGIN_BINS, FilterBank, Spectra, compute_spectra
from mt3x.model.note_head import NUM_PROGRAMS, Classification, NoteHead
from mt3x.model.trunk import FRAMES_PER_TRUNK_FRAME, NUM_PITCHES, DrumNetwork, Rolls, Trunk
from mt3x.transcription.frames.config import FrameConfig

LEAST_LOGIT = -3.5
"""Of an onset in the roll, for a candidate: a probability of 3 %."""

REACH_FRAMES = 2
"""An onset is a peak among so many frames before and after it."""

_HARMONICS = (0, 12, 19, 24, 28, 31, 34, 36, 38, 40, 42, 43)
"""Semitones above a pitch at which the spectrum is read: harmonics 1 to 12."""

_FEATURES_AT = (-1, 0, 1, 2, 4, 8)
"""Trunk frames from the onset whose features are read."""

_LONG_AT, _SHORT_AT = (-3, 1, 3, 6, 12, 20), (-1, 0, 1, 2)
"""Pitch frames from the onset at which the spectra of long and short windows are read."""

_ROLLS_AT = (-2, -1, 0, 1, 2, 4, 7, 11)


class Candidates(NamedTuple):
    """Where notes may begin: `onset` float32 [B, Q], pitch frames from the segment's start; `row` int32 [B,
    Q], 0 to 87; `logit` float32 [B, Q], the roll's; -inf for an empty place.
    """

    onset: jax.Array
    row: jax.Array
    logit: jax.Array

    @property
    def is_candidate(self) -> jax.Array:
        """bool [B, Q]: which places are not empty."""
        return self.logit > -jnp.inf


class Detected(NamedTuple):
    """What was detected in segments: logits, in JAX arrays.

    `features` float32 [B, T, 88, C]; `rolls`; `drums` float32 [B, 2 F, 47]; `candidates`; `classified`.
    """

    features: jax.Array
    rolls: Rolls
    drums: jax.Array
    candidates: Candidates
    classified: Classification


class FramePredictions(NamedTuple):
    """What is predicted of one segment, or of a batch [B, ...] of them: probabilities, not decisions.

    Attributes:
      onset: float32 [Q], pitch frames from the segment's start, of the onset candidates; row: int32 [Q].
      probability: float32 [Q], of an onset in the roll; 0 for an empty place. is_note: float32 [Q], of a
        note.
      programs: float32 [Q, 128], logits; velocity: float32 [Q], 0 to 127.
      active, offset: float32 [F, 88], of a note that sounds, and that ends.
      cents: float32 [T, 88], how far from its pitch a note sounds.
      drums: float32 [2 F, 47], of hits.
      pedal: float32 [T], of a sustain pedal that is down; None of a network without a head for it.
    """

    onset: Any
    row: Any
    probability: Any
    is_note: Any
    programs: Any
    velocity: Any
    active: Any
    offset: Any
    cents: Any
    drums: Any
    pedal: Any = None


def fresh_params(config: FrameConfig, key: jax.Array) -> Any:
    """Fresh parameters: `trunk`, `drums`, `note_head` and `program_reader`, which only training reads."""
    keys = jax.random.split(key, 4)
    frames = 16
    spectra = jnp.zeros((1, frames, config.spectra.num_bins, 2))
    trunk = Trunk(config.network).init(keys[0], spectra)["params"]
    bands = jnp.zeros((1, 2 * frames, config.spectra.drum_bands))
    drums = DrumNetwork(config.network).init(keys[1], bands)["params"]
    row = jnp.zeros((1, 1), jnp.int32)
    onset = jnp.zeros((1, 1))
    trunk_frames = frames // FRAMES_PER_TRUNK_FRAME
    roll = jnp.zeros((1, frames, NUM_PITCHES))
    rolls = Rolls(roll, roll, roll, jnp.zeros((1, trunk_frames, NUM_PITCHES)))
    features = jnp.zeros((1, trunk_frames, NUM_PITCHES, config.network.feature_channels))
    patches, read = _candidate_features(features, rolls, spectra, Candidates(onset, row, onset))
    note_head = NoteHead(config.network.note_width)
    head = note_head.init(keys[2], patches, read, onset, row, row == 0)["params"]
    reader = nn.Dense(NUM_PROGRAMS).init(keys[3], features)["params"]
    return {"trunk": trunk, "drums": drums, "note_head": head, "program_reader": reader}


def detect(
    config: FrameConfig,
    params: Any,
    bank: FilterBank,
    samples: jax.Array,
    detuning: jax.Array | None = None,
) -> Detected:
    """Everything that the network says of segments.

    Args:
      params: of `fresh_params`; samples: float32 [B, N].
      detuning: int32 [B], of the bank's detunings; None for its first.
    """
    spectra = compute_spectra(samples, bank, config.spectra, detuning)
    return detect_in_spectra(config, params, spectra)


def detect_in_spectra(config: FrameConfig, params: Any, spectra: Spectra) -> Detected:
    """As `detect`, of spectra."""
    network = config.network
    features: jax.Array
    rolls: Rolls
    features, rolls = Trunk(network).apply({"params": params["trunk"]}, spectra.pitch)  # pyright: ignore
    drums: jax.Array = DrumNetwork(network).apply({"params": params["drums"]}, spectra.drums)  # pyright: ignore
    candidates = find_candidates(jax.lax.stop_gradient(rolls.onset), config.num_candidates)
    patches, read = _candidate_features(features, rolls, spectra.pitch, candidates)
    classified: Classification = NoteHead(network.note_width).apply(  # pyright: ignore[reportAssignmentType]
        {"params": params["note_head"]},
        patches,
        read,
        candidates.onset / config.spectra.frames_per_second,
        candidates.row,
        candidates.is_candidate,
    )
    return Detected(features, rolls, drums, candidates, classified)


def predict(
    config: FrameConfig, params: Any, bank: FilterBank, samples: jax.Array, detuning: jax.Array
) -> FramePredictions:
    """Predictions of segments float32 [B, N], each read with the bank's filters number `detuning` [B]."""
    detected = detect(config, params, bank, samples, detuning)
    candidates, classified, pedal = detected.candidates, detected.classified, detected.rolls.pedal
    return FramePredictions(
        onset=candidates.onset,
        row=candidates.row,
        probability=jax.nn.sigmoid(candidates.logit),
        is_note=jax.nn.sigmoid(classified.is_note),
        programs=classified.programs,
        velocity=127 * jax.nn.sigmoid(classified.velocity),
        active=jax.nn.sigmoid(detected.rolls.active),
        offset=jax.nn.sigmoid(detected.rolls.offset),
        cents=detected.rolls.cents,
        drums=jax.nn.sigmoid(detected.drums),
        pedal=None if pedal is None else jax.nn.sigmoid(pedal),
    )


def find_candidates(onset_logits: jax.Array, count: int) -> Candidates:
    """The likeliest peaks along time of a roll [B, F, 88], their onsets to a fraction of a frame."""
    score = jnp.where(peaks(onset_logits) & (onset_logits > LEAST_LOGIT), onset_logits, -jnp.inf)
    best, cell = jax.lax.top_k(score.reshape(len(score), -1), count)  # [B, Q]
    frame, row = cell // NUM_PITCHES, cell % NUM_PITCHES
    return Candidates(peak_moments(onset_logits, frame, row), row.astype(jnp.int32), best)


def peaks(logits: jax.Array) -> jax.Array:
    """bool [B, F, P]: cells that none within reach exceeds, the first of equal ones."""
    is_peak = jnp.ones(logits.shape, bool)
    for shift in range(1, REACH_FRAMES + 1):
        before = jnp.pad(logits, ((0, 0), (shift, 0), (0, 0)), constant_values=-jnp.inf)[:, :-shift]
        after = jnp.pad(logits, ((0, 0), (0, shift), (0, 0)), constant_values=-jnp.inf)[:, shift:]
        is_peak &= (logits > before) & (logits >= after)
    return is_peak


def peak_moments(logits: jax.Array, frame: jax.Array, column: jax.Array) -> jax.Array:
    """Where peaks lie, float32 [B, Q] frames from the segment's start: the mean of the frames within reach,
    weighted by their probability; frame f's centre is at f + 0.5.
    """
    segment = jnp.arange(len(logits))[:, None, None]
    around = jnp.arange(-REACH_FRAMES, REACH_FRAMES + 1)[None, None]
    at = frame[..., None] + around  # [B, Q, 5]
    inside = (at >= 0) & (at < logits.shape[1])
    weight = jax.nn.sigmoid(logits[segment, jnp.clip(at, 0, logits.shape[1] - 1), column[..., None]])
    weight = jnp.where(inside, weight, 0.0)
    total = jnp.maximum(jnp.sum(weight, axis=-1), 1e-37)  # of an empty place all may have underflowed
    return jnp.sum(weight * (at.astype(jnp.float32) + 0.5), axis=-1) / total


def _candidate_features(
    features: jax.Array, rolls: Rolls, spectra: jax.Array, candidates: Candidates
) -> tuple[jax.Array, jax.Array]:
    """Readings of the spectra at each candidate's harmonics [B, Q, 10, 12], and of features and rolls there
    [B, Q, E]. Outside the segment its first or last frame is read; what lies above the spectra is 0, about a
    middling level.
    """
    onset, row, _ = candidates
    frame = jnp.floor(onset).astype(jnp.int32)[..., None]  # [B, Q, 1]
    segment = jnp.arange(len(onset))[:, None, None]

    def at(offsets: tuple[int, ...], scale: int, count: int) -> jax.Array:
        return jnp.clip(frame // scale + jnp.asarray(offsets)[None, None], 0, count - 1)

    near = features[segment, at(_FEATURES_AT, FRAMES_PER_TRUNK_FRAME, features.shape[1]), row[..., None]]
    parts = [near.reshape(*onset.shape, -1)]
    places = at(_ROLLS_AT, 1, rolls.onset.shape[1])
    parts += [
        jnp.clip(roll[segment, places, row[..., None]], -8.0, 8.0) / 4
        for roll in (rolls.onset, rolls.active, rolls.offset)
    ]
    bins = MARGIN_BINS + 1 + BINS_PER_SEMITONE * (row[..., None] + jnp.asarray(_HARMONICS)[None, None])
    is_read = (bins < spectra.shape[2])[:, :, None]  # [B, Q, 1, 12]
    bins = jnp.minimum(bins, spectra.shape[2] - 1)[:, :, None]

    def patch(which: int, offsets: tuple[int, ...]) -> jax.Array:
        frames = at(offsets, 1, spectra.shape[1])[..., None]  # [B, Q, len(offsets), 1]
        return jnp.where(is_read, spectra[segment[..., None], frames, bins, which], 0.0)

    patches = [patch(which, offsets) for which, offsets in enumerate((_LONG_AT, _SHORT_AT))]
    return jnp.concatenate(patches, axis=2), jnp.concatenate(parts, axis=-1)
