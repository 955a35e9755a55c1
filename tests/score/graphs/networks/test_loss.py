"""The losses of note classification: by hand, and one step on a real batch."""

import dataclasses

import jax
import numpy as np
import pytest

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.graph import create_random_music_graph
from mt3x.score.graphs.networks.loss import (
    masked_cross_entropy,
    spelling_evaluation,
    spelling_loss,
    spelling_measures,
)
from mt3x.score.graphs.networks.network import PitchSpellingGNN
from mt3x.score.graphs.sampling import MuseNeighborLoader, batch_graphs

LOGITS = np.log(
    np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]], np.float32)
)


def test_cross_entropy_is_the_mean_over_the_notes_that_count():
    labels = np.array([1, 1, -1, 2], np.int32)  # the third has none, the fourth is masked
    loss, accuracy = masked_cross_entropy(LOGITS, labels, np.array([True, True, True, False]))
    np.testing.assert_allclose(loss, -(np.log(0.25) + np.log(0.8)) / 2, rtol=1e-6)
    np.testing.assert_allclose(accuracy, 0.5)


def test_without_any_note_the_loss_is_zero():
    loss, accuracy = masked_cross_entropy(LOGITS, np.zeros(4, np.int32), np.zeros(4, bool))
    assert loss == accuracy == 0


def test_keys_count_by_their_weight():
    labels, mask = np.array([0, 1, 2, 0], np.int32), np.array([True, False, False, False])
    loss, measures = spelling_measures(LOGITS, LOGITS[::-1], labels, labels, mask, key_weight=10.0)
    np.testing.assert_allclose(measures["spelling_loss"], -np.log(0.5), rtol=1e-6)
    np.testing.assert_allclose(measures["key_loss"], -np.log(0.9), rtol=1e-6)
    np.testing.assert_allclose(loss, -np.log(0.5) - 10 * np.log(0.9), rtol=1e-5)
    assert measures["spelling_accuracy"] == measures["key_accuracy"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("fast", [False, True])
def test_gradient_steps_on_one_batch_lower_its_loss(fast):
    graphs = [create_random_music_graph(60, 1, 5, feature_size=25, seed=seed) for seed in range(2)]
    for graph in graphs:
        pitch = graph.note_array["pitch"].astype(np.int64)
        graph.labels.update(spelling=pitch % 12, key=pitch % 3)
    batch = next(iter(MuseNeighborLoader(graphs, [2, 2], 20, batch_size=2)))
    network = PitchSpellingGNN(8, 8, 2, graphs[0].metadata(), dropout=0.0, fast=fast)
    graph_args = batch.features, batch.edges, batch.target_piece, batch.num_pieces, batch.hops
    variables = jax.jit(lambda: network.init(jax.random.key(0), *graph_args))()
    params, stats, losses = variables["params"], variables["batch_stats"], []

    @jax.jit
    def step(params, stats, batch):
        loss = jax.value_and_grad(
            lambda p: spelling_loss(network, p, stats, batch, jax.random.key(1)), has_aux=True
        )
        (value, (stats, measures)), gradient = loss(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), stats, value, measures

    for _ in range(10):
        params, stats, value, measures = step(params, stats, batch)
        losses.append(float(value))
    assert losses[-1] < 0.9 * losses[0]  # from above 6, guessing, to about 5.6
    assert 0 <= measures["spelling_accuracy"] <= 1
    assert not np.allclose(stats["gnn"]["norm"]["mean"], 0)


def with_more_padding(batch: GraphBatch, rows: int = 5) -> GraphBatch:
    """The same batch with more rows of each type, and edges that lead behind the last of them."""

    def pad(values, fill):
        return np.pad(values, [(0, rows)] + [(0, 0)] * (values.ndim - 1), constant_values=fill)

    features = {t: pad(x, 0) for t, x in batch.features.items()}
    edges = {
        (source, relation, target): np.pad(
            np.where(pairs[1] < len(batch.features[target]), pairs, 10**6),
            ((0, 0), (0, 3)),
            constant_values=10**6,
        ).astype(np.int32)
        for (source, relation, target), pairs in batch.edges.items()
    }
    labels = {name: pad(values, -1) for name, values in batch.labels.items()}
    target_piece = pad(batch.target_piece, -1)
    return dataclasses.replace(
        batch, features=features, edges=edges, labels=labels, target_piece=target_piece
    )


@pytest.mark.slow
def test_more_padding_changes_neither_loss_nor_gradients():
    graph = create_random_music_graph(40, 1, 5, feature_size=6)
    graph.labels.update(spelling=np.arange(40) % 12, key=np.arange(40) % 3)
    batch = batch_graphs([graph])
    network = PitchSpellingGNN(4, 4, 1, graph.metadata(), dropout=0.0)
    graph_args = batch.features, batch.edges, batch.target_piece
    variables = jax.jit(network.init, static_argnums=4)(jax.random.key(0), *graph_args, 1)

    @jax.jit
    def train_and_evaluate(batch):
        loss = jax.value_and_grad(spelling_loss, argnums=1, has_aux=True)
        stats = variables["batch_stats"]
        trained = loss(network, variables["params"], stats, batch, jax.random.key(1))
        return trained, spelling_evaluation(network, variables["params"], stats, batch)

    one, other = train_and_evaluate(batch), train_and_evaluate(with_more_padding(batch))
    # In float32 they round otherwise for other shapes (the largest is 0.75); in float64 they differ by 6e-14.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, other)
    (value, (_, measured)), _ = one[0]
    np.testing.assert_allclose(value, measured["spelling_loss"] + measured["key_loss"], rtol=1e-5)
    assert one[1]["loss"] != value  # running statistics in place of the batch's
