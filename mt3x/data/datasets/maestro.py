"""MAESTRO: piano performances, recorded together with the keys' and pedals' movements.

On disk: `maestro-vN.0.0.csv` and, as it says, `<year>/*.midi` and `<year>/*.wav`. Notes last as long as keys
or the sustain pedal hold them, as in MT3.

Source: Hawthorne et al. 2019, arXiv 1810.12247.
"""

import dataclasses
from pathlib import Path

from mt3x.data.datasets.reading import check_folder, has_all, read_midi_notes, read_mix, read_table
from mt3x.data.records.recordings import Item, Recording, Report

VERSIONS = (1, 3)
PROGRAM = 0


@dataclasses.dataclass(frozen=True)
class Maestro:
    """Version 1 (1,184 performances) or 3 (1,276), split as its table says."""

    version: int = 3
    splits = ("train", "validation", "test")

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"MAESTRO of version {self.version} is not known; versions are {VERSIONS}")

    @property
    def name(self) -> str:
        return f"maestrov{self.version}"

    def items(self, source: Path, report: Report) -> list[Item]:
        table = f"maestro-v{self.version}.0.0.csv"
        check_folder(source, table)
        items = []
        for row in read_table(source, table, ("split", "midi_filename", "audio_filename")):
            files = (row["audio_filename"], row["midi_filename"])
            if row["split"] not in self.splits:
                report(table, f"the split of {files[1]} is {row['split']!r}, none of {self.splits}: left out")
            elif has_all(source, files, report):
                items.append(Item(files[1].removesuffix(".midi"), row["split"], files))
        return items

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        audio_file, midi_file = item.files
        notes = read_midi_notes(source, midi_file, report)
        notes["program"] = PROGRAM
        return read_mix(source, item, audio_file, notes, midi_file, report)
