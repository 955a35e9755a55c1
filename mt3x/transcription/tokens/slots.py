"""Slots: rows of fixed arrays on the device in which segments are decoded, each at a position of its own.

A segment is put into a free slot while others are in the middle of theirs, and leaves it when its own search
is done; shapes never change for that, so nothing is compiled anew. The cache has room for the first positions
only and is made longer or shorter in few fixed lengths, as most segments need a small part of the longest.

Letters: B slots, K beams, E segments encoded together, N samples, F frames, H heads, L cache length, T ids.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from mt3x.audio.logmel import log_mel
from mt3x.model.decoding import DecodingWeights, decode_step
from mt3x.model.layers import KeyValues
from mt3x.model.policies import PAD_ID, Policy
from mt3x.model.transformer import Transformer, empty_cache
from mt3x.transcription.devices import SEGMENTS
from mt3x.transcription.tokens.config import TranscriptionConfig

STEPS = 4
"""Decoder steps between two looks at what is done. A slot waits half as many steps in the mean, 1 % of a
segment of 150 tokens; a look costs about 0.3 ms."""

Memory = tuple[KeyValues, ...]


class Slots(NamedTuple):
    """Arrays on the device.

    Attributes:
      ids: int32 [B, K], to be fed next.
      positions: int32 [B], where they stand.
      memory: per layer [B, H, F, head_dim]: the encoder's output as the decoder reads it.
      cache: per layer [B * K, H, L, head_dim].
      hypotheses: the policy's record.
    """

    ids: jax.Array
    positions: jax.Array
    memory: Memory
    cache: tuple[KeyValues, ...]
    hypotheses: Any


class Search(NamedTuple):
    """What compiled functions depend on beside shapes; devices are those of the mesh."""

    config: TranscriptionConfig
    policy: Policy
    mesh: Mesh


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def empty_slots(search: Search, count: int, length: int) -> Slots:
    """So many slots without segments, with a cache of `length`."""
    network, beams = search.config.network, search.policy.num_beams
    memory = empty_cache(network, count, search.config.segment_frames)
    return jax.lax.with_sharding_constraint(
        Slots(
            ids=jnp.full((count, beams), PAD_ID, jnp.int32),
            positions=jnp.zeros(count, jnp.int32),
            memory=memory,
            cache=empty_cache(network, count * beams, length),
            hypotheses=search.policy.start(count, search.config.max_target_length),
        ),
        jax.NamedSharding(search.mesh, PartitionSpec(SEGMENTS)),
    )


@functools.partial(jax.jit, static_argnums=0)
def encode(search: Search, params: Mapping[str, Any], samples: jax.Array, num_frames: jax.Array) -> Memory:
    """Samples float32 [E, N], of which num_frames int32 [E] frames count -> memory [E, H, F, head_dim]."""
    frames = log_mel(samples, num_frames, search.config.spectrogram)  # [E, F, M]

    def project(model: Transformer, frames: jax.Array) -> Memory:
        return model.project_memory(model.encode(frames)).layers

    return Transformer(search.config.network).apply({"params": params}, frames, method=project)  # pyright: ignore


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def fill(search: Search, slots: Slots, memory: Memory, sources: jax.Array, targets: jax.Array) -> Slots:
    """Begins segments in slots.

    Args:
      memory: of encoded segments, [E, H, F, head_dim].
      sources: int32 [n], which of them.
      targets: int32 [n], their slots, all different; B and more for none.
    """

    def put(x: jax.Array, new: jax.Array) -> jax.Array:
        return x.at[targets].set(new, mode="drop", unique_indices=True)

    fresh = search.policy.start(len(targets), search.config.max_target_length)
    return Slots(
        ids=put(slots.ids, jnp.full((len(targets), slots.ids.shape[1]), PAD_ID, jnp.int32)),
        positions=put(slots.positions, jnp.zeros(len(targets), jnp.int32)),
        memory=jax.tree.map(lambda x, new: put(x, new[sources]), slots.memory, memory),
        cache=slots.cache,
        hypotheses=jax.tree.map(put, slots.hypotheses, fresh),
    )


@functools.partial(jax.jit, static_argnums=0)
def resized(length: int, cache: tuple[KeyValues, ...]) -> tuple[KeyValues, ...]:
    """A longer cache, or a shorter one without what is written beyond."""

    def resize(x: jax.Array) -> jax.Array:  # [R, H, L, head_dim]
        missing = max(length - x.shape[2], 0)
        return jnp.pad(x, ((0, 0), (0, 0), (0, missing), (0, 0)))[:, :, :length]

    return jax.tree.map(resize, cache)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def advance(
    search: Search, weights: DecodingWeights, slots: Slots, is_active: jax.Array
) -> tuple[Slots, jax.Array, jax.Array]:
    """Up to `STEPS` steps of all slots: until every active one is done or one has used up the cache.

    Args:
      is_active: bool [B], which slots hold a segment.

    Returns:
      The slots; bool [B], which active ones are done; int32 [devices], the steps that each device took.
    """
    across, whole = PartitionSpec(SEGMENTS), PartitionSpec()
    # Each device works on its own slots until they are done: they don't wait for each other in between.
    return jax.shard_map(
        functools.partial(_advance, search.config, search.policy),
        mesh=search.mesh,
        in_specs=(whole, across, across),
        out_specs=(across, across, across),
        check_vma=False,
    )(weights, slots, is_active)


def _advance(
    config: TranscriptionConfig,
    policy: Policy,
    weights: DecodingWeights,
    slots: Slots,
    is_active: jax.Array,
) -> tuple[Slots, jax.Array, jax.Array]:
    length = slots.cache[0].key.shape[2]

    def is_done(slots: Slots) -> jax.Array:
        return is_active & (policy.is_done(slots.hypotheses) | (slots.positions >= config.max_target_length))

    def is_needed(state: tuple[jax.Array, Slots]) -> jax.Array:
        count, slots = state
        is_full = jnp.any(is_active & (slots.positions >= length))
        return (count < STEPS) & jnp.any(is_active & ~is_done(slots)) & ~is_full

    def step(state: tuple[jax.Array, Slots]) -> tuple[jax.Array, Slots]:
        count, (ids, positions, memory, cache, hypotheses) = state
        logits, cache = decode_step(config.network, weights, ids, positions, memory, cache)
        choice = policy.extend(hypotheses, logits, positions)
        if choice.sources is not None:
            rows = jnp.arange(len(ids))[:, jnp.newaxis] * policy.num_beams + choice.sources  # [B, K]
            cache = jax.tree.map(lambda x: jnp.take(x, rows.reshape(-1), axis=0), cache)
        return count + 1, Slots(choice.ids, positions + 1, memory, cache, choice.hypotheses)

    count, slots = jax.lax.while_loop(is_needed, step, (jnp.int32(0), slots))
    return slots, is_done(slots), count[jnp.newaxis]


@functools.partial(jax.jit, static_argnums=0)
def best_ids(search: Search, slots: Slots) -> jax.Array:
    """int32 [B, T]: what each slot's search found, where it is done."""
    return search.policy.result(slots.hypotheses)[0][:, 0]
