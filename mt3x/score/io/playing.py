"""A score -> notes in seconds, played exactly as it is written."""

import numpy as np

from mt3x.music.notes import empty_notes, make_notes, sort_notes
from mt3x.music.tempo_map import TempoMap, signatures_of_bars
from mt3x.score.score import Score

DEFAULT_QUARTERS_PER_MINUTE = 120.0
GRACE_SECONDS = 0.08
VELOCITY = 80


def played_notes(score: Score) -> np.ndarray:
    """The notes of all parts, `NOTE_DTYPE` [N], sorted.

    Grace notes take a little time each before the note that they lead to; at the start of the piece they last
    that little after it. Without a tempo there are 120 quarters in a minute.

    Raises:
      ValueError: a tempo that MIDI cannot store, as its times are those under `score_tempo_map`.
    """
    played = [empty_notes()]
    for part in score.parts:
        notes = part.notes
        start = seconds_at(score, notes["onset_div"])
        end = seconds_at(score, notes["onset_div"] + notes["duration_div"])
        is_grace = notes["duration_div"] == 0
        start = np.where(is_grace, np.maximum(start - GRACE_SECONDS * notes["grace"], 0), start)
        end = np.where(is_grace, start + GRACE_SECONDS, end)
        program = 0 if part.is_drum else part.program
        played.append(make_notes(start, end, notes["pitch"], VELOCITY, program, part.is_drum))
    return sort_notes(np.concatenate(played))


def seconds_at(score: Score, divs: np.ndarray) -> np.ndarray:
    """When divs come under the score's tempos: float64, same shape."""
    return score_tempo_map(score).seconds_at(divs / score.divs_per_quarter)


def score_tempo_map(score: Score) -> TempoMap:
    """The tempos and signatures of a MIDI file whose bars are the score's.

    Raises:
      ValueError: a tempo that MIDI cannot store.
    """
    divs = score.divs_per_quarter
    tempos = dict(score.tempos)
    first = score.tempos[0][1] if score.tempos else DEFAULT_QUARTERS_PER_MINUTE
    bars = []
    for start, end in score.measures.tolist():
        _, beats, beat_type = [change for change in score.time_signatures if change[0] <= start][-1]
        bars.append((start / divs, (end - start) / divs, beats, beat_type))
    start, length, beats, beat_type = bars[-1]
    bars[-1] = (start, max(length, 4 * beats / beat_type), beats, beat_type)  # nothing follows if it is short
    return TempoMap(
        tuple((at / divs, tempo) for at, tempo in ({0: first} | tempos).items()),
        signatures_of_bars(bars),
        tuple((at / divs, fifths) for at, fifths in score.key_signatures),
    )
