"""One training step: samples in, a new state out, all inside one jitted function.

For a model that writes tokens the samples become log-mel, the network reads them and predicts the next token
at every place; an auxiliary head on the encoder predicts piano rolls, which teaches the encoder to detect
notes long before the decoder has learned to write. Its weight falls over the run. The loss of a frame
recogniser is in `training.frame_loss`.

A batch holds arrays with the batch size B in front: `num_frames` int32 [B], `targets` int32 [B, T] (ids, 0 is
padding; a frame recogniser has none), the segment's notes as columns `note_start`, `note_end` float32 [B, P]
(seconds from the segment's start), `note_pitch`, `note_velocity`, `note_program` int32 [B, P] (pitch -1
pads), `note_is_drum` bool [B, P], and whatever the caller's `prepare` makes samples from.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mt3x.audio.logfrequency import Spectra, compute_spectra, make_filter_bank
from mt3x.audio.logmel import log_mel
from mt3x.model.frame_head import NUM_PITCHES, FrameHead
from mt3x.model.transformer import Transformer, shift_right
from mt3x.music.instruments import CLASS_NAMES, PROGRAMS_PER_CLASS
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.training.config import LossConfig, TrainConfig
from mt3x.training.frame_loss import FrameLossConfig
from mt3x.training.frame_loss import frame_loss as frame_recogniser_loss
from mt3x.training.mesh import AXIS_RULES
from mt3x.training.optimizer import without_frozen
from mt3x.training.state import Params, TrainState, apply_gradients
from mt3x.training.token_loss import token_loss
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import detect_in_spectra
from mt3x.transcription.tokens.config import TranscriptionConfig

Batch = dict[str, jax.Array]
Prepare = Callable[[jax.Array, Batch, Any], jax.Array]
"""(random key, batch, what `resources` holds) -> samples float32 [B, N]."""

NUM_CLASSES = len(CLASS_NAMES)


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
    class_pitch = batch["note_program"] // PROGRAMS_PER_CLASS * NUM_PITCHES + batch["note_pitch"]

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
    """Binary cross-entropy of predicted rolls, summed over their columns, mean over frames: float32 []."""
    total = jnp.zeros((), jnp.float32)
    for name, predicted in logits.items():
        target = rolls[name]
        cell = optax.sigmoid_binary_cross_entropy(predicted.astype(jnp.float32), target)
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
    config: TranscriptionConfig | FrameConfig,
    training: TrainConfig,
    optimizer: optax.GradientTransformation,
    prepare: Prepare,
    mesh: Mesh,
    placement: Any,
) -> Callable[[TrainState, Batch, jax.Array, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted update `(state, batch, key, resources) -> (state, measurements)`.

    The key is folded with the step inside. `resources` is a tree of arrays that `prepare` needs besides the
    batch (a note bank), or None.

    Args:
      placement: a tree like the state with the sharding of each array (`mesh.state_shardings`).

    Measurements are float32 scalars: `gradient_norm`, without frozen parameters; of a model that writes
    tokens `loss` (nats a token), `token_accuracy` and, where it is part of the loss, `frame_loss`; of a frame
    recogniser those of `frame_loss.frame_loss`.
    """
    has_tokens = isinstance(config, TranscriptionConfig)
    loss = (
        _make_loss(config, training, prepare, mesh)
        if isinstance(config, TranscriptionConfig)
        else make_frame_loss(config, training, prepare, mesh)
    )

    def step(state: TrainState, batch: Batch, key: jax.Array, resources: Any):
        key = jax.random.fold_in(key, state.step)
        progress = state.step.astype(jnp.float32) / training.total_steps
        count = jnp.maximum(jnp.sum(batch["targets"] > 0).astype(jnp.float32), 1.0) if has_tokens else 1.0

        def slope(part: Batch, key: jax.Array):
            gradients, measured = jax.grad(loss, has_aux=True)(
                state.params, part, key, resources, progress, count
            )
            return without_frozen(gradients, training.frozen), measured

        with nn.logical_axis_rules(tuple(AXIS_RULES.items())):
            gradients, measured = _add_up(slope, batch, key, training.num_microbatches)
        measured["gradient_norm"] = optax.tree.norm(gradients)
        return apply_gradients(state, gradients, optimizer, training.average_decay), measured

    return jax.jit(step, donate_argnums=0, out_shardings=(placement, NamedSharding(mesh, P())))


def _add_up(slope: Callable[[Batch, jax.Array], Any], batch: Batch, key: jax.Array, num_parts: int) -> Any:
    """The sum of `slope` over the parts of a batch, one after the other; a part has every n-th example."""
    if num_parts == 1:
        return slope(batch, key)
    # [B, ...] -> [B / parts, parts, ...] -> [parts, B / parts, ...]: examples stay on their devices.
    parts = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, num_parts, *x.shape[1:]), 0, 1), batch)
    keys = jax.random.split(key, num_parts)
    first = jax.tree.map(lambda x: x[0], parts)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(slope, first, keys[0]))

    def add(total: Any, part: tuple[Batch, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, slope(*part)), None

    return jax.lax.scan(add, zeros, (parts, keys))[0]


def _on_own_share(mesh: Mesh, front_end: Callable[[jax.Array, Batch, Any], Any]) -> Any:
    """`(key, batch, resources)` -> spectra, each device's of its own share of the batch, with its own key.

    XLA would gather the whole batch on every device for a Fourier transform. Loops inside (a note bank's)
    start from constants, which a check of replication would refuse.
    """

    def of_share(key: jax.Array, batch: Batch, resources: Any) -> Any:
        return front_end(jax.random.fold_in(key, jax.lax.axis_index("data")), batch, resources)

    specs = (P(), P("data"), P())
    return jax.shard_map(of_share, mesh=mesh, in_specs=specs, out_specs=P("data"), check_vma=False)


def make_frame_loss(
    config: FrameConfig, training: TrainConfig, prepare: Prepare, mesh: Mesh
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """As `_make_loss`, of a frame recogniser: its batches hold no tokens.

    Raises:
      ValueError: the run's loss is that of tokens.
    """
    weights = training.loss
    if not isinstance(weights, FrameLossConfig):
        raise ValueError("the loss of a frame recogniser is a FrameLossConfig; set TrainConfig.loss to one")
    bank = make_filter_bank(config.spectra, (0,))

    def spectra_of(key: jax.Array, batch: Batch, resources: Any) -> Spectra:
        return compute_spectra(prepare(key, batch, resources), bank, config.spectra)

    front_end = _on_own_share(mesh, spectra_of)

    def loss(
        params: Params, batch: Batch, key: jax.Array, resources: Any, progress: jax.Array, count: jax.Array
    ):
        detected = detect_in_spectra(config, params["network"], front_end(key, batch, resources))
        total, measured = frame_recogniser_loss(config, weights, params["network"], detected, batch)
        parts = training.num_microbatches
        return total / parts, {name: value / parts for name, value in measured.items()}

    return loss


def _make_loss(
    config: TranscriptionConfig, training: TrainConfig, prepare: Prepare, mesh: Mesh
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """The loss of a part of a batch, as its share of the whole batch's: shares add up, measurements too.

    Returns:
      `(params, batch, key, resources, progress, count) -> (loss, measurements)`: `progress` 0 to 1 along the
      run, `count` the tokens of the whole batch.
    """
    weights = training.loss
    if not isinstance(weights, LossConfig):
        raise ValueError(
            "the loss of a model that writes tokens is a LossConfig; set TrainConfig.loss to one"
        )
    # Typed, as flax says of `apply` only that it may also return a pair.
    apply_network: Callable[..., jax.Array] = Transformer(config.network, training.has_remat).apply  # pyright: ignore
    apply_head: Callable[..., dict[str, jax.Array]] = FrameHead(NUM_CLASSES).apply  # pyright: ignore
    codec = build_codec(config.vocabulary)
    shift_ids = tuple(vocabulary_from_codec(codec).encode(codec.event_type_range("shift")).tolist())

    def mel_of(key: jax.Array, batch: Batch, resources: Any) -> jax.Array:
        return log_mel(prepare(key, batch, resources), batch["num_frames"], config.spectrogram)

    front_end = _on_own_share(mesh, mel_of)

    def tokens_of(encoded: jax.Array, batch: Batch, key: jax.Array, run: Callable[..., jax.Array]):
        targets = batch["targets"]
        read = jitter_shifts(key, targets, shift_ids, weights.shift_jitter_steps)
        logits = run(encoded, shift_right(read), method=Transformer.decode)
        is_token = (targets > 0).astype(jnp.float32)
        total, z, _ = token_loss(logits, targets, is_token, weights.z_loss, weights.label_smoothing)
        correct = jnp.sum(jnp.where(jnp.argmax(logits, axis=-1) == targets, is_token, 0.0))
        return total, {"loss": total - z, "token_accuracy": correct}

    def frames_of(params: Params, encoded: jax.Array, batch: Batch) -> jax.Array:
        logits = apply_head({"params": params["frame_head"]}, encoded)
        rolls = piano_rolls(batch, encoded.shape[1], config.spectrogram.frames_per_second)
        return frame_loss(logits, rolls, weights.onset_positive_weight)

    def loss(
        params: Params, batch: Batch, key: jax.Array, resources: Any, progress: jax.Array, count: jax.Array
    ):
        if weights.frame_weight and "note_start" not in batch:
            raise ValueError("batches hold no notes; set LossConfig.frame_weight to 0")
        sample_key, jitter_key, dropout_key = jax.random.split(key, 3)
        mel = front_end(sample_key, batch, resources)
        variables, rngs = {"params": params["network"]}, {"dropout": dropout_key}
        run = functools.partial(apply_network, variables, deterministic=False, rngs=rngs)
        encoded = run(mel, method=Transformer.encode)
        tokens, sums = tokens_of(encoded, batch, jitter_key, run)
        total = tokens / count
        measured = {name: value / count for name, value in sums.items()}
        if weights.frame_weight:
            frames = frames_of(params, encoded, batch) / training.num_microbatches
            fallen = jnp.minimum(progress / weights.frame_weight_until, 1.0)
            total += weights.frame_weight * (1 - (1 - weights.frame_weight_final) * fallen) * frames
            measured["frame_loss"] = frames
        return total, measured

    return loss
