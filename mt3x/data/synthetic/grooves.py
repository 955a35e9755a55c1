"""Drum performances of the Groove MIDI Dataset: hits of human drummers, in quarters.

Conventions: onsets are quarter notes from the start of the recording, where a bar begins; the timing is the
drummer's, not moved to a grid. Keys are General MIDI percussion keys. Where a pad of the kit may stand for
two keys, reading takes the first; `vary_keys` draws the others.

Source: Gillick et al. 2019, "Learning to Groove with Inverse Sequence Transformations" (CC BY 4.0). Only the
dataset's split "train" is read: the others are kept for tests.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.music.midi import read_midi

GROOVE_NOTE_DTYPE = np.dtype([("onset_quarters", "f4"), ("key", "i2"), ("velocity", "i2")])
SHORTEST_BEAT_QUARTERS = 7.0
"""Recordings of beats whose last hit comes earlier are left out."""

_COLUMNS = ("file", "style", "bpm", "beat_type", "time_signature", "split")

# Pitches of the Roland TD-11 kit -> General MIDI keys; other pitches are dropped.
_KIT_KEYS = {
    36: 36, 38: 38, 40: 38, 37: 37, 48: 48, 50: 48, 45: 45, 47: 45, 43: 43, 58: 43, 42: 42, 22: 42, 46: 46,
    26: 46, 44: 44, 49: 49, 55: 49, 57: 57, 52: 57, 51: 51, 59: 51, 53: 53,
}  # fmt: skip

# Key -> another key for the same piece of the kit, and how often a performance takes it.
_ALTERNATIVES = {48: (50, 0.5), 45: (47, 0.5), 43: (41, 0.5), 36: (35, 0.2), 38: (40, 0.15)}


@dataclass(frozen=True, eq=False)
class Groove:
    """A drummer's performance.

    style: as in the dataset, "rock" or "latin/samba".
    quarters_per_bar: 4.0 for 4/4, 3.0 for 6/8.
    is_fill: whether it is a fill of a bar or less, not a beat.
    notes: `GROOVE_NOTE_DTYPE` [N], ordered by onset, at least one.
    """

    style: str
    bpm: float
    quarters_per_bar: float
    is_fill: bool
    notes: np.ndarray

    @property
    def num_bars(self) -> int:
        """Bars to repeat, at least one; a last bar with hits in its first half alone isn't counted."""
        return max(int(float(self.notes["onset_quarters"][-1]) / self.quarters_per_bar + 0.5), 1)


def read_grooves(folder: str | Path) -> tuple[Groove, ...]:
    """The performances of the split "train" in a folder of `info.csv` and MIDI files.

    Beats shorter than `SHORTEST_BEAT_QUARTERS` and recordings without a known hit are left out.

    Raises:
      ValueError: `info.csv` is missing, lacks a column or has a malformed row; a MIDI file cannot be read;
        or nothing is left.
    """
    folder = Path(folder)
    grooves = []
    for row in _read_table(folder / "info.csv"):
        if row["split"] != "train":
            continue
        groove = _read_groove(folder / row["file"], row)
        if groove is not None:
            grooves.append(groove)
    if not grooves:
        raise ValueError(f"{folder} holds no performance of split train; give the Groove MIDI Dataset")
    return tuple(grooves)


def vary_keys(rng: np.random.Generator, keys: np.ndarray) -> np.ndarray:
    """The same hits on a kit whose toms, kick or snare may have other keys: int [N] -> int [N]."""
    varied = keys.copy()
    for key, (other, probability) in _ALTERNATIVES.items():
        if rng.random() < probability:
            varied[keys == key] = other
    return varied


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); give the Groove MIDI Dataset's folder") from error
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}; it must have {list(_COLUMNS)}")
    return rows


def _read_groove(path: Path, row: dict[str, str]) -> Groove | None:
    try:
        bpm = float(row["bpm"])
        beats, beat_type = (int(number) for number in row["time_signature"].split("-"))
        quarters_per_bar = 4 * beats / beat_type
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"info.csv gives {path.name} bpm {row['bpm']!r} and time signature {row['time_signature']!r}; "
            "they must look like 80 and 4-4"
        ) from error
    if not (20 <= bpm <= 400 and quarters_per_bar > 0):
        raise ValueError(
            f"info.csv gives {path.name} bpm {bpm} and {quarters_per_bar} quarters per bar; bpm must be "
            "within 20..400 and bars longer than 0"
        )
    struck = read_midi(path)
    struck = struck[np.isin(struck["pitch"], list(_KIT_KEYS))]
    is_fill = row["beat_type"] == "fill"
    notes = np.zeros(len(struck), GROOVE_NOTE_DTYPE)
    notes["onset_quarters"] = struck["start"] * bpm / 60  # the files' tempo is the table's
    notes["key"] = [_KIT_KEYS[pitch] for pitch in struck["pitch"].tolist()]
    notes["velocity"] = struck["velocity"]
    if not len(notes) or (not is_fill and notes["onset_quarters"][-1] < SHORTEST_BEAT_QUARTERS):
        return None
    return Groove(row["style"], bpm, quarters_per_bar, is_fill, notes)
