"""One training step: samples in, a new state out, all inside one jitted function.

The samples become log-mel, the network reads them and predicts the next token at every place; an auxiliary
head on the encoder predicts piano rolls, which teaches the encoder to hear long before the decoder has
learned to write. Its weight falls over the run.

A batch holds arrays with the batch size B in front: `num_frames` int32 [B], `targets` int32 [B, T] (ids, 0 is
padding), the segment's notes as columns `note_start`, `note_end` float32 [B, P] (seconds from the segment's
start), `note_pitch`, `note_program` int32 [B, P] (pitch -1 pads), `note_is_drum` bool [B, P], and whatever
the caller's `prepare` makes samples from.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from mt3x.audio.logmel import log_mel
from mt3x.model.frame_head import NUM_PITCHES, FrameHead
from mt3x.model.transformer import Transformer, shift_right
from mt3x.runtime.loss import token_loss
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.state import Params, TrainState, apply_gradients
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec

Batch = dict[str, jax.Array]
Prepare = Callable[[jax.Array, Batch, Any], jax.Array]
"""(random key, batch, what `resources` holds) -> samples float32 [B, N]."""

NUM_CLASSES = 16


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """How the parts of the loss weigh.

    Attributes:
      z_loss: T5X's penalty on the log of the softmax normaliser.
      frame_weight: weight of the frame head's loss at the start.
      frame_weight_final: its share that is left after `frame_weight_until` of the run.
      onset_positive_weight: weight of cells that hold an onset over cells that do not, which are far more.
      shift_jitter_steps: the decoder reads the shifts before a token with random errors, whose standard
        deviation is drawn for each example from 0 to this. Its own shifts will be off by a step or two: a
        decoder that has only read true ones writes a note again that it wrote too early. MT3 has none.
    """

    z_loss: float = 1e-4
    frame_weight: float = 0.2
    frame_weight_final: float = 0.15
    frame_weight_until: float = 0.7
    onset_positive_weight: float = 5.0
    shift_jitter_steps: float = 0.0


def piano_rolls(batch: Batch, num_frames: int, frames_per_second: float) -> dict[str, jax.Array]:
    """What the frame head should say, from the note columns of a batch.

    Returns:
      `onset`, `active`, `drum` float32 [B, F, 128] and `class_active` float32 [B, F, 16 * 128]; 1 where a
      pitched note starts (in that frame or the next, since an onset is heard between two frames), sounds, a
      drum is hit, or a note of a program class sounds (column class * 128 + pitch).
    """
    first = jnp.floor(batch["note_start"] * frames_per_second).astype(jnp.int32)
    last = jnp.maximum(jnp.ceil(batch["note_end"] * frames_per_second).astype(jnp.int32), first + 1)
    frames = jnp.arange(num_frames, dtype=jnp.int32)[None, :, None]
    is_note = batch["note_pitch"] >= 0
    pitched, drums = is_note & ~batch["note_is_drum"], is_note & batch["note_is_drum"]
    since = frames - first[:, None, :]
    starts = (since >= 0) & (since <= 1)  # [B, F, P]
    sounds = (since >= 0) & (frames < last[:, None, :])
    pitch = jax.nn.one_hot(batch["note_pitch"], NUM_PITCHES)
    class_pitch = batch["note_program"] // 8 * NUM_PITCHES + batch["note_pitch"]

    def roll(cells: jax.Array, which: jax.Array, columns: jax.Array) -> jax.Array:
        return jnp.minimum((cells & which[:, None, :]).astype(jnp.float32) @ columns, 1.0)

    return {
        "onset": roll(starts, pitched, pitch),
        "active": roll(sounds, pitched, pitch),
        "drum": roll(starts, drums, pitch),
        "class_active": roll(sounds, pitched, jax.nn.one_hot(class_pitch, NUM_CLASSES * NUM_PITCHES)),
    }


def frame_loss(
    logits: dict[str, jax.Array], rolls: dict[str, jax.Array], onset_positive_weight: float
) -> jax.Array:
    """Binary cross-entropy of the rolls, summed over pitches and classes, mean over frames: float32 []."""
    total = jnp.zeros((), jnp.float32)
    for name, target in rolls.items():
        cell = optax.sigmoid_binary_cross_entropy(logits[name].astype(jnp.float32), target)
        if name in ("onset", "drum"):
            cell = cell * (1 + (onset_positive_weight - 1) * target)
        total += jnp.mean(jnp.sum(cell, axis=-1))
    return total


def jitter_shifts(key: jax.Array, ids: jax.Array, shift_ids: tuple[int, int], steps: float) -> jax.Array:
    """Token ids int32 [B, T] with each shift off by a random number of steps (see `LossConfig`).

    shift_ids: ids of the first and the last shift.
    """
    first, last = shift_ids
    scale_key, error_key = jax.random.split(key)
    deviation = steps * jax.random.uniform(scale_key, (len(ids), 1))
    errors = jnp.rint(deviation * jax.random.normal(error_key, ids.shape)).astype(jnp.int32)
    is_shift = (ids >= first) & (ids <= last)
    return jnp.where(is_shift, jnp.clip(ids + errors, first, last), ids)


def make_train_step(
    config: TranscriptionConfig,
    loss_config: LossConfig,
    optimizer: optax.GradientTransformation,
    average_decay: float,
    total_steps: int,
    prepare: Prepare,
    mesh: Mesh,
) -> Callable[[TrainState, Batch, jax.Array, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted update `(state, batch, key, resources) -> (state, measurements)`.

    The key is folded with the step inside. `resources` is a tree of arrays that `prepare` needs besides the
    batch (a note bank), or None.

    Measurements are float32 scalars: `loss` (nats a token), `token_accuracy`, `frame_loss`, `gradient_norm`.
    """
    # Typed, as flax says of `apply` only that it may also return a pair.
    apply_network: Callable[..., jax.Array] = Transformer(config.network).apply  # pyright: ignore
    apply_head: Callable[..., dict[str, jax.Array]] = FrameHead(NUM_CLASSES).apply  # pyright: ignore

    codec = build_codec(config.vocabulary)
    first, last = vocabulary_from_codec(codec).encode(codec.event_type_range("shift")).tolist()

    # XLA would gather the whole batch on every device for an FFT; shard_map keeps each device to its share.
    # Loops inside (a note bank's) start from constants, which its check of replication would refuse.
    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(P(), P("data"), P()), out_specs=P("data"), check_vma=False
    )
    def hear(key: jax.Array, batch: Batch, resources: Any) -> jax.Array:
        key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        return log_mel(prepare(key, batch, resources), batch["num_frames"], config.spectrogram)

    def loss(params: Params, batch: Batch, key: jax.Array, resources: Any, progress: jax.Array):
        sample_key, jitter_key, dropout_key = jax.random.split(key, 3)
        mel = hear(sample_key, batch, resources)
        variables, rngs = {"params": params["network"]}, {"dropout": dropout_key}
        run = functools.partial(apply_network, variables, deterministic=False, rngs=rngs)
        encoded = run(mel, method=Transformer.encode)
        targets = batch["targets"]
        read = jitter_shifts(jitter_key, targets, (first, last), loss_config.shift_jitter_steps)
        logits = run(encoded, shift_right(read), method=Transformer.decode)
        weights = (targets > 0).astype(jnp.float32)
        tokens, z, count = token_loss(logits, targets, weights, loss_config.z_loss)
        rolls = piano_rolls(batch, mel.shape[1], config.spectrogram.frames_per_second)
        frame_logits = apply_head({"params": params["frame_head"]}, encoded)
        frames = frame_loss(frame_logits, rolls, loss_config.onset_positive_weight)
        fallen = jnp.minimum(progress / loss_config.frame_weight_until, 1.0)
        frame_weight = loss_config.frame_weight * (1 - (1 - loss_config.frame_weight_final) * fallen)
        correct = jnp.sum(jnp.where(jnp.argmax(logits, axis=-1) == targets, weights, 0.0))
        measured = {"loss": (tokens - z) / count, "token_accuracy": correct / count, "frame_loss": frames}
        return tokens / count + frame_weight * frames, measured

    def step(state: TrainState, batch: Batch, key: jax.Array, resources: Any):
        key = jax.random.fold_in(key, state.step)
        progress = state.step.astype(jnp.float32) / total_steps
        gradients, measured = jax.grad(loss, has_aux=True)(state.params, batch, key, resources, progress)
        measured["gradient_norm"] = optax.tree.norm(gradients)
        return apply_gradients(state, gradients, optimizer, average_decay), measured

    return jax.jit(step, donate_argnums=0)
