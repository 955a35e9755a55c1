"""How hypotheses grow in a search: the likeliest id, or T5X's beams.

A policy keeps its hypotheses in a record of arrays, extends them by the logits of one position at a time, and
says when no row can improve. Letters: B batch, K beams, T the longest length, V vocabulary.

Ids are model ids: 0 starts and pads, 1 ends. Scores are the network's log-probabilities, summed.

Source: T5X's `decoding.py` (`beam_search`, `temperature_sample` at temperature 0); token for token the same
results. Deviations: greedy hypotheses are scored by the network's log-probabilities, where T5X gives 0; drawn
ids, prompts and T5X's `min_log_prob` stop, which MT3 does not use, are left out.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

PAD_ID = 0
EOS_ID = 1

# T5X's "impossible": not an infinity, so that sums stay numbers.
_WORST_SCORE = -1e7


class Choice(NamedTuple):
    """What a policy decided at one position.

    Attributes:
      hypotheses: the policy's own record, any pytree.
      ids: int32 [B, K], to be fed next.
      sources: int32 [B, K], the beam that each beam continues; None if each continues itself.
    """

    hypotheses: Any
    ids: jax.Array
    sources: jax.Array | None


class Policy(Protocol):
    """How hypotheses grow, and when no row can improve. Implementations are frozen dataclasses."""

    @property
    def num_beams(self) -> int: ...

    def start(self, batch_size: int, max_length: int) -> Any:
        """The hypotheses before the first position."""
        ...

    def extend(self, hypotheses: Any, logits: jax.Array, position: jax.Array) -> Choice:
        """Chooses each row's ids at its position, int32 [B], by logits float32 [B, K, V].

        Beyond the longest length nothing is written.
        """
        ...

    def is_done(self, hypotheses: Any) -> jax.Array:
        """bool [B]: nothing that may follow changes this row's result."""
        ...

    def result(self, hypotheses: Any) -> tuple[jax.Array, jax.Array]:
        """Ids int32 [B, K, T] and scores float32 [B, K], the best first."""
        ...


class Path(NamedTuple):
    """One hypothesis per row: ids int32 [B, 1, T], scores float32 [B, 1], is_ended bool [B, 1]."""

    ids: jax.Array
    scores: jax.Array
    is_ended: jax.Array


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The likeliest id at every position, until the end id."""

    num_beams = 1

    def start(self, batch_size: int, max_length: int) -> Path:
        return Path(
            jnp.zeros((batch_size, 1, max_length), jnp.int32),
            jnp.zeros((batch_size, 1), jnp.float32),
            jnp.zeros((batch_size, 1), bool),
        )

    def extend(self, hypotheses: Path, logits: jax.Array, position: jax.Array) -> Choice:
        ids, scores, is_ended = hypotheses
        chosen = jnp.argmax(logits, axis=-1).astype(jnp.int32)  # [B, 1]
        log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), chosen[..., jnp.newaxis], axis=-1)
        scores = jnp.where(is_ended, scores, scores + log_probs[..., 0])
        chosen = jnp.where(is_ended, PAD_ID, chosen)
        ids = _write(ids, chosen, position)
        return Choice(Path(ids, scores, is_ended | (chosen == EOS_ID)), chosen, None)

    def is_done(self, hypotheses: Path) -> jax.Array:
        return hypotheses.is_ended[:, 0]

    def result(self, hypotheses: Path) -> tuple[jax.Array, jax.Array]:
        return hypotheses.ids, hypotheses.scores


class Beams(NamedTuple):
    """Hypotheses of a beam search, the best last: ids int32 [B, K, T], scores float32 [B, K].

    Live scores are log-probabilities; ended ones are divided by the length penalty. `is_ended`, bool [B, K],
    says which of the ended places are taken. `best_possible`, float32 [B]: no live one can end with more.
    """

    live_ids: jax.Array
    live_scores: jax.Array
    ended_ids: jax.Array
    ended_scores: jax.Array
    is_ended: jax.Array
    best_possible: jax.Array


@dataclasses.dataclass(frozen=True)
class Beam:
    """T5X's beam search: `size` live and `size` ended hypotheses, scores / ((5 + length) / 6) ** alpha.

    With one beam it is not greedy: an end id ranked second is kept as an ended hypothesis while the search
    goes on, and wins if nothing later scores higher. A row is done when its worst ended hypothesis beats the
    best that a live one could still reach; a row without any ended hypothesis returns its live ones.

    Raises:
      ValueError: size < 1 or alpha < 0.
    """

    size: int = 1
    alpha: float = 0.6

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}: give at least one beam")
        if self.alpha < 0:
            raise ValueError(f"alpha is {self.alpha}: give 0 (no length penalty) or more")

    @property
    def num_beams(self) -> int:
        return self.size

    def start(self, batch_size: int, max_length: int) -> Beams:
        # All beams start equal: only the first counts, or they would stay equal.
        live = jnp.where(jnp.arange(self.size) == 0, 0.0, _WORST_SCORE).astype(jnp.float32)
        ids = jnp.zeros((batch_size, self.size, max_length), jnp.int32)
        worst = jnp.full((batch_size, self.size), _WORST_SCORE, jnp.float32)
        return Beams(
            live_ids=ids,
            live_scores=jnp.broadcast_to(live[jnp.newaxis], worst.shape),
            ended_ids=ids,
            ended_scores=worst,
            is_ended=jnp.zeros(worst.shape, bool),
            best_possible=jnp.zeros(batch_size, jnp.float32),
        )

    def extend(self, hypotheses: Beams, logits: jax.Array, position: jax.Array) -> Choice:
        vocab_size = logits.shape[-1]
        max_length = hypotheses.live_ids.shape[-1]
        scores = jax.nn.log_softmax(logits) + hypotheses.live_scores[..., jnp.newaxis]  # [B, K, V]
        # Twice as many candidates as beams: if all beams end at once, as many others go on. [B, 2K]
        scores, flat = jax.lax.top_k(scores.reshape(scores.shape[0], -1), 2 * self.size)
        sources, chosen = flat // vocab_size, flat % vocab_size
        ids = _write(take_beams(hypotheses.live_ids, sources), chosen, position)  # [B, 2K, T]
        is_end = chosen == EOS_ID

        live_scores, live = _best_last(scores + jnp.where(is_end, _WORST_SCORE, 0.0), self.size)  # [B, K]
        penalized = scores / self._penalty(position[:, jnp.newaxis] + 1) + jnp.where(
            is_end, 0.0, _WORST_SCORE
        )
        candidate_scores = jnp.concatenate([hypotheses.ended_scores, penalized], axis=1)  # [B, 3K]
        ended_scores, ended = _best_last(candidate_scores, self.size)
        grown = Beams(
            live_ids=take_beams(ids, live),
            live_scores=live_scores,
            ended_ids=take_beams(jnp.concatenate([hypotheses.ended_ids, ids], axis=1), ended),
            ended_scores=ended_scores,
            is_ended=take_beams(jnp.concatenate([hypotheses.is_ended, is_end], axis=1), ended),
            # T5X counts the start id as a position of the longest length.
            best_possible=live_scores[:, -1] / self._penalty(max_length + 1),
        )
        sources = None if self.size == 1 else take_beams(sources, live)
        return Choice(grown, take_beams(chosen, live), sources)

    def is_done(self, hypotheses: Beams) -> jax.Array:
        worst = jnp.min(jnp.where(hypotheses.is_ended, hypotheses.ended_scores, _WORST_SCORE), axis=1)
        return worst > hypotheses.best_possible

    def result(self, hypotheses: Beams) -> tuple[jax.Array, jax.Array]:
        has_ended = jnp.any(hypotheses.is_ended, axis=1, keepdims=True)  # [B, 1]
        ids = jnp.where(has_ended[..., jnp.newaxis], hypotheses.ended_ids, hypotheses.live_ids)
        scores = jnp.where(has_ended, hypotheses.ended_scores, hypotheses.live_scores)
        return ids[:, ::-1], scores[:, ::-1]

    def _penalty(self, length: jax.Array | int) -> jax.Array:
        return ((5.0 + jnp.asarray(length, jnp.float32)) / 6.0) ** self.alpha


@dataclasses.dataclass(frozen=True)
class Without:
    """Another policy, to which some ids are forbidden."""

    policy: Policy
    forbidden: tuple[int, ...]

    @property
    def num_beams(self) -> int:
        return self.policy.num_beams

    def start(self, batch_size: int, max_length: int) -> Any:
        return self.policy.start(batch_size, max_length)

    def extend(self, hypotheses: Any, logits: jax.Array, position: jax.Array) -> Choice:
        allowed = logits.at[..., jnp.array(self.forbidden, jnp.int32)].set(-jnp.inf)
        return self.policy.extend(hypotheses, allowed, position)

    def is_done(self, hypotheses: Any) -> jax.Array:
        return self.policy.is_done(hypotheses)

    def result(self, hypotheses: Any) -> tuple[jax.Array, jax.Array]:
        return self.policy.result(hypotheses)


def _write(ids: jax.Array, chosen: jax.Array, position: jax.Array) -> jax.Array:
    """Ids [B, K, T] with `chosen` [B, K] at `position` [B]."""
    is_here = (
        jnp.arange(ids.shape[-1])[jnp.newaxis, jnp.newaxis] == position[:, jnp.newaxis, jnp.newaxis]
    )  # [B, 1, T]
    return jnp.where(is_here, chosen[..., jnp.newaxis], ids)


def take_beams(x: jax.Array, sources: jax.Array) -> jax.Array:
    """x [B, K, ...] -> [B, K', ...] by sources int32 [B, K'], each below K."""
    return jnp.take_along_axis(x, sources.reshape(*sources.shape, *[1] * (x.ndim - 2)), axis=1)


def _best_last(scores: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The `count` best of scores [B, N] in rising order, and their places: both [B, count]."""
    best, places = jax.lax.top_k(scores, count)
    return best[:, ::-1], places[:, ::-1]
