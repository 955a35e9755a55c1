"""Times a training step of pitch spelling on score graphs.

    taskset -c 0 python benchmarks/score_networks.py

A batch is 8 regions of 300 notes with 3 neighbours for each edge type, node and hop; the network has 3 layers
over 13 edge types. A step is the loss, its gradient and an Adam update, compiled once. Graphs are random
music: time does not depend on what the notes are. `fast` drops hops that a layer does not need. Milliseconds
are medians, of the clock and of the process's CPU time. With one CPU (taskset) the two agree on an idle
machine; on a busy one believe the CPU time.

GraphMuse's step of the same size took `QUOTED` milliseconds by hidden channels (PyTorch Geometric, one thread
of another machine).
"""

import argparse
import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np
import optax
from score_graphs import draw_piece

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.graph import ScoreGraph
from mt3x.score.graphs.labels import NUM_KEYS, NUM_SPELLINGS
from mt3x.score.graphs.networks.loss import spelling_loss
from mt3x.score.graphs.networks.network import PitchSpellingGNN
from mt3x.score.graphs.sampling import MuseNeighborLoader

NUM_LAYERS, NEIGHBORS = 3, (3, 3, 3)
QUOTED = {64: 157.0, 256: 972.0}


def random_graph(num_notes: int, seed: int) -> ScoreGraph:
    """Random notes with beats, measures and labels."""
    rng = np.random.default_rng(seed)
    labels = {
        "spelling": rng.integers(0, NUM_SPELLINGS, num_notes),
        "key": rng.integers(0, NUM_KEYS, num_notes),
    }
    return dataclasses.replace(draw_piece(num_notes, seed), labels=labels)


def time_steps(network: PitchSpellingGNN, batch: GraphBatch, steps: int) -> dict[str, float]:
    """Seconds of compiling with the first step, and median milliseconds of the steps after it."""
    optimizer = optax.adam(1e-3)

    shapes = jax.eval_shape(
        lambda: network.init(
            jax.random.key(0), batch.features, batch.edges, batch.target_piece, batch.num_pieces, batch.hops
        )
    )
    # Compiling the network's own start takes longer than the step; time does not depend on the numbers.
    drawn = np.random.default_rng(0)
    variables = jax.tree.map(lambda p: drawn.uniform(0.0, 0.1, p.shape).astype(p.dtype), shapes)
    values = variables["params"], variables["batch_stats"], optimizer.init(variables["params"])

    @jax.jit
    def step(params: Any, stats: Any, state: Any, batch: GraphBatch, rng: jax.Array) -> Any:
        loss = jax.value_and_grad(spelling_loss, argnums=1, has_aux=True)
        (_, (stats, _)), gradient = loss(network, params, stats, batch, rng)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), stats, state

    values, batch = jax.device_put((values, batch))
    seconds, cpu_seconds = [], []
    for number in range(steps + 1):
        rng = jax.random.key(number)
        before, cpu_before = time.perf_counter(), time.process_time()
        values = jax.block_until_ready(step(*values, batch, rng))
        seconds.append(time.perf_counter() - before)
        cpu_seconds.append(time.process_time() - cpu_before)
    return {
        "first_seconds": cpu_seconds[0],
        "ms": 1e3 * statistics.median(seconds[1:]),
        "cpu_ms": 1e3 * statistics.median(cpu_seconds[1:]),
    }


def measure(hidden: list[int], notes: int, pieces: int, steps: int) -> list[dict[str, Any]]:
    """Times by hidden channels and with all hops or only those that a layer needs (`fast`), and sizes.

    Args:
      notes, pieces: of a batch; its pieces are regions of graphs that have four times the notes.
    """
    graphs = [random_graph(4 * notes, seed) for seed in range(pieces)]
    batch = next(iter(MuseNeighborLoader(graphs, NEIGHBORS, notes, batch_size=pieces)))
    sizes = {
        "targets": int(batch.target_counts.sum()),
        "nodes": sum(sum(each) for each in batch.hops.nodes.values()),
        "edges": sum(sum(each) for each in batch.hops.edges.values()),
    }
    found = []
    for width in hidden:
        for fast in (False, True):
            network = PitchSpellingGNN(width, width, NUM_LAYERS, graphs[0].metadata(), fast=fast)
            found.append({"hidden": width, "fast": fast, **sizes, **time_steps(network, batch, steps)})
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 256], help="hidden channels")
    parser.add_argument("--notes", type=int, default=300, help="target notes of a piece")
    parser.add_argument("--pieces", type=int, default=8, help="pieces of a batch")
    parser.add_argument("--steps", type=int, default=7, help="steps to time")
    args = parser.parse_args(arguments)
    found = measure(args.hidden, args.notes, args.pieces, args.steps)
    first = found[0]
    print(f"{first['targets']} target notes; padded: {first['nodes']} nodes, {first['edges']} edges\n")
    print("| hidden | hops | step ms | CPU ms | first step, CPU s |\n| --- | --- | --- | --- | --- |")
    for row in found:
        print(
            f"| {row['hidden']} | {'dropped' if row['fast'] else 'all'} | {row['ms']:.0f} "
            f"| {row['cpu_ms']:.0f} | {row['first_seconds']:.1f} |"
        )


if __name__ == "__main__":
    main()
