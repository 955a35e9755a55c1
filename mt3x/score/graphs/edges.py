"""Which notes of a score are joined by which kind of edge.

A note's span in time is half-open, [onset, onset + duration), in divs. With notes in order of onset, every
kind of edge leads from a note to a run of consecutive notes, so that each kind is two arrays, where a note's
run starts and how long it is, and expanding the runs gives the edges ordered by (source, target).

    onset        starts with it, itself included
    consecutive  starts where it ends; for a note of no duration that is its own onset, itself included
    during       starts while it sounds, later than it
    rest         the whole next onset after its end, if no note starts at its end; what else sounds does not
                 matter. A note of no duration always has these.

Compiling this with numba was tried: no faster at 5,000 notes (0.31 ms), for 3 seconds of import and
compilation.

Source: GraphMuse (Karystinaios and Widmer 2024, arXiv 2407.12671), `compute_edge_list`.
"""

from collections.abc import Sequence

import numpy as np

RELATIONS = ("onset", "consecutive", "during", "rest")
MAX_EDGES = 100_000_000
"""More note edges than any score has, and 1.6 GB: a guard against memory running out on absurd input."""
DIVS_PER_NOTE = 8
"""Up to so many divs a note, times are looked up in tables: a quarter of the time of searching them."""


def note_edges(onset: np.ndarray, duration: np.ndarray) -> dict[str, np.ndarray]:
    """The edges between notes, int64 [2, E] (source, target), by relation.

    Args:
      onset: int64 [N], in order, N > 0.
      duration: int64 [N], not negative.

    >>> edges = note_edges(np.array([0, 0, 2]), np.array([2, 4, 1]))
    >>> edges["consecutive"].tolist(), edges["during"].tolist()
    ([[0], [2]], [[1], [2]])

    Raises:
      ValueError: there would be more than `MAX_EDGES`.
    """
    begin, end = onset - onset[0], onset + duration - onset[0]
    if begin[-1] > DIVS_PER_NOTE * len(onset):
        begin, end = _ranks(begin, end)
    runs = _runs(begin, end)
    ends = [np.cumsum(counts) for _, _, counts in runs]
    total = sum(int(each[-1]) for each in ends if len(each))
    if total > MAX_EDGES:
        raise ValueError(
            f"{len(onset)} notes have {total} edges, more than {MAX_EDGES}: too many sound at once; "
            "check the durations or cut the piece"
        )
    return {name: _expand(*run, each) for name, run, each in zip(RELATIONS, runs, ends, strict=True)}


def _ranks(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and ends, int64 [N], in the same order but close together: 0, 2, 4 ..., and odd ends between."""
    is_first = np.append(True, begin[1:] != begin[:-1])
    onsets = begin[is_first]
    following = np.searchsorted(onsets, end)
    is_met = onsets.take(following, mode="clip") == end
    return 2 * (np.cumsum(is_first) - 1), 2 * following - ~is_met


def _runs(begin: np.ndarray, end: np.ndarray) -> list[tuple[np.ndarray | None, np.ndarray, np.ndarray]]:
    """Sources (None: all notes), the notes after their last targets, and numbers of targets, by relation.

    From tables over time instead of searches, and with few operations: at thousands of notes, touching fresh
    memory takes most of the time.

    Args:
      begin, end: int64 [N], begin[0] is 0.
    """
    silence = int(begin[-1]) + 1
    end = np.minimum(end, silence)
    size_at = np.bincount(begin, minlength=silence + 1)  # notes that begin at a time
    stop_at = np.cumsum(size_at)  # the first note that begins after it
    own_stop, own_size = stop_at.take(begin), size_at.take(begin)
    met_stop, met_size = stop_at.take(end), size_at.take(end)
    during_stop = met_stop - met_size
    rests = np.flatnonzero((met_size == 0) | (begin == end))
    rests = rests[met_stop[rests] < len(begin)]
    following = met_stop[rests]
    rest_size = own_size[following]
    return [
        (None, own_stop, own_size),
        (None, met_stop, met_size),
        (None, during_stop, np.maximum(during_stop - own_stop, 0)),
        (rests, following + rest_size, rest_size),
    ]


def _expand(
    sources: np.ndarray | None, stops: np.ndarray, counts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Runs as edges int64 [2, E]: source i to stops[i] - counts[i], ..., stops[i] - 1.

    Args:
      ends: sums of the counts up to each, int64 [N].
    """
    runs = np.repeat(np.arange(len(counts)), counts)
    edges = np.empty((2, len(runs)), np.int64)
    edges[0] = runs if sources is None else sources[runs]
    np.add((stops - ends).take(runs), np.arange(len(runs)), out=edges[1])
    return edges


def undirected(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    """Edges int64 [2, E] and their inverses, each once, ordered by (source, target)."""
    keys = np.concatenate((edges[0] * num_nodes + edges[1], edges[1] * num_nodes + edges[0]))
    return np.stack(np.divmod(np.unique(keys), num_nodes))


def cluster_edges(clusters: np.ndarray, num_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges from notes to their clusters (beats or measures), and from each cluster to the next.

    Args:
      clusters: int64 [N], the cluster of each note.

    Returns:
      int64 [2, N] and int64 [2, num_clusters - 1]; edges from clusters to notes are the first, rows swapped.
    """
    index = np.arange(num_clusters)
    return np.stack((np.arange(len(clusters)), clusters)), np.stack((index[:-1], index[1:]))


def beat_clusters(onset_beat: np.ndarray) -> np.ndarray:
    """The beat of each note, int64 [N], from 0: a negative first onset (a pickup) is moved to 0 first."""
    shifted = onset_beat - min(onset_beat.min(), 0)
    return np.maximum.accumulate(np.floor(shifted).astype(np.int64))


def measure_clusters(onset: np.ndarray, measures: Sequence | np.ndarray) -> tuple[np.ndarray, int]:
    """The measure of each note, int64 [N], and how many measures there are.

    Args:
      measures: int [M, 2], starts and ends in divs; or objects with `start.t` and `end.t`, as partitura has.

    Raises:
      ValueError: not of this shape; ends that decrease; or a note that starts after the last measure.
    """
    if not isinstance(measures, np.ndarray):
        measures = np.array([(m.start.t, m.end.t) if hasattr(m, "start") else m for m in measures])
    if measures.ndim != 2 or measures.shape[1] != 2 or not len(measures):
        raise ValueError(f"measures must be of shape [M, 2] (start, end), got {list(measures.shape)}")
    ends = measures[:, 1]
    if not (np.isfinite(measures).all() and (np.diff(ends) >= 0).all()):
        raise ValueError("the ends of measures must be finite and must not decrease; sort the measures")
    clusters = np.maximum.accumulate(np.searchsorted(ends, onset, side="right"))
    if clusters[-1] >= len(ends):
        note = int(np.argmax(clusters >= len(ends)))
        raise ValueError(
            f"note {note} starts at {onset[note]} divs, but the last measure ends at {ends[-1]}; "
            "every note needs a measure"
        )
    return clusters, len(ends)
