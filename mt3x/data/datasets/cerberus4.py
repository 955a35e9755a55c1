"""Cerberus4: every quartet of piano, guitar, bass and drums in a song of Slakh2100, as an example of its own.

An instrument is named by the General MIDI class of a stem, and one program stands for each.

Source: Manilow et al. 2020, "Simultaneous Separation and Transcription of Mixtures with Multiple Polyphonic
and Percussive Instruments"; arXiv 2111.03017, section 4.1; MT3 `datasets.py`, `CERBERUS4_CONFIG`.
"""

import dataclasses
import itertools
from pathlib import Path

from mt3x.data.datasets.slakh_track import SPLITS, Instrument, list_stems, list_tracks, read_stems
from mt3x.data.records.recordings import DataError, Item, Recording, Report

QUARTET = {
    "Bass": Instrument("bass", 32, False),
    "Drums": Instrument("drums", 0, True),
    "Guitar": Instrument("guitar", 24, False),
    "Piano": Instrument("piano", 0, False),
}
"""By `inst_class` of the release's metadata."""


@dataclasses.dataclass(frozen=True)
class Cerberus4:
    """Cerberus4, from the folder of Slakh2100, redux or original."""

    name = "cerberus4"
    splits = SPLITS

    def items(self, source: Path, report: Report) -> list[Item]:
        """The tracks of Slakh2100 that hold a quartet; their metadata are read.

        Raises:
          DataError: this is not the release's folder.
        """
        found = []
        for item in list_tracks(source, report):
            try:
                stems = list_stems(source, item.files[0], lambda *_: None)  # `read` reports
            except DataError as error:
                report(item.files[0], str(error))
                continue
            if {stem.inst_class for stem in stems} >= QUARTET.keys():
                found.append(item)
        return found

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        """The stems of the four classes; each mix is a quartet.

        Raises:
          DataError: a file is missing or damaged.
        """
        (file,) = item.files
        stems = [stem for stem in list_stems(source, file, report) if stem.inst_class in QUARTET]
        choices = [[i for i, stem in enumerate(stems) if stem.inst_class == name] for name in QUARTET]
        instruments = [(stem, QUARTET[stem.inst_class]) for stem in stems]
        return Recording(
            item.id,
            item.split,
            read_stems(source, file, instruments, report),
            tuple(itertools.product(*choices)),
        )
