"""Transcribed notes -> a score that can be written: beats, note values and voices, then names and keys."""

import dataclasses

import numpy as np

from mt3x.score.rhythm.beat_decoding import DecodingSettings
from mt3x.score.rhythm.beats import Beats, track_beats
from mt3x.score.rhythm.quantise import quantise
from mt3x.score.score import MAX_FIFTHS, Part, Score, empty_score_notes, sort_score_notes
from mt3x.score.spelling.names import spell

SHORTEST_KEY_MEASURES = 4
"""A key signature that would last fewer measures is not written: its accidentals are."""

_TEMPO_TOLERANCE = 0.2
_PAGE_NAMES = {0: "Piano", 1: "Piano", 32: "Bass", 52: "Choir", 53: "Voice", 54: "Voice"}


@dataclasses.dataclass(frozen=True)
class Hints:
    """What is known of the music beforehand.

    Attributes:
      time_signature: such as (3, 4); None: found from the notes. N/4, or 6/8, 9/8 and 12/8.
      quarters_per_minute: near what the tempo is; None: found from the notes.
      fifths: the key signature of the whole piece, -7 to 7; None: found from the notes. It changes no names.

    Raises:
      ValueError: another time or key signature, or a tempo that is not positive.
    """

    time_signature: tuple[int, int] | None = None
    quarters_per_minute: float | None = None
    fifths: int | None = None

    def __post_init__(self) -> None:
        if self.time_signature is not None:
            beats, beat_type = self.time_signature
            if not ((beat_type == 4 and 2 <= beats <= 12) or (beat_type == 8 and beats in (6, 9, 12))):
                raise ValueError(
                    f"time signature is {beats}/{beat_type}; it must be 2/4 to 12/4, 6/8, 9/8 or 12/8"
                )
        if self.quarters_per_minute is not None and not 0 < self.quarters_per_minute < float("inf"):
            raise ValueError(f"tempo is {self.quarters_per_minute} quarters per minute; it must be positive")
        if self.fifths is not None and abs(self.fifths) > MAX_FIFTHS:
            raise ValueError(f"key signature has {self.fifths} fifths; it must be within -7..7")

    @property
    def is_compound(self) -> bool:
        """Whether the known beat is a dotted quarter."""
        return self.time_signature is not None and self.time_signature[1] == 8

    def decoding_settings(self) -> DecodingSettings:
        """What the beat tracker must believe."""
        settings = DecodingSettings()
        if self.time_signature is not None:
            beats = self.time_signature[0] // (3 if self.is_compound else 1)
            settings = dataclasses.replace(settings, bars=((beats, 0.0),))
        if self.quarters_per_minute is not None:
            beat = 60 * (1.5 if self.is_compound else 1.0) / self.quarters_per_minute
            settings = _with_beats_of(beat, settings)
        return settings


def _with_beats_of(seconds: float, settings: DecodingSettings) -> DecodingSettings:
    return dataclasses.replace(
        settings,
        shortest_seconds=seconds * (1 - _TEMPO_TOLERANCE),
        longest_seconds=seconds * (1 + _TEMPO_TOLERANCE),
        usual_seconds=seconds,
    )


def notate(notes: np.ndarray, hints: Hints | None = None) -> Score:
    """The score of transcribed notes.

    Args:
      notes: `NOTE_DTYPE` [N], in any order, at least one.

    Raises:
      ValueError: the notes are unsound, or there is none.
    """
    hints = hints or Hints()
    score = quantise(notes, _beats(notes, hints))
    placed = (_with_graces_placed(part, score.measures, score.divs_per_quarter) for part in score.parts)
    parts = (dataclasses.replace(part, name=_page_name(part)) for part in placed)
    spelled = spell_score(dataclasses.replace(score, parts=tuple(parts)))
    if hints.fifths is None or not spelled.key_signatures:
        return spelled
    return dataclasses.replace(spelled, key_signatures=((0, hints.fifths),))


def _beats(notes: np.ndarray, hints: Hints) -> Beats:
    """The beats, of the metre that is known."""
    settings = hints.decoding_settings()
    beats = track_beats(notes, settings)
    if hints.time_signature is None:
        return beats
    if hints.is_compound and not beats.is_compound and hints.quarters_per_minute is None:
        # What does not fall into threes are quarters, not dotted ones: half as long again, it may.
        longer = 1.5 * float(np.median(np.diff(beats.seconds)))
        dotted = track_beats(notes, _with_beats_of(longer, settings))
        beats = dotted if dotted.is_compound else beats
    return dataclasses.replace(beats, is_compound=hints.is_compound)


def _page_name(part: Part) -> str:
    """The name that players know: `Piano`, not `Acoustic Grand Piano`; nothing in parentheses."""
    return part.name if part.is_drum else _PAGE_NAMES.get(part.program, part.name.partition(" (")[0])


def _with_graces_placed(part: Part, measures: np.ndarray, divs_per_quarter: int) -> Part:
    """Grace notes in the voice of a chord that they come before; one that would break a note is cut.

    One with no chord to lean on (it leans on another part's) becomes a note, to the end of its quarter
    at most: programs move a grace note before a rest to some other note.
    """
    notes = part.notes.copy()
    onset, end = notes["onset_div"], notes["onset_div"] + notes["duration_div"]
    is_kept = np.ones(len(notes), bool)
    alone = []
    for i in np.flatnonzero(notes["duration_div"] == 0).tolist():
        chords = np.flatnonzero((onset == onset[i]) & (end > onset))
        if len(chords):
            away = np.abs(notes["pitch"][chords] - notes["pitch"][i])
            other_voice, other_staff = (notes[name][chords] != notes[name][i] for name in ("voice", "staff"))
            main = chords[np.lexsort((away, other_voice, other_staff))[0]]
            for name in ("voice", "staff"):
                notes[name][i] = notes[name][main]
        else:
            same = (notes["voice"] == notes["voice"][i]) & (notes["staff"] == notes["staff"][i])
            is_kept[i] = not (same & (onset < onset[i]) & (onset[i] < end)).any()
            alone.append(i)
    for i in alone:
        same = (notes["voice"] == notes["voice"][i]) & (notes["staff"] == notes["staff"][i])
        measure_end = measures[np.searchsorted(measures[:, 1], onset[i], side="right"), 1]
        quarter_end = onset[i] + (measure_end - onset[i] - 1) % divs_per_quarter + 1
        later = onset[same & is_kept & (onset > onset[i])]
        notes["duration_div"][i], notes["grace"][i] = min([quarter_end, *later[:1]]) - onset[i], 0
    return dataclasses.replace(part, notes=sort_score_notes(notes[is_kept]))


def empty_score() -> Score:
    """What is written where nothing was heard: one measure of rest."""
    return Score(1, (Part("Piano", 0, False, empty_score_notes()),), np.array([[0, 4]]), ((0, 4, 4),))


def spell_score(score: Score) -> Score:
    """The same score, all pitched notes named anew together, with the key signatures of their names."""
    pitched = [part.notes for part in score.parts if not part.is_drum]
    if not sum(len(notes) for notes in pitched):
        return score
    together = np.concatenate(pitched)
    onset, duration = (together[name] / score.divs_per_quarter for name in ("onset_div", "duration_div"))
    spelling = spell(onset, duration, together["pitch"])
    for name in ("step", "alter", "octave"):
        together[name] = getattr(spelling, name)
    pieces = iter(np.split(together, np.cumsum([len(notes) for notes in pitched])[:-1]))
    parts = tuple(
        part if part.is_drum else dataclasses.replace(part, notes=next(pieces)) for part in score.parts
    )
    keys = _key_signatures(score.measures, together["onset_div"], spelling.fifths)
    return dataclasses.replace(score, parts=parts, key_signatures=keys)


def _key_signatures(
    measures: np.ndarray, onset: np.ndarray, fifths: np.ndarray
) -> tuple[tuple[int, int], ...]:
    """Key signatures of measures: the commonest of their notes, if it lasts.

    Args:
      measures: int64 [M, 2], divs.
      onset, fifths: of each note, int [N].
    """
    keys: list[int | None] = []
    for start, end in measures.tolist():
        here = fifths[(onset >= start) & (onset < end)]
        values, counts = np.unique(here, return_counts=True)
        keys.append(int(values[counts.argmax()]) if len(values) else keys[-1] if keys else None)
    known = next(key for key in keys if key is not None)
    runs: list[list[int]] = []  # [first measure, key]
    for measure, key in enumerate(keys):
        if not runs or runs[-1][1] != (known if key is None else key):
            runs.append([measure, known if key is None else key])
    ends = [first for first, _ in runs[1:]] + [len(keys)]
    lasting = [
        (first, key)
        for (first, key), end in zip(runs, ends, strict=True)
        if end - first >= SHORTEST_KEY_MEASURES
    ] or [(0, int(np.bincount(fifths + 7).argmax()) - 7)]
    signatures = [(0, lasting[0][1])]
    for first, key in lasting[1:]:
        if key != signatures[-1][1]:
            signatures.append((int(measures[first, 0]), key))
    return tuple(signatures)
