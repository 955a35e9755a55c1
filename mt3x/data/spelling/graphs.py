"""Graphs of spelled scores, in many keys: what the graph network of pitch spelling learns from.

That network sees pitch classes and says names, so it must have met every key: pieces are transposed along
the circle of fifths, names and signatures with them. Archives of spelled scores hold no bar lines: the graphs
have beats of a quarter and no measures (`mt3x.score.spelling.graph_spelling.graph_of_quarters`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mt3x.data.spelling.scores import SpelledScore
from mt3x.score.graphs.graph import ScoreGraph
from mt3x.score.graphs.labels import MAX_FIFTHS
from mt3x.score.spelling.graph_spelling import graph_of_quarters
from mt3x.score.spelling.names import HIGHEST, LOWEST

MOST_ACCIDENTALS = 5
"""Of a signature that a piece is transposed to: with more, it would as well be written on the other side."""


def spelled_graph(notes: np.ndarray, shift_fifths: int = 0) -> ScoreGraph:
    """The labelled graph of notes (`SPELLED_DTYPE` [N]), moved by fifths and less than half an octave.

    Raises:
      ValueError: a note or a signature would have no label, or a pitch would leave 0 to 127.
    """
    return graph_of_quarters(
        notes["onset_quarters"],
        notes["duration_quarters"],
        notes["pitch"].astype(np.int64) + _semitones(shift_fifths),
        notes["position"].astype(np.int64) + shift_fifths,
        notes["fifths"].astype(np.int64) + shift_fifths,
    )


def _semitones(shifts: Any) -> Any:
    """How far notes sound from where they were after a move by fifths: -6 to 5; ints or int arrays."""
    return (7 * shifts + 6) % 12 - 6


def possible_shifts(notes: np.ndarray) -> np.ndarray:
    """Fifths by which notes can be moved: names and signatures stay writable, pitches within 0 to 127.

    0 is among them wherever the notes themselves have labels; of the others those that lead to signatures of
    at most `MOST_ACCIDENTALS`.
    """
    shifts = np.arange(-2 * MAX_FIFTHS, 2 * MAX_FIFTHS + 1)

    def fits(name: str, moves: np.ndarray, lowest: Any, highest: Any) -> np.ndarray:
        values = notes[name].astype(int)
        return (values.min() + moves >= lowest) & (values.max() + moves <= highest)

    most = np.where(shifts == 0, MAX_FIFTHS, MOST_ACCIDENTALS)
    is_possible = fits("fifths", shifts, -most, most)
    is_possible &= fits("position", shifts, LOWEST, HIGHEST)
    is_possible &= fits("pitch", _semitones(shifts), 0, 127)
    return shifts[is_possible]


def graphs_in_many_keys(scores: Sequence[SpelledScore], num_notes: int, seed: int = 0) -> list[ScoreGraph]:
    """Graphs of pieces in keys drawn at random, until they hold `num_notes` or there is no other key.

    Each piece comes once, in an order drawn at random, before one comes again in another key. A note takes
    about a kilobyte of memory here and in a loader together.

    Raises:
      ValueError: there are no scores, or none of them has labels for its notes.
    """
    rng = np.random.default_rng(seed)
    waiting = {i: rng.permutation(possible_shifts(score.notes)).tolist() for i, score in enumerate(scores)}
    graphs: list[ScoreGraph] = []
    total = 0
    while total < num_notes and (left := [i for i, shifts in waiting.items() if shifts]):
        for i in rng.permutation(left).tolist():
            graphs.append(spelled_graph(scores[i].notes, waiting[i].pop()))
            total += len(scores[i].notes)
            if total >= num_notes:
                break
    if not graphs:
        raise ValueError(f"none of {len(scores)} scores can be spelled with labels; give at least one")
    return graphs
