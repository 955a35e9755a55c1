"""Trains the network of `mt3x.score.rhythm.beat_network` on performances generated from scores.

    python benchmarks/rhythm_training.py SCORES_FOLDER OUT.npz [--minutes 45]

SCORES_FOLDER holds .mxl scores (OpenScore Lieder and String Quartets, CC0); held-out pieces
(`mt3x.data.synthetic.scores.is_held_out`) are left out. Of every batch `NEW` performances are new, the others
are drawn again from before. A share of `EXERCISES` of the new ones are no music but exercises, without which
simple tunes are read at half their tempo; of `SINGLE_PARTS` one part alone is left. The learning rate falls
with the time used, so that a run ends when its minutes do. Needs optax.

The shipped weights took 10,000 batches in 44 minutes of a shared core without exercises and single parts;
from there 11 minutes with exercises (`--weights`, `--rate 1.5e-3`); from there 24 with single parts, too
(the same, `--seed 7`). They are .7 of the last and .3 of those before, for what `benchmarks/rhythm.py`
says.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mt3x.data.beats.performances import (
    MetricalScore,
    Performance,
    draw_exercise,
    perform,
    read_metrical_scores,
)
from mt3x.data.synthetic.scores import is_held_out
from mt3x.score.rhythm.beat_network import DILATIONS, METRES, NUM_FEATURES, TAPS, beat_logits, event_features
from mt3x.score.rhythm.beat_salience import onset_events

EVENTS = 192
SECONDS = 50.0
SAME_SECONDS = 0.06
BATCH = 16
NEW = 4
WIDTH = 64
METRE_SHARE = 0.15
EXERCISES = 0.06
SINGLE_PARTS = 0.2
FEWEST_NOTES = 16
MEMORY = 4096


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--rate", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--weights", type=Path, help="begin with these; default: random ones")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    paths = (path for path in arguments.scores.rglob("*.mxl") if not is_held_out(path))
    scores = list(read_metrical_scores(paths))
    rng = np.random.default_rng(arguments.seed)
    params = load(arguments.weights) if arguments.weights else initial_params(rng)
    train(params, scores, arguments.minutes, arguments.rate, rng, arguments.out)


def load(weights: Path) -> dict[str, jax.Array]:
    with np.load(weights) as archive:
        return {name: jnp.asarray(archive[name], jnp.float32) for name in archive.files}


def save(params: dict[str, jax.Array], out: Path) -> None:
    arrays: Any = {name: np.asarray(value, np.float16) for name, value in params.items()}
    np.savez(out, **arrays)


def initial_params(rng: np.random.Generator) -> dict[str, jax.Array]:
    def normal(*shape: int, fan_in: int) -> np.ndarray:
        return rng.normal(0, fan_in**-0.5, shape).astype(np.float32)

    taps, layers = len(TAPS), len(DILATIONS)
    params = {
        "input": normal(NUM_FEATURES, WIDTH, fan_in=32),
        "mix": normal(layers, taps, WIDTH, WIDTH, fan_in=taps * WIDTH),
        "out": 0.3 * normal(layers, WIDTH, WIDTH, fan_in=WIDTH),
        "head": 0.3 * normal(WIDTH, 2 + len(METRES), fan_in=WIDTH),
        "head_bias": np.array([-1.0, -1.0] + [0.0] * len(METRES), np.float32),
    }
    return {name: jnp.asarray(value) for name, value in params.items()}


def example(performance: Performance) -> tuple[np.ndarray, ...]:
    """Features [EVENTS, NUM_FEATURES], targets [EVENTS, 2], their weights [EVENTS, 2], and of the metre its
    index and its weight.
    """
    notes, beats = performance.notes, performance.beats
    times, _ = onset_events(notes)
    is_inside = times < beats[-1]
    distance = np.abs(times[:, None] - beats)
    nearest = distance.argmin(1)
    # The event nearest to a beat is that beat, if it is near; a second one beside it is not.
    is_beat = distance.argmin(0)[nearest] == np.arange(len(times))
    is_beat &= distance.min(1) < SAME_SECONDS
    features = np.zeros((EVENTS, NUM_FEATURES), np.float32)
    targets, weights = np.zeros((EVENTS, 2), np.float32), np.zeros((EVENTS, 2), np.float32)
    size = min(EVENTS, len(times))
    features[:size] = event_features(notes)[:size]
    targets[:size, 0] = is_beat[:size]
    targets[:size, 1] = performance.is_downbeat[nearest][:size]
    weights[:size] = np.stack([is_inside, is_inside & is_beat], axis=1)[:size]
    metre = (performance.beats_per_measure, performance.is_compound)
    index = METRES.index(metre) if metre in METRES else 0
    return features, targets, weights, np.array(index), np.array(metre in METRES, np.float32)


def one_part(played: Performance, score: MetricalScore, rng: np.random.Generator) -> Performance:
    """A performance of one part alone, a song without its piano, say; all where no part has enough notes."""
    part = np.where(played.rows >= 0, score.notes[played.rows, 3], -1)
    parts, counts = np.unique(part[part >= 0], return_counts=True)
    parts = parts[counts >= FEWEST_NOTES]
    if not len(parts):
        return played
    is_kept = part == rng.choice(parts)
    return dataclasses.replace(played, notes=played.notes[is_kept], rows=played.rows[is_kept])


def batches(scores: list[MetricalScore], rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    memory: list[tuple[np.ndarray, ...]] = []
    while True:
        new = 0
        while new < NEW or len(memory) < BATCH:
            is_simple = rng.random() < EXERCISES
            score = draw_exercise(rng) if is_simple else scores[int(rng.integers(len(scores)))]
            played = perform(score, rng, SECONDS)
            if played is not None:
                if rng.random() < SINGLE_PARTS:
                    played = one_part(played, score, rng)
                memory.append(example(played))
                new += 1
        del memory[:-MEMORY]
        chosen = memory[-NEW:]
        chosen = chosen + [memory[int(i)] for i in rng.integers(len(memory), size=BATCH - len(chosen))]
        yield tuple(np.stack(column) for column in zip(*chosen, strict=True))


def train(
    params: dict[str, jax.Array],
    scores: list[MetricalScore],
    minutes: float,
    peak_rate: float,
    rng: np.random.Generator,
    out: Path,
) -> None:
    """Trains for so many minutes; every hundred batches, and at the end, `out` gets the weights."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    state = optimizer.init(params)

    def loss_of(params, features, targets, weights, metre, has_metre):
        logits = beat_logits(params, features, jnp)
        losses = optax.sigmoid_binary_cross_entropy(logits[..., :2], targets)
        beat, downbeat = jnp.sum(losses * weights, axis=(0, 1)) / jnp.sum(weights, axis=(0, 1))
        is_event = features[..., :1]
        mean = jnp.sum(logits[..., 2:] * is_event, axis=1) / jnp.sum(is_event, axis=1)
        of_metre = optax.softmax_cross_entropy_with_integer_labels(mean, metre)
        of_metre = jnp.sum(of_metre * has_metre) / jnp.maximum(jnp.sum(has_metre), 1)
        return beat + 0.5 * downbeat + METRE_SHARE * of_metre, jnp.stack([beat, downbeat, of_metre])

    @jax.jit
    def step(params, state, rate, batch):
        (_, totals), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, *batch)
        updates, state = optimizer.update(gradients, state)
        return jax.tree.map(lambda p, u: p - rate * u, params, updates), state, totals

    begin, used, recent = time.monotonic(), 0.0, []
    for count, batch in enumerate(batches(scores, rng)):
        if count == 1:
            begin = time.monotonic()  # what is compiled is compiled
        used = (time.monotonic() - begin) / (60 * minutes)
        if used >= 1:
            break
        rate = peak_rate * min(1.0, (count + 1) / 100) * 0.5 * (1 + np.cos(np.pi * used))
        params, state, totals = step(params, state, np.float32(rate), batch)
        recent.append(totals)
        if count % 100 == 99:
            losses = np.mean(np.asarray(recent), axis=0)
            named = ", ".join(
                f"{n} {x:.4f}" for n, x in zip(("beat", "downbeat", "metre"), losses, strict=True)
            )
            print(f"{count + 1} batches, {used:.0%}: {named}", flush=True)
            if not np.isfinite(losses).all():
                raise FloatingPointError(f"the loss is not finite at batch {count + 1}; lower --rate")
            recent = []
            save(params, out)
    save(params, out)


if __name__ == "__main__":
    main()
