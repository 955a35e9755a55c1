"""One track of the Slakh2100 release: which stems can be heard, and each one's audio and notes.

    SPLIT/TrackXXXXX/{metadata.yaml, MIDI/SXX.mid, stems/SXX.flac, mix.flac, all_src.mid}

The redux release and the original differ only in the folders that tracks lie in: redux has some in `omitted`,
which is never read. Notes come from `MIDI`, from which the stems were rendered. `all_src.mid` is the song
before that; `mix.flac` is the sum of all stems and so adds nothing.

Source: Manilow et al. 2019, "Cutting Music Source Separation Some Slakh"; the program that rendered the
release, github.com/ethman/slakh-generation.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from mt3x.data.datasets.reading import check_folder, clean_notes, has_all, read_audio, read_midi_notes
from mt3x.data.records.recordings import DataError, Item, Report, Stem

SPLITS = ("train", "validation", "test")

BASS_CLASS = "Bass"
BASS_SHIFT = 12
"""Semitones that `MIDI/SXX.mid` lies above what sounds, for every stem of `BASS_CLASS`: the samplers read it
so (slakh-generation, midi_rules/pitch.json)."""
BASS_PLUGINS_AT_PITCH = frozenset({"scarbee_jay_bass_slap_both.nkm"})
"""The basses that sound as `MIDI/SXX.mid` says (Chang et al. 2024, YourMT3+: its reading of Slakh2100)."""


@dataclasses.dataclass(frozen=True)
class TrackStem:
    """What metadata.yaml says of a stem that can be heard.

    Attributes:
      name: of its files, such as "S03".
      inst_class: the General MIDI class of its program, or "Drums".
      program_num: its General MIDI program; 128 for drums.
      plugin_name: the sampler's patch.
    """

    name: str
    inst_class: str
    program_num: int
    plugin_name: str


@dataclasses.dataclass(frozen=True)
class Instrument:
    """What a data set calls a stem: its name, and its notes' program and drum flag."""

    name: str
    program: int
    is_drum: bool


def list_tracks(source: Path, report: Report) -> list[Item]:
    """All tracks of the three splits, in order; an item's one file is its metadata.yaml.

    Raises:
      DataError: this is not the release's folder.
    """
    check_folder(source, "*/Track*/metadata.yaml")
    items = [
        Item(folder.name, split, (f"{split}/{folder.name}/metadata.yaml",))
        for split in SPLITS
        for folder in sorted((source / split).glob("Track*"))
    ]
    if not items:
        raise DataError(f"{source}: holds none of the folders {', '.join(SPLITS)}; give the folder that does")
    return [item for item in items if has_all(source, item.files, report)]


def list_stems(source: Path, file: str, report: Report) -> list[TrackStem]:
    """The stems of a metadata.yaml that can be heard and have notes.

    A stem of whose class the release has no patch was neither rendered nor saved: that is left out without
    a word. Where only one of the two is missing, that is reported.

    Raises:
      DataError: the file is missing, or not what the release has.
      ImportError: PyYAML is not installed.
    """
    stems = []
    for name, fields in _read_metadata(source, file).items():
        try:
            is_rendered, is_saved = fields["audio_rendered"], fields["midi_saved"]
            stem = TrackStem(
                name, str(fields["inst_class"]), int(fields["program_num"]), str(fields["plugin_name"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file}: stem {name} lacks a field ({error!r}); unpack it again") from error
        if is_rendered and is_saved:
            stems.append(stem)
        elif is_rendered or is_saved:
            has, lacks = ("audio", "MIDI") if is_rendered else ("MIDI", "audio")
            report(file, f"stem {name} ({stem.inst_class}) has {has} but no {lacks}: left out")
    return stems


def read_stems(
    source: Path, file: str, instruments: Sequence[tuple[TrackStem, Instrument]], report: Report
) -> tuple[Stem, ...]:
    """Audio and notes of some stems of a track, all as long as the longest.

    Raises:
      DataError: there are none, or a file is missing or damaged.
    """
    folder = PurePosixPath(file).parent
    if not instruments:
        raise DataError(f"{file}: no stem can be used; leave the track out")
    audio = [read_audio(source, f"{folder}/stems/{stem.name}.flac", report) for stem, _ in instruments]
    num_samples = max(map(len, audio))
    stems = []
    for (stem, instrument), samples in zip(instruments, audio, strict=True):
        midi_file = f"{folder}/MIDI/{stem.name}.mid"
        notes = read_midi_notes(source, midi_file, report)
        notes["program"], notes["is_drum"] = instrument.program, instrument.is_drum
        if stem.inst_class == BASS_CLASS and stem.plugin_name not in BASS_PLUGINS_AT_PITCH:
            notes = _lower_bass(notes, midi_file, report)
        notes = clean_notes(notes, num_samples, midi_file, report)
        stems.append(Stem(instrument.name, np.pad(samples, (0, num_samples - len(samples))), notes))
    return tuple(stems)


def _lower_bass(notes: np.ndarray, midi_file: str, report: Report) -> np.ndarray:
    """The notes as they sound, `BASS_SHIFT` lower, without those that MIDI has no pitch for."""
    kept = notes[notes["pitch"] >= BASS_SHIFT]
    kept["pitch"] -= BASS_SHIFT
    if lost := len(notes) - len(kept):
        report(midi_file, f"{lost} of {len(notes)} bass notes would sound below pitch 0: left out")
    return kept


def _read_metadata(source: Path, file: str) -> dict:
    """The stems' fields by stem name."""
    try:
        import yaml
    except ImportError as error:
        raise ImportError("Slakh2100's metadata need PyYAML: pip install 'mt3x[train]'") from error
    try:
        metadata = yaml.load((source / file).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file}: cannot be read ({reason}); unpack it again") from error
    stems = metadata.get("stems") if isinstance(metadata, dict) else None
    if not isinstance(stems, dict):
        raise DataError(f"{file}: lists no stems; unpack it again")
    return stems
