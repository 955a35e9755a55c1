"""What a note sounds like: the log-mel frames around its beginning, at the columns of its overtones.

Wherever a note lies, the same overtone stands in the same place here, so that one set of weights can learn a
timbre from all pitches. B segments, Q notes, F frames, M mel columns; T moments, K columns of a patch.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.audio.logmel import SpectrogramConfig, hertz_of_columns

MULTIPLES = (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
"""Of the fundamental. The halves lie between overtones: what is loud there belongs to other notes."""

_NEIGHBOURS = (-1, 0, 1)
"""Columns beside each: notes are a little out of tune."""

MOMENTS = (*(0.016 * np.arange(-3, 12)), *(0.032 * np.arange(6, 15)))
"""Seconds from the note's beginning: the attack closely, then how it goes on."""

PATCH_SHAPE = (len(MOMENTS), len(MULTIPLES) * len(_NEIGHBOURS))
"""T, K."""


def overtone_patches(
    frames: jax.Array,
    num_frames: jax.Array,
    onset: jax.Array,
    pitch: jax.Array,
    config: SpectrogramConfig,
) -> jax.Array:
    """One patch a note, less its mean; zeros outside the segment and the mel scale.

    Args:
      frames: log-mel [B, F, M]; num_frames: int [B], how many of them count.
      onset: float [B, Q], seconds from the segment's start; pitch: int [B, Q], 0 to 127.
      config: of the log-mel.

    Returns:
      float32 [B, Q, T, K].
    """
    columns, is_column = (jnp.asarray(table)[pitch] for table in _columns(config))  # [B, Q, K]
    moments = onset[..., jnp.newaxis] + jnp.asarray(MOMENTS)[jnp.newaxis, jnp.newaxis]
    moments *= config.frames_per_second
    at = jnp.floor(moments + 1e-4).astype(jnp.int32)  # [B, Q, T]
    is_inside = (at >= 0) & (at < num_frames[:, jnp.newaxis, jnp.newaxis])
    segment = jnp.arange(len(frames))[:, jnp.newaxis, jnp.newaxis, jnp.newaxis]
    at = jnp.clip(at, 0, frames.shape[1] - 1)
    patch = frames[segment, at[..., jnp.newaxis], columns[:, :, jnp.newaxis]]  # [B, Q, T, K]
    counts = is_inside[..., jnp.newaxis] & is_column[:, :, jnp.newaxis]
    mean = jnp.mean(patch, axis=(2, 3), keepdims=True, where=counts)
    return jnp.where(counts, patch - mean, 0.0)


@functools.cache
def _columns(config: SpectrogramConfig) -> tuple[np.ndarray, np.ndarray]:
    """Columns int32 [128, K] by pitch, and which of them the mel scale has, bool [128, K]."""
    hertz = 440 * 2 ** ((np.arange(128) - 69) / 12)
    overtones = hertz[:, np.newaxis] * np.array(MULTIPLES)  # [128, number of multiples]
    centers = hertz_of_columns(config)
    nearest = np.rint(np.interp(overtones, centers, np.arange(len(centers)))).astype(np.int32)
    is_heard = (overtones > centers[0]) & (overtones < centers[-1])
    columns = nearest[..., np.newaxis] + np.array(_NEIGHBOURS)
    shape = 128, PATCH_SHAPE[1]
    has_neighbours = np.repeat(is_heard, len(_NEIGHBOURS), axis=1)
    return np.clip(columns, 0, len(centers) - 1).astype(np.int32).reshape(shape), has_neighbours
