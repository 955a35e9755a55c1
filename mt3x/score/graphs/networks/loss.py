"""The losses of node classification on score graphs, as pure functions of a network and its variables.

Conventions: labels are int32 [N], those outside of the classes (as -1) count for nothing; a loss is the mean
over the notes that count, natural logarithms. No optimizer here: the training steps.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.networks.network import PitchSpellingGNN, spell_batch


def masked_cross_entropy(
    logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean cross-entropy and accuracy over the notes of the mask: (float32 [], float32 []).

    logits: float32 [N, classes]; labels: int32 [N], those outside of the classes are left out as well;
    mask: bool [N]. Without any note both are 0.
    """
    classes = logits.shape[-1]
    counts = (mask & (labels >= 0) & (labels < classes)).astype(jnp.float32)  # [N]
    total = jnp.maximum(jnp.sum(counts), 1.0)
    is_label = jnp.arange(classes)[jnp.newaxis] == labels[:, jnp.newaxis]  # [N, classes]
    log_likelihood = jnp.sum(jnp.where(is_label, nn.log_softmax(logits), 0.0), axis=-1)  # [N]
    correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
    return -jnp.sum(log_likelihood * counts) / total, jnp.sum(correct * counts) / total


def spelling_measures(
    spelling: jax.Array,
    key: jax.Array,
    spelling_labels: jax.Array,
    key_labels: jax.Array,
    mask: jax.Array,
    key_weight: float = 1.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of spelling plus `key_weight` times that of the key, and what it is made of; each float32 [].

    spelling: logits [N, 35]; key: logits [N, 15]; labels int32 [N]; mask bool [N].

    Returns:
      loss, {"spelling_loss", "key_loss", "spelling_accuracy", "key_accuracy"}.
    """
    spelling_loss, spelling_accuracy = masked_cross_entropy(spelling, spelling_labels, mask)
    key_loss, key_accuracy = masked_cross_entropy(key, key_labels, mask)
    measures = {"spelling_loss": spelling_loss, "key_loss": key_loss}
    measures |= {"spelling_accuracy": spelling_accuracy, "key_accuracy": key_accuracy}
    return spelling_loss + key_weight * key_loss, measures


def spelling_loss(
    network: PitchSpellingGNN,
    params: Any,
    batch_stats: Any,
    batch: GraphBatch,
    dropout_rng: jax.Array,
    key_weight: float = 1.0,
) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
    """One training loss: of the targets' spellings plus `key_weight` times that of their keys.

    batch: with labels "spelling" and "key", as mt3x.score.graphs.labels.score_labels names them.

    Returns:
      loss float32 [], and (the new batch_stats, {"spelling_loss", "key_loss", "spelling_accuracy",
      "key_accuracy"}): what jax.value_and_grad(spelling_loss, argnums=1, has_aux=True) wants.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    (spelling, key), updated = spell_batch(
        network,
        variables,
        batch,
        deterministic=False,
        rngs={"dropout": dropout_rng},
        mutable=["batch_stats"],
    )
    loss, measures = _target_measures(spelling, key, batch, key_weight)
    return loss, (updated["batch_stats"], measures)


def spelling_evaluation(
    network: PitchSpellingGNN, params: Any, batch_stats: Any, batch: GraphBatch, key_weight: float = 1.0
) -> dict[str, jax.Array]:
    """The loss without dropout, by the running statistics: {"loss", and what spelling_loss measures}."""
    spelling, key = spell_batch(network, {"params": params, "batch_stats": batch_stats}, batch)
    loss, measures = _target_measures(spelling, key, batch, key_weight)
    return {"loss": loss, **measures}


def _target_measures(
    spelling: jax.Array, key: jax.Array, batch: GraphBatch, key_weight: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    rows = len(spelling)  # if the network is fast, targets alone
    spelled, keys, piece = (
        jnp.asarray(x)[:rows] for x in (batch.labels["spelling"], batch.labels["key"], batch.target_piece)
    )
    return spelling_measures(spelling, key, spelled, keys, piece >= 0, key_weight)
