"""Search for the ids of a segment with cached keys and values: one loop for all policies.

Each step feeds one id per beam, reads the logits for the next and lets the policy choose, until it is done in
every row. The cache has room for the first positions only and grows when they are used up, as most segments
need a small part of the longest length. Letters: B batch, K beams, T the longest length, V vocabulary, L
positions that the cache has room for.

Source: T5X's `decoding.py`. There every step rewrites the whole cache; here only growth and beams that change
places move it, so one beam never does.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mt3x.model.layers import KeyValues
from mt3x.model.policies import PAD_ID, Beam, Greedy, Policy, Sampling
from mt3x.model.transformer import DecoderMemory, Transformer, empty_cache

__all__ = [
    "Beam",
    "Greedy",
    "Policy",
    "Sampling",
    "SearchResult",
    "SearchState",
    "continue_search",
    "finish_search",
    "search",
    "start_search",
]

CACHE_LENGTHS = (256, 512)
"""Lengths at which the cache grows. Each costs a compilation (about 1 s for small networks on two cores)."""

Step = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]
"""(ids int32 [B, K], position int32 [], cache) -> (logits float32 [B, K, V], cache)."""


class SearchResult(NamedTuple):
    """What a search found.

    Attributes:
      ids: int32 [B, T], the best hypothesis of each row; zeros after its end id, which it may lack.
      scores: float32 [B], its score.
      beam_ids: int32 [B, K, T], all hypotheses that the policy kept, the best first.
      beam_scores: float32 [B, K].
      num_steps: int32 [], how many times the decoder ran.
    """

    ids: jax.Array
    scores: jax.Array
    beam_ids: jax.Array
    beam_scores: jax.Array
    num_steps: jax.Array


class SearchState(NamedTuple):
    """Where a search stands: `ids` [B, K] are to be fed at `position`."""

    position: jax.Array
    ids: jax.Array
    cache: Any
    hypotheses: Any
    key: jax.Array


def start_search(policy: Policy, cache: Any, batch_size: int, max_length: int, rng: jax.Array) -> SearchState:
    """A search before its first position; every array of `cache` is [B * K, ...]."""
    ids = jnp.full((batch_size, policy.num_beams), PAD_ID, jnp.int32)
    return SearchState(jnp.int32(0), ids, cache, policy.start(batch_size, max_length), rng)


def continue_search(step: Step, policy: Policy, state: SearchState, end: int) -> SearchState:
    """Goes on until every row is done or position `end` is reached; one `while_loop`, to be jitted."""

    def is_needed(state: SearchState) -> jax.Array:
        return (state.position < end) & ~jnp.all(policy.is_done(state.hypotheses))

    def advance(state: SearchState) -> SearchState:
        position, ids, cache, hypotheses, key = state
        logits, cache = step(ids, position, cache)
        positions = jnp.full(len(ids), position)
        choice = policy.extend(hypotheses, logits, positions, jax.random.fold_in(key, position))
        sources = choice.sources
        if sources is not None:
            # Rows of the cache are [B * K].
            rows = jnp.arange(len(sources))[:, jnp.newaxis] * policy.num_beams + sources
            cache = jax.tree.map(lambda x: jnp.take(x, rows.reshape(-1), axis=0), cache)
        return SearchState(position + 1, choice.ids, cache, choice.hypotheses, key)

    return jax.lax.while_loop(is_needed, advance, state)


def finish_search(policy: Policy, state: SearchState) -> SearchResult:
    """What the policy makes of its hypotheses."""
    ids, scores = policy.result(state.hypotheses)
    return SearchResult(ids[:, 0], scores[:, 0], ids, scores, state.position)


def search(
    model: Transformer,
    params: Any,
    encoded: jax.Array,
    policy: Policy,
    max_length: int,
    rng: jax.Array | None = None,
    cache_lengths: Sequence[int] = CACHE_LENGTHS,
) -> SearchResult:
    """Ids of at most `max_length` for each row of the encoder's output [B, F, D].

    Unless ids are drawn, a row's result is the same in any batch; cache lengths never change it. Compiles
    once per batch shape and cache length that is reached; asks in between whether all rows are done, so it
    can't be jitted itself.

    Args:
      params: the network's parameters, nested dict of arrays.
      rng: a key, for policies that draw.
      cache_lengths: where the cache grows; those outside 1 to max_length - 1 have no effect.

    Raises:
      ValueError: max_length < 1, encoded is not [B, F, emb_dim], or a policy that draws has no rng.
    """
    if max_length < 1:
        raise ValueError(f"max_length is {max_length}: give at least 1")
    if encoded.ndim != 3 or encoded.shape[-1] != model.config.emb_dim:
        raise ValueError(f"encoded has shape {encoded.shape}: give [batch, frames, {model.config.emb_dim}]")
    if rng is None:
        if policy.is_random:
            raise ValueError(f"{policy} draws ids: give rng, a jax.random.key")
        rng = jax.random.key(0)
    memory, state = _start(model, policy, max_length, params, encoded, rng)
    for length in [*sorted(length for length in set(cache_lengths) if 0 < length < max_length), max_length]:
        state, is_done = _continue(model, policy, length, params, memory, state)
        if is_done:
            break
    return _finish(policy, state)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _start(
    model: Transformer, policy: Policy, max_length: int, params: Any, encoded: jax.Array, rng: jax.Array
) -> tuple[DecoderMemory, SearchState]:
    memory = model.apply({"params": params}, encoded, method=Transformer.project_memory)
    cache = empty_cache(model.config, len(encoded) * policy.num_beams, 0)
    return memory, start_search(policy, cache, len(encoded), max_length, rng)  # pyright: ignore


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _continue(
    model: Transformer, policy: Policy, length: int, params: Any, memory: DecoderMemory, state: SearchState
) -> tuple[SearchState, jax.Array]:
    """Goes on with a cache of `length`, up to that position; also says whether all rows are done."""

    def grow(x: jax.Array) -> jax.Array:
        missing = length - x.shape[2]  # x: [B * K, H, L, head_dim]
        return jnp.pad(x, ((0, 0), (0, 0), (0, missing), (0, 0)))

    def step(ids: jax.Array, position: jax.Array, cache: tuple[KeyValues, ...]) -> Any:
        return model.apply({"params": params}, ids, position, memory, cache, method=Transformer.decode_step)

    state = continue_search(step, policy, state._replace(cache=jax.tree.map(grow, state.cache)), length)
    return state, jnp.all(policy.is_done(state.hypotheses))


_finish = jax.jit(finish_search, static_argnums=0)
