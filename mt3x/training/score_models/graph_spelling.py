"""Trains the graph network of pitch spelling: batches of graphs in, a model and a loss curve out.

The loss is the cross-entropy of the targets' names plus that of their keys, in nats a note. Beside the moving
average of the weights stand the running statistics of BatchNorm, as the last step left them.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.graph import NOTE
from mt3x.score.graphs.networks.loss import spelling_evaluation, spelling_loss
from mt3x.score.spelling.graph_spelling import GraphSpellingConfig, GraphSpellingModel
from mt3x.training.optimizer import make_optimizer
from mt3x.training.score_models.run import WEIGHTS_FILE, SpellingTraining, run_steps
from mt3x.training.state import TrainState, apply_gradients, new_state

State = tuple[TrainState, Any]
"""Weights and optimizer, and the statistics of BatchNorm."""


def train_graph_spelling(
    config: GraphSpellingConfig,
    training: SpellingTraining,
    batches: Iterator[GraphBatch],
    held_out: Sequence[GraphBatch],
    directory: Path,
    report: Callable[[dict[str, float]], None] = lambda line: None,
) -> GraphSpellingModel:
    """Trains for `total_steps`; writes `weights.npz` at every evaluation and `log.jsonl` to `directory`.

    Args:
      batches: with the labels "spelling" and "key", all of the same node and edge types, with one hop of
        neighbours or more for each layer, or of whole graphs.
      held_out: batches that are measured at every evaluation.

    Returns:
      The model of the last step, as it is written.

    Raises:
      ValueError: batches without labels.
      FloatingPointError: the loss is not finite; names the step.
    """
    optimizer = make_optimizer(training)
    first = next(batches)
    if missing := {"spelling", "key"} - set(first.labels):
        raise ValueError(f"the batches lack the labels {sorted(missing)}; make graphs of spelled notes")
    metadata = tuple(first.features), tuple(first.edges)
    is_fast = all(len(sizes) > config.num_layers for sizes in first.hops.nodes.values())
    network, whole = config.network(metadata, fast=is_fast), config.network(metadata)
    loss = jax.value_and_grad(
        lambda params, *args: spelling_loss(network, params["network"], *args), has_aux=True
    )

    @jax.jit
    def step(state: State, batch: GraphBatch) -> tuple[State, dict[str, jax.Array]]:
        train_state, statistics = state
        rng = jax.random.fold_in(jax.random.key(training.seed), train_state.step)
        (value, (statistics, measures)), gradients = loss(train_state.params, statistics, batch, rng)
        train_state = apply_gradients(train_state, gradients, optimizer, training.average_decay)
        return (train_state, statistics), {"loss": value, **measures}

    measure = jax.jit(functools.partial(spelling_evaluation, whole))

    def model(state: State) -> GraphSpellingModel:
        variables = {"params": state[0].average, "batch_stats": state[1]}
        width = first.features[NOTE].shape[1]
        return GraphSpellingModel(config, *metadata, width, jax.device_get(variables))

    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (first.features, first.edges, first.target_piece)
    )  # a start from shapes alone: compiling one from arrays takes longer than compiling a step
    variables = whole.lazy_init(jax.random.key(training.seed), *shapes, first.num_pieces)
    state = run_steps(
        training,
        (new_state({"network": variables["params"]}, optimizer), variables["batch_stats"]),
        step,
        evaluate=lambda state, batch: measure(state[0].average, state[1], batch),
        save=lambda state: model(state).save(directory / WEIGHTS_FILE),
        count_notes=lambda batch: int(batch.target_counts.sum()),
        batches=itertools.chain([first], batches),
        held_out=held_out,
        directory=directory,
        report=report,
    )
    return model(state)
