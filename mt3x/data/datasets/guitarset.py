"""GuitarSet: acoustic guitar, each excerpt heard by a microphone and by a pickup under each string.

On disk: the contents of annotation.zip, audio_mono-mic.zip and audio_mono-pickup_mix.zip, each in a folder of
the archive's name; for each of 360 excerpts `annotation/PP_StyleN-tempo-Key_{comp,solo}.jams`,
`audio_mono-mic/*_mic.wav` and `audio_mono-pickup_mix/*_mix.wav`. PP is the player, N the chord progression.

Notes are those of all six strings. Where two strings sound one pitch at a time, the later note ends the
earlier, since tokens cannot tell strings apart.

Source: Xi et al. 2018 (ISMIR); the split by progression is MT3's, arXiv 2111.03017, appendix.
"""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np

from mt3x.data.datasets.reading import check_folder, has_all, parse_numbers, read_mix, read_text
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.music.notes import make_notes

NUM_EXCERPTS = 360
PROGRAM = 24
"""As in MT3: acoustic guitar (nylon), the first of the guitars."""

SPLIT_OF_PROGRESSION = {"1": "train", "2": "train", "3": "validation"}
AUDIO = {"mic": "audio_mono-mic", "mix": "audio_mono-pickup_mix"}
"""The ending of the files' names, and their folder."""

_NAME = re.compile(r"\d\d_[A-Za-z]+([123])-\d+-[A-G][b#]?_(comp|solo)")


@dataclasses.dataclass(frozen=True)
class GuitarSet:
    """Each excerpt twice, as the microphone and as the pickups heard it; a JAMS file holds the notes."""

    name = "guitarset"
    splits = ("train", "validation")

    def items(self, source: Path, report: Report) -> list[Item]:
        check_folder(source, "annotation/*.jams")
        excerpts = {path.stem for path in source.glob("annotation/*.jams")}
        for ending, folder in AUDIO.items():
            audio = source.glob(f"{folder}/*_{ending}.wav")
            excerpts |= {path.stem.removesuffix(f"_{ending}") for path in audio}
        if len(excerpts) != NUM_EXCERPTS:
            report("annotation", f"{len(excerpts)} excerpts are here; the release has {NUM_EXCERPTS}")
        items = []
        for excerpt in sorted(excerpts):
            notes_file = f"annotation/{excerpt}.jams"
            match = _NAME.fullmatch(excerpt)
            if not match:
                report(notes_file, "is not named PP_StyleN-tempo-Key_comp or _solo, N 1 to 3; left out")
                continue
            for ending, folder in AUDIO.items():
                files = (f"{folder}/{excerpt}_{ending}.wav", notes_file)
                if has_all(source, files, report):
                    items.append(Item(f"{excerpt}_{ending}", SPLIT_OF_PROGRESSION[match[1]], files))
        return items

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        audio_file, notes_file = item.files
        return read_mix(source, item, audio_file, _read_notes(source, notes_file), notes_file, report)


def _read_notes(source: Path, file: str) -> np.ndarray:
    text = read_text(source, file)
    try:
        annotations = json.loads(text)["annotations"]
        strings = [each["data"] for each in annotations if each["namespace"] == "note_midi"]
        rows = [(note["time"], note["duration"], note["value"]) for data in strings for note in data]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: is no JAMS file of notes ({error!r}); copy it again") from error
    if not strings:
        raise DataError(f"{file}: holds no annotation note_midi; take the JAMS files of annotation.zip")
    onset, duration, pitch = parse_numbers(rows, 3, file).T
    return make_notes(onset, onset + duration, np.rint(pitch), program=PROGRAM)
