"""URMP: 44 chamber pieces, whose parts were recorded apart and then mixed.

On disk: a folder a piece, `NN_Name_inst_inst...`, with `AuMix_*.wav`, the mix, and for each part, k from 1,
`Notes_k_inst_NN_Name.txt`: on each line a note's onset in s, pitch in Hz and duration in s. Pitches are
rounded to semitones, A4 = 440 Hz.

A part's instrument is what the folder's name says: in `15_Surprise_tpt_tpt_tbn` the third part's files are
named tpt, but their notes go below a trumpet's range.

Source: Li et al. 2019, arXiv 1612.08727; the split is MT3's, arXiv 2111.03017, appendix.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mt3x.data.datasets.reading import check_folder, has_all, parse_numbers, read_mix, read_text
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.music.instruments import urmp_instrument_to_program
from mt3x.music.notes import make_notes

NUM_PIECES = 44
VALIDATION_PIECES = frozenset({1, 2, 12, 13, 24, 25, 31, 38, 39})


@dataclasses.dataclass(frozen=True)
class Urmp:
    """The mixes, with the notes of all parts."""

    name = "urmp"
    splits = ("train", "validation")

    def items(self, source: Path, report: Report) -> list[Item]:
        check_folder(source, "[0-9][0-9]_*_*")
        folders = sorted(path.name for path in source.glob("[0-9][0-9]_*_*") if path.is_dir())
        if len(folders) != NUM_PIECES:
            report(".", f"{len(folders)} pieces are here; the release has {NUM_PIECES}")
        items = []
        for folder in folders:
            files = (f"{folder}/AuMix_{folder}.wav", *_find_parts(source, folder, report))
            split = "validation" if int(folder[:2]) in VALIDATION_PIECES else "train"
            if has_all(source, files, report):
                items.append(Item(folder, split, files))
        return items

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        audio_file, *part_files = item.files
        parts = []
        for instrument, file in zip(_instruments(item.id), part_files, strict=True):
            named = file.split("_")[-3]
            if named != instrument:
                report(file, f"is named {named}, the folder says {instrument}; taken as {instrument}")
            parts.append(_read_part(source, file, instrument))
        return read_mix(source, item, audio_file, np.concatenate(parts), audio_file, report)


def _instruments(folder: str) -> list[str]:
    """The instruments in the name of a piece's folder.

    >>> _instruments("07_GString_tpt_tbn")
    ['tpt', 'tbn']
    """
    return folder.split("_")[2:]


def _find_parts(source: Path, folder: str, report: Report) -> list[str]:
    """The file of each part's notes; where there is none, the name that it should have."""
    files = sorted(f"{folder}/{path.name}" for path in (source / folder).glob("Notes_*"))
    piece = "_".join(folder.split("_")[:2])
    parts = []
    for number, instrument in enumerate(_instruments(folder), start=1):
        named = (file for file in files if file.startswith(f"{folder}/Notes_{number}_"))
        parts.append(next(named, f"{folder}/Notes_{number}_{instrument}_{piece}.txt"))
    for file in files:
        if file not in parts:
            report(file, "is of no part, or of one that has another file; left out")
    return parts


def _read_part(source: Path, file: str, instrument: str) -> np.ndarray:
    rows = [line.split() for line in read_text(source, file).splitlines() if line.strip()]
    if not rows:
        raise DataError(f"{file}: holds no note; unpack the release again")
    onset, hertz, duration = parse_numbers(rows, 3, file).T
    try:
        program = urmp_instrument_to_program(instrument)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    if not (hertz > 0).all():
        raise DataError(f"{file}: a pitch is {hertz.min()} Hz; all must be positive")
    pitch = np.rint(69 + 12 * np.log2(hertz / 440))
    return make_notes(onset, onset + duration, pitch, program=program)
