"""Spelling by a graph network: graphs of notes in quarters, the trained model, and names out of it.

The network names a note outright (35 names) and says its key signature (15), where the network of
`mt3x.score.spelling.names` says where a note stands in its key. Of the 35 only the names that sound as the
note does are asked for. A model knows the kinds of nodes and edges that it was trained with, and reads graphs
of those kinds alone.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.features import get_score_features
from mt3x.score.graphs.graph import NOTE, EdgeType, ScoreGraph, create_score_graph
from mt3x.score.graphs.labels import NUM_SPELLINGS, decode_key, decode_spelling, encode_key
from mt3x.score.graphs.networks.hetero import Metadata
from mt3x.score.graphs.networks.network import PitchSpellingGNN, spell_batch
from mt3x.score.graphs.sampling import batch_graphs
from mt3x.score.network_files import load_network, save_network
from mt3x.score.spelling.names import Spelling, name_notes, positions_of

DIVS_PER_QUARTER = 480
_DTYPE = [
    ("onset_div", np.int64),
    ("duration_div", np.int64),
    ("pitch", np.int64),
    ("onset_beat", np.float64),
    ("duration_beat", np.float64),
    ("ts_beats", np.int64),
]
_POSITIONS = positions_of(*decode_spelling(np.arange(NUM_SPELLINGS)))  # of each label, on the line of fifths
_LABELS = np.argsort(_POSITIONS)  # of each position, from the lowest on


def graph_of_quarters(
    onset_quarters: np.ndarray,
    duration_quarters: np.ndarray,
    pitch: np.ndarray,
    position: np.ndarray | None = None,
    fifths: np.ndarray | None = None,
) -> ScoreGraph:
    """The graph of notes whose bar lines are not known: a beat is a quarter, and so is a bar.

    Args:
      onset_quarters, duration_quarters: float [N]; rounded to 480 divs a quarter; 0 for grace notes.
      pitch: int [N]. Notes may come in any order; the graph's are sorted by (onset, pitch).
      position, fifths: int [N], names (on the line of fifths, -15 to 19) and key signatures: give both for
        the labels "spelling" and "key".

    Raises:
      ValueError: what `create_score_graph` and `get_score_features` raise; or a position without a label.
    """
    onset, duration = (np.asarray(times, np.float64) for times in (onset_quarters, duration_quarters))
    notes = np.zeros(len(onset), _DTYPE)
    notes["onset_div"] = np.rint(onset * DIVS_PER_QUARTER)
    notes["duration_div"] = np.rint((onset + duration) * DIVS_PER_QUARTER) - notes["onset_div"]
    notes["pitch"], notes["ts_beats"] = pitch, 1
    for name in ("onset", "duration"):
        notes[f"{name}_beat"] = notes[f"{name}_div"] / DIVS_PER_QUARTER
    labels = None
    if position is not None and fifths is not None:
        labels = {"spelling": _labels_of(np.asarray(position, np.int64)), "key": encode_key(fifths)}
    return create_score_graph(get_score_features(notes)[0], notes, labels, sort=True, add_beats=True)


def _labels_of(position: np.ndarray) -> np.ndarray:
    index = position - _POSITIONS.min()
    wrong = (index < 0) | (index >= NUM_SPELLINGS)
    if wrong.any():
        note = int(np.argmax(wrong))
        raise ValueError(
            f"note {note} is at {position[note]} on the line of fifths; labels are for "
            f"{_POSITIONS.min()} to {_POSITIONS.max()}"
        )
    return _LABELS[index]


@dataclass(frozen=True)
class GraphSpellingConfig:
    """Sizes of a PitchSpellingGNN; see there.

    Attributes:
      longest: with a number, GRUs over the notes join in; the most notes of a region in training.
    """

    hidden_channels: int = 64
    encoding_channels: int = 64
    num_layers: int = 3
    dropout: float = 0.2
    use_jk: bool = False
    longest: int = 0

    def network(self, metadata: Metadata, fast: bool = False, longest: int | None = None) -> PitchSpellingGNN:
        """The network for graphs of these node and edge types.

        longest: for pieces of other lengths than in training, with the same weights.
        """
        return PitchSpellingGNN(
            self.hidden_channels,
            self.encoding_channels,
            self.num_layers,
            metadata,
            self.dropout,
            fast,
            self.use_jk,
            self.longest if longest is None else longest,
        )


@dataclass(frozen=True, eq=False)
class GraphSpellingModel:
    """A trained network.

    Attributes:
      node_types, edge_types: of the graphs that it reads, in their order.
      num_features: of a node.
      variables: "params" and "batch_stats".
    """

    config: GraphSpellingConfig
    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    num_features: int
    variables: Any

    def save(self, path: str | Path) -> None:
        """Writes the model to one `.npz` file."""
        about = {
            "config": asdict(self.config),
            "node_types": self.node_types,
            "edge_types": self.edge_types,
            "num_features": self.num_features,
        }
        save_network(path, about, self.variables)

    @classmethod
    def load(cls, path: str | Path) -> "GraphSpellingModel":
        """Reads what `save` wrote.

        Raises:
          ValueError: the file is missing or isn't such a model.
        """
        about, variables = load_network(path)
        try:
            edge_types = tuple((source, relation, target) for source, relation, target in about["edge_types"])
            config = GraphSpellingConfig(**about["config"])
            return cls(config, tuple(about["node_types"]), edge_types, about["num_features"], variables)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a graph spelling model ({error})") from error


def spell_graph(graph: ScoreGraph, model: GraphSpellingModel) -> Spelling:
    """Names the notes of a graph, in its order, and finds the key signature at each; labels are not read.

    Raises:
      ValueError: the model was trained on graphs of other nodes, edges or features.
    """
    for what, here, there in (
        ("node types", tuple(graph.features), model.node_types),
        ("edge types", tuple(graph.edges), model.edge_types),
        ("features of a note", graph.features[NOTE].shape[1], model.num_features),
    ):
        if here != there:
            raise ValueError(
                f"the graph has the {what} {here}, the model reads {there}; make the graph as those that it "
                "was trained on"
            )
    batch = batch_graphs([ScoreGraph(graph.features, graph.edges, graph.note_array)])
    spelling, key = (np.asarray(x)[: graph.num_nodes()] for x in _logits(model, batch))
    pitch = graph.note_array["pitch"].astype(np.int64)
    sounds = (7 * _POSITIONS - pitch[:, np.newaxis]) % 12 == 0  # [N, 35]
    position = _POSITIONS[np.where(sounds, spelling, -np.inf).argmax(axis=1)]
    return name_notes(pitch, position, decode_key(key.argmax(axis=1)))


_spell_batch = jax.jit(spell_batch, static_argnums=0)


def _logits(model: GraphSpellingModel, batch: GraphBatch) -> tuple[jax.Array, jax.Array]:
    longest = len(batch.target_piece) if model.config.longest else 0
    network = model.config.network((model.node_types, model.edge_types), longest=longest)
    return _spell_batch(network, model.variables, batch)


def spell_by_graph(
    onset_quarters: np.ndarray, duration_quarters: np.ndarray, pitch: np.ndarray, model: GraphSpellingModel
) -> Spelling:
    """As `mt3x.score.spelling.names.spell`, by a model that was trained on graphs of quarters.

    Raises:
      ValueError: as `graph_of_quarters` and `spell_graph`.
    """
    onset, duration = (np.asarray(times, np.float64) for times in (onset_quarters, duration_quarters))
    order = np.lexsort((pitch, np.rint(onset * DIVS_PER_QUARTER)))
    found = spell_graph(graph_of_quarters(onset[order], duration[order], np.asarray(pitch)[order]), model)
    back = np.argsort(order)
    return Spelling(found.step[back], found.alter[back], found.octave[back], found.fifths[back])
