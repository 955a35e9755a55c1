"""Note arrays: scores and transcriptions as one structured array, and their graphs.

Times in divs are whole numbers from the start of the score; times in beats count the beats of the time
signature from the first downbeat, so that a pickup is negative. `mt3x.score.io.reading` reads scores.

Source: the fields are partitura's (Cancino-Chacón et al. 2022, arXiv 2206.01071), so that its users and
GraphMuse's find them under the names they know.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mt3x.music.notes import sort_notes, validate_notes
from mt3x.score.graphs.features import get_score_features
from mt3x.score.graphs.graph import ScoreGraph, create_score_graph
from mt3x.score.graphs.labels import score_labels
from mt3x.score.score import Score

NOTE_ARRAY_DTYPE = np.dtype(
    [
        ("onset_beat", np.float64),
        ("duration_beat", np.float64),
        ("onset_div", np.int64),
        ("duration_div", np.int64),  # 0: a grace note
        ("pitch", np.int32),
        ("voice", np.int32),
        ("staff", np.int32),
        ("part", np.int32),  # from 0
        ("step", "U1"),  # "": not spelled
        ("alter", np.int32),
        ("octave", np.int32),
        ("ks_fifths", np.int32),
        ("ts_beats", np.int32),
        ("ts_beat_type", np.int32),
        ("divs_pq", np.int32),  # divs of a quarter note, the same for all notes
    ]
)
"""One record a note; ties are joined."""


@dataclass(frozen=True, eq=False)
class ScoreNotes:
    """The notes of a score.

    Attributes:
      note_array: `NOTE_ARRAY_DTYPE` [N], sorted by (onset_div, pitch).
      measures: int64 [M, 2], starts and ends in divs; [0, 2] where measures are not known.
    """

    note_array: np.ndarray
    measures: np.ndarray

    @property
    def is_spelled(self) -> bool:
        """Whether every note has a name."""
        return bool((self.note_array["step"] != "").all())

    def graph(
        self,
        add_beats: bool = True,
        add_measures: bool = True,
        add_reverse: bool | Literal["undirected"] = True,
        add_labels: bool = True,
    ) -> ScoreGraph:
        """The graph with the 25 features, and with labels if the notes are spelled.

        Measure nodes are left out where measures are not known.

        Raises:
          ValueError: no notes; or a name or key signature that has no label (then leave out the labels).
        """
        features, _ = get_score_features(self.note_array)
        labels = score_labels(self.note_array) if add_labels and self.is_spelled else None
        measures = self.measures if add_measures and len(self.measures) else None
        return create_score_graph(
            features,
            self.note_array,
            labels,
            add_reverse=add_reverse,
            measures=measures,
            add_beats=add_beats,
        )


def notes_of_score(score: Score) -> ScoreNotes:
    """The pitched notes of a notated score; its drums are left out.

    Key signatures are 0 where none is known. The last measure takes in grace notes at its end.

    Raises:
      ValueError: no pitched notes.
    """
    parts = [(number, part.notes) for number, part in enumerate(score.parts) if not part.is_drum]
    total = sum(len(found) for _, found in parts)
    if not total:
        raise ValueError("the score has no pitched notes")
    notes = np.zeros(total, NOTE_ARRAY_DTYPE)
    start = 0
    for number, found in parts:
        rows = notes[start : start + len(found)]
        for name in ("onset_div", "duration_div", "pitch", "voice", "staff", "step", "alter", "octave"):
            rows[name] = found[name]
        rows["part"] = number
        start += len(found)
    notes = notes[np.lexsort((notes["duration_div"], notes["pitch"], notes["onset_div"]))]
    notes["divs_pq"] = score.divs_per_quarter
    onset = notes["onset_div"]
    if score.key_signatures:
        notes["ks_fifths"] = _values_at(onset, score.key_signatures)[:, 0]
    signatures = _values_at(onset, score.time_signatures)
    notes["ts_beats"], notes["ts_beat_type"] = signatures.T
    notes["onset_beat"] = _beats_at(score, onset)
    notes["duration_beat"] = _beats_at(score, onset + notes["duration_div"]) - notes["onset_beat"]
    measures = score.measures.copy()
    measures[-1, 1] = max(measures[-1, 1], onset[-1] + 1)
    return ScoreNotes(notes, measures)


def _values_at(onset: np.ndarray, changes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """What holds at each onset, int [N, values]; before the first change, what that one says."""
    table = np.array(changes)
    return table[np.maximum(np.searchsorted(table[:, 0], onset, side="right") - 1, 0), 1:]


def _beats_at(score: Score, times: np.ndarray) -> np.ndarray:
    """Beats of the time signature from the first downbeat, float64 [N]."""
    changes = np.array(score.time_signatures)
    divs_per_beat = 4 * score.divs_per_quarter / changes[:, 2]
    at_change = np.concatenate(([0], np.cumsum(np.diff(changes[:, 0]) / divs_per_beat[:-1])))
    which = np.searchsorted(changes[:, 0], times, side="right") - 1
    beats = at_change[which] + (times - changes[which, 0]) / divs_per_beat[which]
    first = (score.measures[0, 1] - score.measures[0, 0]) / divs_per_beat[0]
    return beats - (first if first < changes[0, 1] else 0)


def notes_of_transcription(
    notes: np.ndarray, divs_per_second: int = 1000, quarters_per_minute: float = 120.0, beats: int = 4
) -> ScoreNotes:
    """Transcribed notes, their times rounded to divs, on beats of a steady tempo; drums are left out.

    Nothing is known of metre or spelling: beats are quarter notes of the tempo given, measures unknown.

    Args:
      notes: `mt3x.music.notes.NOTE_DTYPE` [N], in any order.
      divs_per_second: coarser divs make notes that are struck nearly together start together.

    Raises:
      ValueError: unsound notes, none that are pitched, or a tempo, resolution or number of beats below 1.
    """
    if divs_per_second < 1 or quarters_per_minute < 1 or beats < 1:
        raise ValueError(
            f"divs_per_second {divs_per_second}, quarters_per_minute {quarters_per_minute} and beats {beats} "
            "must be at least 1"
        )
    pitched = sort_notes(validate_notes(notes)[~notes["is_drum"]])
    if not len(pitched):
        raise ValueError("there are no pitched notes; a graph needs at least one")
    array = np.zeros(len(pitched), NOTE_ARRAY_DTYPE)
    array["onset_div"] = np.rint(pitched["start"] * divs_per_second)
    array["duration_div"] = np.maximum(np.rint(pitched["end"] * divs_per_second) - array["onset_div"], 1)
    array["pitch"] = pitched["pitch"]
    array["part"] = np.unique(pitched["program"], return_inverse=True)[1]
    array["voice"] = array["staff"] = 1
    divs_per_quarter = divs_per_second * 60 / quarters_per_minute
    array["divs_pq"] = round(divs_per_quarter)
    array["ts_beats"], array["ts_beat_type"] = beats, 4
    array["onset_beat"] = array["onset_div"] / divs_per_quarter
    array["duration_beat"] = array["duration_div"] / divs_per_quarter
    array = array[np.lexsort((array["duration_div"], array["pitch"], array["onset_div"]))]
    return ScoreNotes(array, np.zeros((0, 2), np.int64))
