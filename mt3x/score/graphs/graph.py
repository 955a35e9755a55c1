"""Score graphs: notes, and optionally beats and measures, joined by typed edges.

Node types are `note`, `beat` and `measure`; an edge type is (source type, relation, target type). Between
notes the relations are those of `mt3x.score.graphs.edges`, and their inverses `consecutive_rev`, `during_rev`
and `rest_rev`. Beats and measures connect with their notes both ways, and each with the one after it
(`next`); their features are the sums of their notes'. A note array is a structured array, one record a note,
sorted by (onset_div, pitch).

Source: GraphMuse (Karystinaios and Widmer 2024, arXiv 2407.12671). Deviations: `sort=True` sorts features and
labels along with the notes; input that is unsorted or makes no sense is an error; sums of features differ
from GraphMuse's by rounding (NumPy adds pairwise).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mt3x.music.files import whole_file
from mt3x.score.graphs.edges import beat_clusters, cluster_edges, measure_clusters, note_edges, undirected

EdgeType = tuple[str, str, str]
NOTE, BEAT, MEASURE = "note", "beat", "measure"
DEFAULT_LABEL = "y"
MAX_BEATS = 10_000_000


@dataclass(frozen=True)
class ScoreGraph:
    """A score as a graph. Arrays are shared, not copied: don't change them.

    Attributes:
      features: float32 [nodes, D] by node type.
      edges: int64 [2, E] (source index, target index) by edge type; a type may have no edges. The order of
        types is that of GraphMuse: notes, their inverses, measures, beats.
      note_array: structured [N] with at least onset_div, duration_div and pitch, one record a note node.
      labels: int64 [N] by name, of notes; see `mt3x.score.graphs.labels`.
    """

    features: Mapping[str, np.ndarray]
    edges: Mapping[EdgeType, np.ndarray]
    note_array: np.ndarray
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)

    def num_nodes(self, node_type: str = NOTE) -> int:
        """How many nodes of a type there are; 0 for a type that the graph does not have."""
        return len(self.features[node_type]) if node_type in self.features else 0

    def metadata(self) -> tuple[list[str], list[EdgeType]]:
        """Node types and edge types, as networks over several types want them."""
        return list(self.features), list(self.edges)

    def clusters(self, node_type: str) -> np.ndarray:
        """The beat or measure of each note, int64 [N], never decreasing."""
        return self.edges[NOTE, "connects", node_type][1]


def create_score_graph(
    features: np.ndarray,
    note_array: np.ndarray,
    labels: np.ndarray | Mapping[str, np.ndarray] | None = None,
    sort: bool = False,
    add_reverse: bool | Literal["undirected"] = True,
    measures: Sequence | np.ndarray | None = None,
    add_beats: bool = False,
) -> ScoreGraph:
    """The graph of a note array.

    Args:
      features: float [N, D], of the notes.
      note_array: structured [N] with whole numbers onset_div, duration_div and pitch; onset_beat for beats.
      labels: [N] integers by name; an array alone is named `DEFAULT_LABEL`.
      sort: sort notes, features and labels by (onset_div, pitch) first.
      add_reverse: True adds inverses as types of their own, "undirected" adds them to the types themselves
        (edges ordered by source and target, each once), False adds none.
      measures: int [M, 2] starts and ends in divs, or partitura's measures; adds measure nodes.
      add_beats: adds beat nodes: from beat 0 (a pickup is moved there) to the last note's, empty ones too.

    Raises:
      ValueError: no notes; a missing field; notes not sorted; a NaN; a negative duration; features, labels or
        measures that do not fit the notes; or absurdly many edges or beats.
    """
    notes = np.asarray(note_array)
    features = np.ascontiguousarray(features, np.float32)
    named = (
        {DEFAULT_LABEL: labels} if labels is not None and not isinstance(labels, Mapping) else labels or {}
    )
    named = {name: np.asarray(values) for name, values in named.items()}
    _check_lengths(notes, features, named)
    if sort:
        order = np.lexsort((notes["pitch"], notes["onset_div"]))
        notes, features = notes[order], features[order]
        named = {name: values[order] for name, values in named.items()}
    onset, duration, pitch = (_whole_numbers(notes, name) for name in ("onset_div", "duration_div", "pitch"))
    _check_order(onset, duration, pitch)

    edges: dict[EdgeType, np.ndarray] = {}
    for relation, found in note_edges(onset, duration).items():
        edges[NOTE, relation, NOTE] = undirected(found, len(notes)) if add_reverse == "undirected" else found
    if add_reverse is True:
        for relation in ("consecutive", "during", "rest"):
            edges[NOTE, f"{relation}_rev", NOTE] = edges[NOTE, relation, NOTE][::-1]

    nodes = {NOTE: features}
    if measures is not None:
        _add_clusters(nodes, edges, MEASURE, *measure_clusters(onset, measures))
    if add_beats:
        clusters = beat_clusters(_onset_beats(notes))
        _add_clusters(nodes, edges, BEAT, clusters, int(clusters[-1]) + 1)
    return ScoreGraph(nodes, edges, notes, named)


def _add_clusters(
    nodes: dict[str, np.ndarray],
    edges: dict[EdgeType, np.ndarray],
    node_type: str,
    clusters: np.ndarray,
    num_clusters: int,
) -> None:
    connects, following = cluster_edges(clusters, num_clusters)
    edges[NOTE, "connects", node_type] = connects
    edges[node_type, "connects", NOTE] = connects[::-1]
    edges[node_type, "next", node_type] = following
    first = np.flatnonzero(np.append(True, clusters[1:] != clusters[:-1]))
    nodes[node_type] = np.zeros((num_clusters, nodes[NOTE].shape[1]), np.float32)
    nodes[node_type][clusters[first]] = np.add.reduceat(nodes[NOTE], first, axis=0)


def _check_lengths(notes: np.ndarray, features: np.ndarray, labels: Mapping[str, np.ndarray]) -> None:
    if notes.ndim != 1 or notes.dtype.names is None:
        raise ValueError(f"the note array must be structured and 1-D, got {notes.dtype} {list(notes.shape)}")
    if not len(notes):
        raise ValueError("the note array has no notes; a graph needs at least one")
    missing = [name for name in ("onset_div", "duration_div", "pitch") if name not in notes.dtype.names]
    if missing:
        raise ValueError(f"the note array lacks {missing}; it has {list(notes.dtype.names)}")
    if features.ndim != 2 or len(features) != len(notes):
        raise ValueError(
            f"features must be of shape [{len(notes)}, D], a row a note, got {list(features.shape)}"
        )
    if not np.isfinite(features).all():
        raise ValueError(
            f"the features of note {int(np.argmin(np.isfinite(features).all(axis=1)))} are not finite"
        )
    for name, values in labels.items():
        if values.shape != (len(notes),) or values.dtype.kind not in "iu":
            raise ValueError(
                f"labels {name!r} must be integers [{len(notes)}], got {values.dtype} {list(values.shape)}"
            )


def _whole_numbers(notes: np.ndarray, name: str) -> np.ndarray:
    """A field as int64; GraphMuse's users hold whole numbers as floats too."""
    values = notes[name]
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    is_whole = np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        is_whole = (np.abs(values) < 2**53) & (values == np.floor(values))
    if not is_whole.all():
        note = int(np.argmin(is_whole))
        raise ValueError(f"{name} must hold whole numbers, note {note} has {values[note]}")
    return values.astype(np.int64)


def _check_order(onset: np.ndarray, duration: np.ndarray, pitch: np.ndarray) -> None:
    later = onset[1:] > onset[:-1]
    unsorted = ~(later | ((onset[1:] == onset[:-1]) & (pitch[1:] >= pitch[:-1])))
    if unsorted.any():
        note = int(np.argmax(unsorted)) + 1
        raise ValueError(
            f"notes must be sorted by (onset_div, pitch), but note {note}, ({onset[note]}, {pitch[note]}), "
            f"comes after ({onset[note - 1]}, {pitch[note - 1]}); sort them, or call with sort=True"
        )
    if (duration < 0).any():
        note = int(np.argmax(duration < 0))
        raise ValueError(
            f"note {note} has a duration of {duration[note]} divs; it must be 0 (grace note) or more"
        )


def _onset_beats(notes: np.ndarray) -> np.ndarray:
    if "onset_beat" not in (notes.dtype.names or ()):
        raise ValueError(
            f"beats need the field onset_beat; the note array has {list(notes.dtype.names or ())}"
        )
    beats = notes["onset_beat"]
    if not np.isfinite(beats).all():
        note = int(np.argmin(np.isfinite(beats)))
        raise ValueError(f"note {note} has onset_beat {beats[note]}; it must be finite")
    if beats.max() - min(beats.min(), 0) > MAX_BEATS:
        raise ValueError(
            f"the last onset is at beat {beats.max()}; more than {MAX_BEATS} beats are not supported"
        )
    return beats


def create_random_music_graph(
    graph_size: int,
    min_duration: int,
    max_duration: int,
    feature_size: int = 10,
    add_beat_nodes: bool = True,
    seed: int = 0,
) -> ScoreGraph:
    """Four voices of notes without rests, of random durations and features, for tests and examples.

    Args:
      graph_size: number of notes, at least 4.
      min_duration: the shortest in divs, at least 1; a beat has 4 divs.
      max_duration: the longest is one less.
      seed: the same numbers give the same graph.

    Raises:
      ValueError: fewer notes than voices, or no duration between the limits.
    """
    lowest_pitches = (40, 50, 60, 70)
    if graph_size < len(lowest_pitches):
        raise ValueError(
            f"graph_size is {graph_size}; it must be at least {len(lowest_pitches)}, one a voice"
        )
    if not 1 <= min_duration < max_duration:
        raise ValueError(f"durations must be 1 <= min < max, got {min_duration} and {max_duration}")
    rng = np.random.default_rng(seed)
    dtype = [
        ("onset_div", np.int64),
        ("duration_div", np.int64),
        ("pitch", np.int64),
        ("onset_beat", np.float64),
    ]
    notes = np.zeros(graph_size, dtype)
    notes["duration_div"] = rng.integers(min_duration, max_duration, graph_size)
    for lowest, voice in zip(lowest_pitches, np.array_split(notes, len(lowest_pitches)), strict=True):
        voice["onset_div"][1:] = np.cumsum(voice["duration_div"])[:-1]
        voice["pitch"] = rng.integers(lowest, lowest + 10, len(voice))
    notes["onset_beat"] = notes["onset_div"] / 4
    features = rng.random((graph_size, feature_size), np.float32)
    return create_score_graph(features, notes, sort=True, add_beats=add_beat_nodes)


def save_graph(path: str | os.PathLike, graph: ScoreGraph) -> None:
    """Writes a graph as .npz, without pickle: x__TYPE, edge__SOURCE__RELATION__TARGET, y__NAME, note_array.

    Raises:
      ValueError: the note array has a field of Python objects.
    """
    if graph.note_array.dtype.hasobject:
        raise ValueError("the note array holds Python objects; give its text fields a fixed length, like U8")
    arrays = {f"x__{node_type}": values for node_type, values in graph.features.items()}
    arrays |= {"__".join(("edge", *edge_type)): pairs for edge_type, pairs in graph.edges.items()}
    arrays |= {f"y__{name}": values for name, values in graph.labels.items()}
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, note_array=graph.note_array, allow_pickle=False, **arrays)


def load_graph(path: str | os.PathLike) -> ScoreGraph:
    """The graph that `save_graph` wrote.

    Raises:
      ValueError: the file holds no graph, or edges that lead to nodes that it lacks.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    if not {"note_array", "x__note"} <= set(arrays):
        raise ValueError(f"{os.fspath(path)} holds no score graph: it has {sorted(arrays)}")
    graph = ScoreGraph(
        {name[3:]: values for name, values in arrays.items() if name.startswith("x__")},
        {_edge_type(name): values for name, values in arrays.items() if name.startswith("edge__")},
        arrays["note_array"],
        {name[3:]: values for name, values in arrays.items() if name.startswith("y__")},
    )
    if len(graph.note_array) != graph.num_nodes(NOTE):
        raise ValueError(
            f"{os.fspath(path)}: {graph.num_nodes(NOTE)} note nodes, {len(graph.note_array)} notes"
        )
    for (source, relation, target), (sources, targets) in graph.edges.items():
        for node_type, nodes in ((source, sources), (target, targets)):
            if len(nodes) and not (nodes.min() >= 0 and nodes.max() < graph.num_nodes(node_type)):
                raise ValueError(
                    f"{os.fspath(path)}: edges {source}-{relation}-{target} lead to {node_type} "
                    f"{nodes.max()} of {graph.num_nodes(node_type)}"
                )
    return graph


def _edge_type(name: str) -> EdgeType:
    _, source, relation, target = name.split("__")
    return source, relation, target
