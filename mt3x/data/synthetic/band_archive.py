"""Grooves and lead sheets in one packed file, small enough for every worker to load.

Conventions: an archive holds flat arrays and the count of each piece's rows; nothing is pickled. Intervals of
a chord are a bit mask, bit n for n semitones; a missing tempo is 0.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.data.synthetic.grooves import GROOVE_NOTE_DTYPE, Groove, read_grooves
from mt3x.data.synthetic.lead_sheets import MELODY_NOTE_DTYPE, Chord, LeadSheet, read_lead_sheets
from mt3x.music.files import whole_file


@dataclass(frozen=True)
class BandMusic:
    """What bands are drawn from; at least one beat. Without a sheet all harmony is random."""

    grooves: tuple[Groove, ...]
    sheets: tuple[LeadSheet, ...]

    def __post_init__(self) -> None:
        if all(groove.is_fill for groove in self.grooves):
            raise ValueError(f"{len(self.grooves)} grooves, of which none is a beat; give at least one beat")


@dataclass(frozen=True)
class BandPackReport:
    """What `pack_bands` did: pieces packed, sheets that could not be read, and bytes written."""

    beats: int
    fills: int
    sheets: int
    unreadable_sheets: int
    bytes: int


def pack_bands(
    groove_folder: str | Path, sheets_folder: str | Path, output_npz: str | Path
) -> BandPackReport:
    """Reads both folders and saves what bands are drawn from.

    Raises:
      ValueError: a folder isn't what it should be; see `read_grooves` and `read_lead_sheets`.
    """
    grooves = read_grooves(groove_folder)
    sheets, unreadable = read_lead_sheets(sheets_folder)
    save_bands(BandMusic(grooves, sheets), output_npz)
    fills = sum(groove.is_fill for groove in grooves)
    size = Path(output_npz).stat().st_size
    return BandPackReport(len(grooves) - fills, fills, len(sheets), unreadable, size)


def save_bands(music: BandMusic, output_npz: str | Path) -> None:
    """Writes one compressed archive; it appears whole or not at all."""
    grooves, sheets = music.grooves, music.sheets
    chords = [chord for sheet in sheets for chord in sheet.chords]
    arrays = {
        "groove_style": np.array([g.style for g in grooves]),
        "groove_bpm": np.array([g.bpm for g in grooves]),
        "groove_quarters_per_bar": np.array([g.quarters_per_bar for g in grooves]),
        "groove_is_fill": np.array([g.is_fill for g in grooves]),
        "groove_count": np.array([len(g.notes) for g in grooves], np.int32),
        **_columns("hit", [g.notes for g in grooves], GROOVE_NOTE_DTYPE),
        "sheet_name": np.array([s.name for s in sheets], np.str_),
        "sheet_bpm": np.array([s.bpm or 0.0 for s in sheets]),
        "sheet_quarters_per_bar": np.array([s.quarters_per_bar for s in sheets]),
        "melody_count": np.array([len(s.melody) for s in sheets], np.int32),
        **_columns("melody", [s.melody for s in sheets], MELODY_NOTE_DTYPE),
        "chord_count": np.array([len(s.chords) for s in sheets], np.int32),
        "chord_onset": np.array([c.onset_quarters for c in chords], np.float64),
        "chord_root": np.array([c.root for c in chords], np.int8),
        "chord_bass": np.array([c.bass for c in chords], np.int8),
        "chord_intervals": np.array([sum(1 << i for i in set(c.intervals)) for c in chords], np.int32),
    }
    with whole_file(output_npz) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_bands(path: str | Path) -> BandMusic:
    """Reads an archive of `pack_bands`.

    Raises:
      ValueError: the file is missing or isn't such an archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return BandMusic(_grooves(arrays), _sheets(arrays))
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an archive of bands ({error}); write one with pack_bands") from error


def _columns(prefix: str, pieces: Sequence[np.ndarray], dtype: np.dtype) -> dict[str, np.ndarray]:
    rows = np.concatenate([np.zeros(0, dtype), *pieces])
    return {f"{prefix}_{name}": rows[name] for name in dtype.names or ()}


def _pieces(
    arrays: dict[str, np.ndarray], prefix: str, dtype: np.dtype, counts: np.ndarray
) -> list[np.ndarray]:
    rows = np.zeros(int(np.sum(counts)), dtype)
    for name in dtype.names or ():
        rows[name] = arrays[f"{prefix}_{name}"]
    return np.split(rows, np.cumsum(counts)[:-1])


def _grooves(arrays: dict[str, np.ndarray]) -> tuple[Groove, ...]:
    pieces = _pieces(arrays, "hit", GROOVE_NOTE_DTYPE, arrays["groove_count"])
    names = ("groove_style", "groove_bpm", "groove_quarters_per_bar", "groove_is_fill")
    columns = [arrays[name].tolist() for name in names]
    return tuple(Groove(*row) for row in zip(*columns, pieces, strict=True))


def _sheets(arrays: dict[str, np.ndarray]) -> tuple[LeadSheet, ...]:
    if not len(arrays["sheet_name"]):
        return ()
    melodies = _pieces(arrays, "melody", MELODY_NOTE_DTYPE, arrays["melody_count"])
    # One tuple of intervals for each mask: most chords share a few.
    masks = {m: tuple(i for i in range(31) if m >> i & 1) for m in set(arrays["chord_intervals"].tolist())}
    columns = [arrays[f"chord_{name}"].tolist() for name in ("onset", "root", "intervals", "bass")]
    chords = [Chord(onset, root, masks[mask], bass) for onset, root, mask, bass in zip(*columns, strict=True)]
    ends = np.cumsum(arrays["chord_count"]).tolist()
    spans = [tuple(chords[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    columns = [arrays[f"sheet_{name}"].tolist() for name in ("name", "quarters_per_bar", "bpm")]
    return tuple(
        LeadSheet(name, melody, span, quarters, bpm or None)
        for name, quarters, bpm, melody, span in zip(*columns, melodies, spans, strict=True)
    )
