"""Anyone's recordings with their notes: pairs of an audio and a MIDI file of the same name.

`song.wav` and `song.mid` in one folder, at any depth below the source, are one item. Where there are folders
`train`, `validation` or `test` directly below the source, they are the splits, and files outside them are
reported. Otherwise about one pair in ten, chosen by a hash of its name, is for validation, and the rest for
training: a pair stays in its split whatever is added or removed.

Programs are those of the MIDI file, channel 10 is drums, the sustain pedal lengthens notes. MIDI that goes on
after the audio ends is reported and cut there.
"""

import dataclasses
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mt3x.audio.formats import AUDIO_SUFFIXES, KINDS
from mt3x.data.datasets.reading import read_midi_notes, read_mix
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.music.midi import MIDI_SUFFIXES

SPLITS = ("train", "validation", "test")
VALIDATION_ONE_IN = 10


@dataclasses.dataclass(frozen=True)
class MidiFolder:
    """The reader of such a folder; see this file's first lines."""

    name = "midi_folder"
    splits = SPLITS

    def items(self, source: Path, report: Report) -> list[Item]:
        """A pair is an item, in the order of names; files without a partner are reported.

        Raises:
          DataError: there is no such folder, or no pair in it.
        """
        if not source.is_dir():
            raise DataError(f"{source}: is no folder; give the one with your recordings and MIDI files")
        has_split_folders = any((source / split).is_dir() for split in SPLITS)
        files = _files_by_name(source)
        if not has_split_folders:
            _report_deeper_splits(files, report)
        items = []
        for name, (audio, midi) in sorted(files.items()):
            split = name.split("/")[0] if has_split_folders else _split_by_name(name)
            if len(audio) != 1 or len(midi) != 1:
                _report_unpaired(audio, midi, report)
            elif split not in SPLITS:
                report(audio[0], f"lies beside {', '.join(SPLITS)}, not in one of them; the pair is left out")
            else:
                items.append(Item(name, split, (audio[0], midi[0])))
        if not items:
            raise DataError(
                f"{source}: holds no pair of a recording ({KINDS}) and a MIDI file "
                f"({', '.join(MIDI_SUFFIXES)}) of the same name in the same folder"
            )
        return items

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        """One stem, "mix", with all notes.

        Raises:
          DataError: a file of the pair cannot be read, or no note of it is within the recording.
        """
        audio, midi = item.files
        return read_mix(source, item, audio, read_midi_notes(source, midi, report), midi, report)


def _files_by_name(source: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Audio and MIDI files, as paths below `source`, by their path without the suffix."""
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for path in sorted(source.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in AUDIO_SUFFIXES + MIDI_SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        file = path.relative_to(source)
        name = unicodedata.normalize(
            "NFC", file.with_suffix("").as_posix()
        )  # disks spell umlauts in two ways
        found[name][suffix in MIDI_SUFFIXES].append(file.as_posix())
    return found


def _report_deeper_splits(names: Iterable[str], report: Report) -> None:
    """Tells which folders look like splits and are none."""
    folders = {folder for name in names for folder in PurePosixPath(name).parents if folder.name in SPLITS}
    for folder in sorted(folders):
        report(
            f"{folder}",
            f"is taken as no split, since it does not lie directly in the folder given; give {folder.parent} "
            "if it is one",
        )


def _report_unpaired(audio: list[str], midi: list[str], report: Report) -> None:
    if not midi:
        reason = f"has no MIDI file of the same name ({', '.join(MIDI_SUFFIXES)}); left out"
    elif not audio:
        reason = f"has no recording of the same name ({KINDS}); left out"
    else:
        reason = f"is one of several of a name, {', '.join([*audio, *midi])}; left out: keep one pair"
    for file in [*audio, *midi]:
        report(file, reason)


def _split_by_name(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return "validation" if int.from_bytes(digest[:4], "big") % VALIDATION_ONE_IN == 0 else "train"
