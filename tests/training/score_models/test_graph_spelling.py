"""Training of the graph network of spelling: the loss falls, and what is written is read."""

import itertools
import json

import jax
import numpy as np
import pytest

from mt3x.score.graphs.graph import ScoreGraph
from mt3x.score.graphs.sampling import MuseNeighborLoader, batch_graphs
from mt3x.score.spelling.graph_spelling import (
    GraphSpellingConfig,
    GraphSpellingModel,
    graph_of_quarters,
    spell_graph,
)
from mt3x.training.config import OptimizerConfig
from mt3x.training.score_models.graph_spelling import train_graph_spelling
from mt3x.training.score_models.run import WEIGHTS_FILE, SpellingTraining

TINY = GraphSpellingConfig(hidden_channels=16, encoding_channels=16, num_layers=1, dropout=0.0)


def a_scale(fifths: int, seed: int, num_notes: int = 40) -> ScoreGraph:
    """Notes of a major scale at random, two at a time; all in one key."""
    rng = np.random.default_rng(seed)
    position = fifths + rng.integers(-1, 6, num_notes)
    pitch = 60 + 7 * position % 12
    onset = np.repeat(np.arange(num_notes // 2) / 2, 2)
    return graph_of_quarters(onset, np.full(num_notes, 0.5), pitch, position, np.full(num_notes, fifths))


def endless(loader):
    return itertools.chain.from_iterable(itertools.repeat(loader))


@pytest.mark.slow
def test_the_loss_falls_and_the_model_is_written(tmp_path):
    graphs = [a_scale(fifths, seed) for fifths in (4, -4) for seed in range(2)]
    loader = MuseNeighborLoader(graphs, [3], 20, batch_size=4)
    held_out = [batch_graphs([a_scale(4, 7), a_scale(-4, 8)])]
    training = SpellingTraining(
        total_steps=150,
        optimizer=OptimizerConfig("adamw", 0.02, warmup_steps=5),
        average_decay=0.9,
        log_every=50,
        eval_period=150,
    )
    lines = []
    model = train_graph_spelling(TINY, training, endless(loader), held_out, tmp_path, lines.append)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 3 and losses[-1] < 0.3 * losses[0]
    assert lines[-1]["held_out_spelling_accuracy"] > 0.8 and lines[-1]["held_out_key_accuracy"] > 0.8
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 150

    loaded = GraphSpellingModel.load(tmp_path / WEIGHTS_FILE)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, model.variables)
    sharps, flats = (spell_graph(a_scale(fifths, 9), loaded) for fifths in (4, -4))
    assert set(sharps.alter.tolist()) <= {0, 1} and set(flats.alter.tolist()) <= {0, -1}


def test_batches_without_labels_are_refused(tmp_path):
    graph = a_scale(0, 0)
    batches = iter([batch_graphs([ScoreGraph(graph.features, graph.edges, graph.note_array)])])
    with pytest.raises(ValueError, match=r"lack the labels \['key', 'spelling'\]"):
        train_graph_spelling(TINY, SpellingTraining(), batches, [], tmp_path)
