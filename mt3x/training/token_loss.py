"""The token loss: cross-entropy summed over tokens, plus the z-loss that keeps log Z near zero.

With label smoothing s a token's target is 1 - s for itself and s / (V - 1) for every other; the entropy of
that target is taken off, so that a perfect prediction costs nothing.

Conventions: sums, not means; the caller divides (MT3 trains on the sum). Source: T5X's
`losses.compute_weighted_cross_entropy` with MT3's settings (`gin/model.gin`: no label smoothing, z-loss
1e-4); its hand-written gradient, softmax * (1 + 2 z log Z) - target, is what differentiating this gives.
"""

import math

import jax
import jax.numpy as jnp


def token_loss(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    z_loss: float = 1e-4,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums over all tokens: loss (z-loss included), its z-loss part, and the weights; each float32 [].

    logits: float [B, T, V], computed on as float32; targets: int32 [B, T]; weights: [B, T], 0 at padding;
    label_smoothing: in [0, 1).

    Raises:
      ValueError: the shapes do not agree.
    """
    if logits.ndim != 3 or targets.shape != logits.shape[:2] or weights.shape != targets.shape:
        raise ValueError(
            f"logits {logits.shape}, targets {targets.shape}, weights {weights.shape}: "
            "give [batch, tokens, vocabulary], [batch, tokens], [batch, tokens]"
        )
    logits = logits.astype(jnp.float32)
    weights = weights.astype(jnp.float32)
    log_z = jax.nn.logsumexp(logits, axis=-1)  # [B, T]
    # Compared with an iota, not gathered: the gradient is a fused select, not a scatter.
    is_target = jnp.arange(logits.shape[-1])[jnp.newaxis, jnp.newaxis] == targets[:, :, jnp.newaxis]
    target_logits = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)  # [B, T]
    z_losses = z_loss * jnp.square(log_z)
    losses = log_z - target_logits + z_losses
    if label_smoothing:
        sure, other = 1 - label_smoothing, label_smoothing / (logits.shape[-1] - 1)
        entropy = -sure * math.log(sure) - label_smoothing * math.log(other)
        losses += (1 - sure + other) * target_logits - other * jnp.sum(logits, axis=-1) - entropy
    return jnp.sum(losses * weights), jnp.sum(z_losses * weights), jnp.sum(weights)
