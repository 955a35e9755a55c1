"""The search that the decoding engine is compared with: one loop, all rows at the same position.

Each step feeds one id per beam, reads the logits for the next and lets the policy choose, until it is done in
every row. Letters: B batch, K beams, T the longest length, V vocabulary, F frames, D width.

Source: T5X's `decoding.py`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mt3x.model.layers import KeyValues
from mt3x.model.policies import PAD_ID, Policy
from mt3x.model.transformer import Transformer, empty_cache

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


class _State(NamedTuple):
    """Where a search stands: `ids` [B, K] are to be fed at `position`."""

    position: jax.Array
    ids: jax.Array
    cache: Any
    hypotheses: Any


def search_by_step(step: Step, policy: Policy, cache: Any, batch_size: int, max_length: int) -> SearchResult:
    """Ids of at most `max_length` by any decoder; every array of its cache is [B * K, ...]."""

    def is_needed(state: _State) -> jax.Array:
        return (state.position < max_length) & ~jnp.all(policy.is_done(state.hypotheses))

    def advance(state: _State) -> _State:
        position, ids, cache, hypotheses = state
        logits, cache = step(ids, position, cache)
        choice = policy.extend(hypotheses, logits, jnp.full(batch_size, position))
        sources = choice.sources
        if sources is not None:
            # Rows of the cache are [B * K].
            rows = jnp.arange(batch_size)[:, jnp.newaxis] * policy.num_beams + sources
            cache = jax.tree.map(lambda x: jnp.take(x, rows.reshape(-1), axis=0), cache)
        return _State(position + 1, choice.ids, cache, choice.hypotheses)

    ids = jnp.full((batch_size, policy.num_beams), PAD_ID, jnp.int32)
    state = _State(jnp.int32(0), ids, cache, policy.start(batch_size, max_length))
    state = jax.lax.while_loop(is_needed, advance, state)
    ids, scores = policy.result(state.hypotheses)
    return SearchResult(ids[:, 0], scores[:, 0], ids, scores, state.position)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def search(
    model: Transformer, params: Any, encoded: jax.Array, policy: Policy, max_length: int
) -> SearchResult:
    """Ids of at most `max_length` for each row of the encoder's output [B, F, D]."""
    run = functools.partial(model.apply, {"params": params})
    memory = run(encoded, method=Transformer.project_memory)

    def step(ids: jax.Array, position: jax.Array, cache: tuple[KeyValues, ...]) -> Any:
        return run(ids, position, memory, cache, method=Transformer.decode_step)

    cache = empty_cache(model.config, len(encoded) * policy.num_beams, max_length)
    return search_by_step(step, policy, cache, len(encoded), max_length)
