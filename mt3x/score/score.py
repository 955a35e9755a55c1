"""A score as data: parts of notes in divisions of a quarter, with measures, key, metre and tempo.

Times are whole divs from the start of the score, `divs_per_quarter` of them in a quarter. Notes are notated,
not heard: a note that is tied across a bar line is one note here. Staves and voices are counted from 1,
voices within the part. Notes that share a voice and an onset are a chord; grace notes of one place, too.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

SCORE_NOTE_DTYPE = np.dtype(
    [
        ("onset_div", np.int64),
        ("duration_div", np.int64),  # 0: a grace note before the note of the same onset
        ("pitch", np.int32),  # sounding MIDI pitch; of drums, the General MIDI percussion key
        ("step", "U1"),  # "C".."B"; "": not spelled
        ("alter", np.int32),  # sharps (+) or flats (-), -2..2
        ("octave", np.int32),  # of the spelling; 4 begins with middle C
        ("voice", np.int32),
        ("staff", np.int32),
        ("grace", np.int32),  # 1: the last grace note before its note, 2: the one before it; 0: no grace note
    ]
)

STEP_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

MAX_FIFTHS = 7
BEAT_TYPES = (1, 2, 4, 8, 16, 32, 64)


def empty_score_notes() -> np.ndarray:
    """No notes: `SCORE_NOTE_DTYPE` [0]."""
    return np.zeros(0, SCORE_NOTE_DTYPE)


def make_score_notes(
    onset_div: npt.ArrayLike,
    duration_div: npt.ArrayLike,
    pitch: npt.ArrayLike,
    step: npt.ArrayLike = "",
    alter: npt.ArrayLike = 0,
    octave: npt.ArrayLike = 0,
    voice: npt.ArrayLike = 1,
    staff: npt.ArrayLike = 1,
    grace: npt.ArrayLike | None = None,
) -> np.ndarray:
    """Notes from columns, each of shape [N] or a scalar that holds for all, sorted by (onset_div, pitch).

    Without `grace`, grace notes (of duration 0) of one onset are struck together.

    >>> make_score_notes([4, 0], 4, [60, 64])["pitch"].tolist()
    [64, 60]
    """
    places = np.equal(duration_div, 0) if grace is None else np.asarray(grace)
    columns = np.broadcast_arrays(onset_div, duration_div, pitch, step, alter, octave, voice, staff, places)
    notes = np.zeros(np.atleast_1d(columns[0]).shape, SCORE_NOTE_DTYPE)
    for name, column in zip(SCORE_NOTE_DTYPE.names or (), columns, strict=True):
        notes[name] = column
    return sort_score_notes(notes)


def sort_score_notes(notes: np.ndarray) -> np.ndarray:
    """Notes ordered by (onset_div, pitch), then by (duration_div, grace, staff, voice)."""
    keys = ("voice", "staff", "grace", "duration_div", "pitch", "onset_div")
    return notes[np.lexsort([notes[key] for key in keys])]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """What one instrument plays.

    Attributes:
      name: as printed before the first system.
      program: General MIDI, 0..127; of no meaning for drums.
      is_drum: pitches are General MIDI percussion keys, without spelling.
      notes: `SCORE_NOTE_DTYPE` [N], sorted by (onset_div, pitch).

    Raises:
      ValueError: an attribute is unsound; the message names the note by its position.
    """

    name: str
    program: int
    is_drum: bool
    notes: np.ndarray

    def __post_init__(self) -> None:
        if not 0 <= self.program <= 127:
            raise ValueError(f"part {self.name!r} has program {self.program}; it must be within 0..127")
        _check_notes(self.notes, self.name)
        if self.is_drum:
            _require(self.notes["step"] == "", self.notes["step"], "drums have step ''", self.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Part):
            return NotImplemented
        same = (self.name, self.program, self.is_drum) == (other.name, other.program, other.is_drum)
        return same and np.array_equal(self.notes, other.notes)

    @property
    def num_staves(self) -> int:
        """The highest staff that a note is on; 1 without notes."""
        return int(self.notes["staff"].max()) if len(self.notes) else 1


@dataclasses.dataclass(frozen=True, eq=False)
class Score:
    """Parts on a common grid of measures.

    Attributes:
      divs_per_quarter: the resolution of all times.
      parts: in the order of the page, top to bottom.
      measures: int64 [M, 2], (start, end) divs without gaps from 0 on; a first one that is shorter than its
        time signature is a pickup.
      time_signatures: (onset_div, beats, beat_type), the first at 0, each where a measure starts.
      key_signatures: (onset_div, fifths), fifths from -7 (flats) to 7 (sharps), each where a measure starts;
        empty: no key is known.
      tempos: (onset_div, quarters_per_minute), ordered; empty: none is known.
      title, composer: as printed above the music; "": none is known.

    Raises:
      ValueError: an attribute is unsound, or a note lasts beyond the last measure. Grace notes may stand at
        its end, after the last note.
    """

    divs_per_quarter: int
    parts: tuple[Part, ...]
    measures: np.ndarray
    time_signatures: tuple[tuple[int, int, int], ...]
    key_signatures: tuple[tuple[int, int], ...] = ()
    tempos: tuple[tuple[int, float], ...] = ()
    title: str = ""
    composer: str = ""

    def __post_init__(self) -> None:
        if self.divs_per_quarter < 1:
            raise ValueError(f"divs_per_quarter is {self.divs_per_quarter}; it must be 1 or more")
        _check_measures(self.measures)
        self._check_signatures()
        self._check_tempos()
        end = self.end_div
        for part in self.parts:
            ends = part.notes["onset_div"] + part.notes["duration_div"]
            _require(ends <= end, ends, f"notes end by div {end}, where the last measure does", part.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Score):
            return NotImplemented
        names = {field.name for field in dataclasses.fields(self)} - {"measures"}
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and np.array_equal(self.measures, other.measures)

    @property
    def end_div(self) -> int:
        """The end of the last measure."""
        return int(self.measures[-1, 1])

    def _check_signatures(self) -> None:
        starts = set(self.measures[:, 0].tolist())
        if not self.time_signatures or self.time_signatures[0][0] != 0:
            raise ValueError(f"time_signatures are {self.time_signatures}; the first must be at div 0")
        for name, changes in (("time", self.time_signatures), ("key", self.key_signatures)):
            onsets = [change[0] for change in changes]
            if onsets != sorted(set(onsets)) or not starts.issuperset(onsets):
                raise ValueError(
                    f"{name} signatures are at divs {onsets}; they must increase and be at starts of measures"
                )
        for _, beats, beat_type in self.time_signatures:
            if beats < 1 or beat_type not in BEAT_TYPES or (4 * self.divs_per_quarter * beats) % beat_type:
                raise ValueError(
                    f"time signature {beats}/{beat_type} does not fit {self.divs_per_quarter} divs per "
                    f"quarter; beats must be 1 or more, the beat type one of {BEAT_TYPES}, and a measure a "
                    "whole number of divs"
                )
        for _, fifths in self.key_signatures:
            if abs(fifths) > MAX_FIFTHS:
                raise ValueError(f"key signature has {fifths} fifths; it must be within -7..7")

    def _check_tempos(self) -> None:
        onsets = [onset for onset, _ in self.tempos]
        if onsets != sorted(set(onsets)) or (onsets and not 0 <= onsets[0] <= onsets[-1] < self.end_div):
            raise ValueError(
                f"tempos are at divs {onsets}; they must increase and be within 0..{self.end_div - 1}"
            )
        for _, quarters_per_minute in self.tempos:
            if not 0 < quarters_per_minute < float("inf"):
                raise ValueError(f"a tempo is {quarters_per_minute} quarters per minute; it must be positive")


def _check_notes(notes: np.ndarray, part_name: str) -> None:
    if getattr(notes, "dtype", None) != SCORE_NOTE_DTYPE or notes.ndim != 1:
        raise ValueError(
            f"notes of part {part_name!r} must be a 1-D array of SCORE_NOTE_DTYPE; use make_score_notes(...)"
        )
    onset, pitch = notes["onset_div"], notes["pitch"]
    _require(onset >= 0, onset, "onset_div is 0 or more", part_name)
    _require(notes["duration_div"] >= 0, notes["duration_div"], "duration_div is 0 or more", part_name)
    is_grace = notes["duration_div"] == 0
    rule = "grace is 1 or more where the duration is 0, and 0 elsewhere"
    _require((notes["grace"] > 0) == is_grace, notes["grace"], rule, part_name)
    _require((pitch >= 0) & (pitch <= 127), pitch, "pitch is within 0..127", part_name)
    for name in ("voice", "staff"):
        _require(notes[name] >= 1, notes[name], f"{name} is 1 or more", part_name)
    order = np.lexsort((pitch, onset))
    _require(order == np.arange(len(order)), onset, "notes are sorted by (onset_div, pitch)", part_name)

    step = notes["step"]
    is_spelled = step != ""
    known = np.isin(step, ["", *STEP_PITCH_CLASSES])
    _require(known, step, "step is one of C D E F G A B, or '' for none", part_name)
    _require(np.abs(notes["alter"]) <= 2, notes["alter"], "alter is within -2..2", part_name)
    pitch_class = np.array([STEP_PITCH_CLASSES.get(letter, 0) for letter in step.tolist()], np.int64)
    spelled_pitch = 12 * (notes["octave"] + 1) + pitch_class + notes["alter"]
    _require(~is_spelled | (spelled_pitch == pitch), pitch, "the spelling sounds as the pitch", part_name)


def _check_measures(measures: np.ndarray) -> None:
    if getattr(measures, "dtype", None) != np.int64 or measures.ndim != 2 or measures.shape[1:] != (2,):
        raise ValueError("measures must be an int64 array of shape [M, 2]: (start, end) in divs")
    if not len(measures):
        raise ValueError("a score has no measures; it needs 1 or more")
    if (
        measures[0, 0] != 0
        or (measures[1:, 0] != measures[:-1, 1]).any()
        or (measures[:, 0] >= measures[:, 1]).any()
    ):
        raise ValueError(
            "measures must begin at div 0 and follow each other without gaps, each 1 div or longer"
        )


def _require(holds: np.ndarray, values: np.ndarray, rule: str, part_name: str) -> None:
    """Raises ValueError for the first note that breaks a rule."""
    if not holds.all():
        i = int(np.argmin(holds))
        raise ValueError(f"note {i} of part {part_name!r} breaks a rule (it has {values[i]}): {rule}")
