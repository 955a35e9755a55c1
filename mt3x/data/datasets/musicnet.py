"""MusicNet: 330 recordings of classical chamber music and piano; and its labels refined as MusicNetEM.

On disk: `{train,test}_data/ID.wav` and `{train,test}_labels/ID.csv`, whose times count samples at 44.1 kHz;
for MusicNetEM also `musicnet_em/ID.mid`, the contents of musicnet_em.zip.

The split is MT3's, whatever folder the release puts a recording in.

The column `instrument` counts General MIDI programs from 1: its values, `INSTRUMENTS`, are then the eleven
instruments that the paper lists; from 0 there would be no grand piano, and horn, oboe and flute would be a
brass section, an English horn and a recorder. MusicNetEM agrees, whose MIDI files count from 0: they say 42
in the cello suites, 73 in the flute partita, and 60, 68, 70, 71, 73 in the wind quintets. They say 42 for
double basses too, and 45 for what is played pizzicato; that is kept. Up to half of a file's notes last past
the next of their pitch, and are cut there.

Source: Thickstun et al. 2017, arXiv 1611.09827; Maman and Bermano 2022, arXiv 2204.13668; the split from MT3,
arXiv 2111.03017, appendix.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mt3x.data.datasets.reading import (
    check_folder,
    has_all,
    parse_numbers,
    read_midi_notes,
    read_mix,
    read_table,
)
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.music.notes import make_notes

NUM_RECORDINGS = 330
LABEL_RATE = 44100
"""Of the times in labels, in Hz."""

INSTRUMENTS = (1, 7, 41, 42, 43, 44, 61, 69, 71, 72, 74)
"""Piano, harpsichord, violin, viola, cello, bass, horn, oboe, bassoon, clarinet, flute."""

# fmt: off
VALIDATION_IDS = frozenset(
    {1733, 1765, 1790, 1818, 2160, 2198, 2289, 2300, 2308, 2315, 2336, 2466, 2477, 2504, 2611}
)
TEST_IDS = frozenset(
    {1729, 1776, 1813, 1893, 2118, 2186, 2296, 2431, 2432, 2487, 2497, 2501, 2507, 2537, 2621}
)
# fmt: on

_COLUMNS = ("start_time", "end_time", "instrument", "note")


@dataclasses.dataclass(frozen=True)
class MusicNet:
    """The recordings with the release's own labels."""

    name = "musicnet"
    splits = ("train", "validation", "test")

    def items(self, source: Path, report: Report) -> list[Item]:
        return _find_items(source, "*_labels/*.csv", report)

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        audio_file, notes_file = item.files
        return read_mix(source, item, audio_file, _read_labels(source, notes_file), notes_file, report)


@dataclasses.dataclass(frozen=True)
class MusicNetEm:
    """The recordings with MusicNetEM's notes; seven recordings have none: see the report."""

    name = "musicnet_em"
    splits = ("train", "validation", "test")

    def items(self, source: Path, report: Report) -> list[Item]:
        return _find_items(source, "musicnet_em/*.mid", report)

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        audio_file, notes_file = item.files
        notes = read_midi_notes(source, notes_file, report)
        return read_mix(source, item, audio_file, notes, notes_file, report)


def _find_items(source: Path, labels_pattern: str, report: Report) -> list[Item]:
    audio = _find_by_id(source, "*_data/*.wav", report)
    labels = _find_by_id(source, labels_pattern, report)
    ids = sorted(audio | labels)
    if len(ids) != NUM_RECORDINGS:
        report(".", f"{len(ids)} recordings are here; the release has {NUM_RECORDINGS}")
    items = []
    for id_ in ids:
        split = "validation" if id_ in VALIDATION_IDS else "test" if id_ in TEST_IDS else "train"
        files = (audio.get(id_, f"{id_}.wav"), labels.get(id_, f"{id_}{Path(labels_pattern).suffix}"))
        if has_all(source, files, report):
            items.append(Item(str(id_), split, files))
    return items


def _find_by_id(source: Path, pattern: str, report: Report) -> dict[int, str]:
    check_folder(source, pattern)
    found: dict[int, str] = {}
    for path in sorted(source.glob(pattern)):
        file = path.relative_to(source).as_posix()
        if not path.stem.isdecimal():
            report(file, "is not named by the number of a recording; left out")
        elif (id_ := int(path.stem)) in found:
            report(file, f"is of the same recording as {found[id_]}; left out")
        else:
            found[id_] = file
    return found


def _read_labels(source: Path, file: str) -> np.ndarray:
    rows = [[row[column] for column in _COLUMNS] for row in read_table(source, file, _COLUMNS)]
    start, end, instrument, pitch = parse_numbers(rows, len(_COLUMNS), file).T
    unknown = sorted(set(instrument.tolist()) - set(INSTRUMENTS))
    if unknown:
        raise DataError(f"{file}: has unknown instruments {unknown}; MusicNet has {INSTRUMENTS}")
    return make_notes(start / LABEL_RATE, end / LABEL_RATE, pitch, program=instrument - 1)
