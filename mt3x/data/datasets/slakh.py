"""Slakh2100: songs that were rendered from MIDI, stem by stem (Zenodo 4599666; CC BY 4.0).

An example is a sum of stems. In training each song gives ten, of at least four stems, chosen at random;
elsewhere each gives one, of all stems. MT3 reads the `mix` of its records, which is such a sum. For all stems
`mix.flac` would be the same up to rounding, but it also holds the stems that are left out here.

An instrument is one of the 34 classes in which the release was rendered, or drums. What its metadata call
`inst_class` is coarser (the General MIDI class), so the program decides between the classes of one.

Deviation from MT3: none of a song's subsets is drawn twice, so that a song of five stems has six, not ten.

Source: arXiv 2111.03017, appendix; MT3 `preprocessors.py`, `tokenize_slakh_example`.
"""

import dataclasses
import math
import random
from collections.abc import Collection, Mapping
from pathlib import Path

from mt3x.data.datasets.slakh_track import (
    SPLITS,
    Instrument,
    TrackStem,
    list_stems,
    list_tracks,
    read_stems,
)
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.music.instruments import slakh_class_to_program_and_is_drum

MIXES_PER_SONG = 10
FEWEST_STEMS = 4

CLASSES: Mapping[str, Mapping[str, Collection[int]]] = {
    "Piano": {"Acoustic Piano": (0, 1, 3, 6), "Electric Piano": (2, 4, 5, 7)},
    "Chromatic Percussion": {"Chromatic Percussion": range(8, 16)},
    "Organ": {"Organ": range(16, 24)},
    "Guitar": {
        "Acoustic Guitar": (24, 25),
        "Clean Electric Guitar": (26, 27, 28, 31),
        "Distorted Electric Guitar": (29, 30),
    },
    "Bass": {"Acoustic Bass": (32,), "Electric Bass": range(33, 38)},
    "Strings": {
        "Violin": (40,),
        "Viola": (41,),
        "Cello": (42,),
        "Contrabass": (43,),
        "String Ensemble": (44, 45),
        "Orchestral Harp": (46,),
        "Timpani": (47,),
    },
    "Strings (continued)": {
        "String Ensemble": (48, 49),
        "Synth Strings": (50, 51),
        "Choir and Voice": (52, 53, 54),
        "Orchestral Hit": (55,),
    },
    "Brass": {
        "Trumpet": (56, 59),
        "Trombone": (57,),
        "Tuba": (58,),
        "French Horn": (60,),
        "Brass Section": (61,),
    },
    "Reed": {
        "Soprano/Alto Sax": (64, 65),
        "Tenor Sax": (66,),
        "Baritone Sax": (67,),
        "Oboe": (68,),
        "English Horn": (69,),
        "Bassoon": (70,),
        "Clarinet": (71,),
    },
    "Pipe": {"Pipe": range(72, 80)},
    "Synth Lead": {"Synth Lead": range(80, 88)},
    "Synth Pad": {"Synth Pad": range(88, 96)},
    "Drums": {"Drums": (128,)},
}
"""Class by `inst_class` and `program_num`: what the release was rendered with (slakh-generation,
instr_defs_metadata/komplete_strict.json, counted from 0). Other programs were not rendered."""


@dataclasses.dataclass(frozen=True)
class Slakh:
    """Slakh2100, redux or original."""

    name = "slakh"
    splits = SPLITS

    def items(self, source: Path, report: Report) -> list[Item]:
        """All tracks of the three splits.

        Raises:
          DataError: this is not the release's folder.
        """
        return list_tracks(source, report)

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        """A song, its stems named by their classes.

        Raises:
          DataError: a file is missing or damaged, or a song has too few stems.
        """
        (file,) = item.files
        instruments = []
        for stem in list_stems(source, file, report):
            if slakh_class := _slakh_class(stem):
                program, is_drum = slakh_class_to_program_and_is_drum(slakh_class)
                instruments.append((stem, Instrument(slakh_class, program, is_drum)))
            else:
                found = f"inst_class {stem.inst_class!r} and program {stem.program_num}"
                report(file, f"stem {stem.name} has {found}, which are in no class of the release: left out")
        every_stem = tuple(range(len(instruments)))
        if item.split != "train":
            mixes = (every_stem,)
        elif len(instruments) >= FEWEST_STEMS:
            mixes = random_subsets(len(instruments), item.id)
        else:
            raise DataError(
                f"{file}: {len(instruments)} stems can be used; a training song needs {FEWEST_STEMS}: "
                "leave it out, or move it to another split"
            )
        return Recording(item.id, item.split, read_stems(source, file, instruments, report), mixes)


def random_subsets(num_stems: int, seed: str) -> tuple[tuple[int, ...], ...]:
    """`MIXES_PER_SONG` different sets of at least `FEWEST_STEMS` stems, or all where there are fewer.

    Every number of stems is as likely, so that some training examples are as dense as a whole song; MT3 does
    not say how its subsets were drawn. The same seed always draws the same.
    """
    sizes = range(FEWEST_STEMS, num_stems + 1)
    wanted = min(MIXES_PER_SONG, sum(math.comb(num_stems, size) for size in sizes))
    draw = random.Random(seed)
    subsets: dict[tuple[int, ...], None] = {}  # in the order drawn
    while len(subsets) < wanted:
        subsets[tuple(sorted(draw.sample(range(num_stems), draw.choice(sizes))))] = None
    return tuple(subsets)


def _slakh_class(stem: TrackStem) -> str | None:
    for name, programs in CLASSES.get(stem.inst_class, {}).items():
        if stem.program_num in programs:
            return name
    return None
