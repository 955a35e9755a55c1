"""Packing of sampled instruments: a folder of recordings becomes a library that `load_samples` reads.

A folder comes in one of two forms:

- with a table `MANIFEST.tsv`, whose columns file, set, program, is_drum, pitch, velocity and articulation are
  read; where `DETAILS.tsv` lies beside it, its column measured_f0_midi says at which MIDI pitch a recording
  really sounds. The recordings must be prepared: of the library's rate, each with its onset `ONSET_SECONDS`
  after its start.
- with SFZ files and a table `programs.tsv`, whose columns sfz, program and is_drum say what each is. The
  recordings may be of any rate and any number of channels, with silence before and after.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from mt3x.synthesis.sampled.instruments import (
    FULL_SCALE,
    LOUDNESS_EXPONENT,
    ONSET_SECONDS,
    RECORDING_DTYPE,
    SampleLibrary,
    save_samples,
)
from mt3x.synthesis.sampled.sfz import read_sfz

SAMPLE_RATE = 16000
MANIFEST_FILE, DETAILS_FILE, PROGRAMS_FILE = "MANIFEST.tsv", "DETAILS.tsv", "programs.tsv"

_MANIFEST_COLUMNS = ("file", "set", "program", "is_drum", "pitch", "velocity", "articulation")
_PROGRAMS_COLUMNS = ("sfz", "program", "is_drum")
_LEVELLED_DECIBELS = 3.0
"""Layers whose peaks lie so near were levelled by their maker: loudness then follows from velocity alone."""

_LEVELLED_VELOCITY = 100
_ONSET_DECIBELS = -40.0
"""A recording begins at its first sample above this, relative to its peak."""

_END_DECIBELS = -60.0
"""It ends at its last sample above this."""


@dataclass(frozen=True)
class _Source:
    """What is known of a recording before it is read.

    Attributes:
      is_prepared: whether its rate and its onset are those of the library.
      gain: factor of its loudness.
    """

    file: Path
    instrument: str
    program: int
    is_drum: bool
    pitch: int
    exact_pitch: float
    velocity: int
    articulation: str
    is_prepared: bool
    offset_samples: int = 0
    gain: float = 1.0


@dataclass(frozen=True)
class SamplePackReport:
    """What `pack_samples` wrote: instruments, recordings, and bytes of audio."""

    instruments: int
    recordings: int
    bytes: int


def pack_samples(folder: str | Path, output: str | Path, sample_rate: int = SAMPLE_RATE) -> SamplePackReport:
    """Reads a folder of instruments and writes a packed library into a new folder.

    Raises:
      ValueError: a table is missing, lacks a column, has a malformed row or names no recording; an SFZ file
        has no row or no region; a recording cannot be read, is silent or, if it must be prepared, has another
        rate.
    """
    folder = Path(folder)
    if (folder / MANIFEST_FILE).is_file():
        sources = _read_manifest(folder)
    elif any(folder.rglob("*.sfz")):
        sources = _read_programs(folder)
    else:
        raise ValueError(
            f"{folder} holds neither {MANIFEST_FILE} nor an .sfz file; give a folder of instruments"
        )
    library = _pack(sources, sample_rate)
    save_samples(library, output)
    return SamplePackReport(len(library.instruments), len(library.recordings), library.samples.nbytes)


def _pack(sources: Sequence[_Source], sample_rate: int) -> SampleLibrary:
    """Reads the recordings, each once, though several keys or programs may share it."""
    instruments = sorted({source.instrument for source in sources})
    articulations = sorted({source.articulation for source in sources})
    recordings = np.zeros(len(sources), RECORDING_DTYPE)
    pieces: list[np.ndarray] = []
    places: dict[tuple[Path, int], tuple[int, int, float]] = {}
    size = 0
    for recording, source in zip(recordings, sources, strict=True):
        identity = source.file, source.offset_samples
        if identity not in places:
            samples = _read_recording(source, sample_rate)
            peak = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
            pieces.append(np.rint(samples * (FULL_SCALE / peak)).astype(np.int16))
            places[identity] = size, len(samples), peak
            size += len(samples)
        first, count, peak = places[identity]
        recording["first"], recording["count"], recording["gain"] = first, count, peak * source.gain
        recording["instrument"] = instruments.index(source.instrument)
        recording["articulation"] = articulations.index(source.articulation)
        for name in ("program", "is_drum", "pitch", "exact_pitch", "velocity"):
            recording[name] = getattr(source, name)
    _settle_loudness(recordings)
    return SampleLibrary(
        np.concatenate(pieces), recordings, tuple(instruments), tuple(articulations), sample_rate
    )


def _settle_loudness(recordings: np.ndarray) -> None:
    """Where layers were levelled, lets loudness follow from velocity; else each layer keeps its own."""
    for number in np.unique(recordings["instrument"]):
        mine = recordings["instrument"] == number
        velocity, gain = recordings["velocity"][mine], recordings["gain"][mine]
        soft, loud = velocity == velocity.min(), velocity == velocity.max()
        decibels = 20 * np.log10(gain[loud].mean() / gain[soft].mean())
        if velocity.max() > velocity.min() and decibels < _LEVELLED_DECIBELS:
            recordings["gain"][mine] = gain * (velocity / _LEVELLED_VELOCITY) ** LOUDNESS_EXPONENT


def _read_recording(source: _Source, sample_rate: int) -> np.ndarray:
    """float32 [N], mono, at the library's rate, its onset `ONSET_SECONDS` after its start."""
    try:
        samples, rate = soundfile.read(source.file, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{source.file} cannot be read ({error}); give a recording") from error
    mono = samples.mean(axis=1)
    if source.is_prepared:
        if rate != sample_rate:
            raise ValueError(f"{source.file} has {rate} samples a second; it must have {sample_rate}")
        return mono
    mono = mono[source.offset_samples :]
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate)
    level = np.abs(mono)
    peak = float(level.max(initial=0.0))
    if peak < 1e-6:
        raise ValueError(f"{source.file} is silent; leave out its regions")
    onset = int(np.argmax(level > peak * 10 ** (_ONSET_DECIBELS / 20)))
    end = len(level) - int(np.argmax(level[::-1] > peak * 10 ** (_END_DECIBELS / 20)))
    lead = round(ONSET_SECONDS * sample_rate)
    return np.pad(mono[max(onset - lead, 0) : end], (max(lead - onset, 0), 0))


def _read_manifest(folder: Path) -> list[_Source]:
    path = folder / MANIFEST_FILE
    measured = _measured_pitches(folder / DETAILS_FILE)
    sources = []
    for row in _read_table(path, _MANIFEST_COLUMNS):
        program, is_drum = _program(path, row)
        pitch = _number(path, row, "pitch", 0, 127)
        sources.append(
            _Source(
                file=folder / row["file"],
                instrument=row["set"],
                program=program,
                is_drum=is_drum,
                pitch=pitch,
                exact_pitch=measured.get(row["file"], float(pitch)),
                velocity=_number(path, row, "velocity", 0, 127),
                articulation=row["articulation"],
                is_prepared=True,
            )
        )
    return sources


def _read_programs(folder: Path) -> list[_Source]:
    """Recordings of SFZ files, as the user's table names them."""
    path = folder / PROGRAMS_FILE
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; SFZ files do not say which instrument they are: write a table with the "
            f"columns {', '.join(_PROGRAMS_COLUMNS)} (a file, its General MIDI program, 1 for drums, else 0)"
        )
    rows = _read_table(path, _PROGRAMS_COLUMNS)
    named = {Path(row["sfz"]) for row in rows}
    for file in sorted(file.relative_to(folder) for file in folder.glob("*.sfz")):
        if file not in named:
            raise ValueError(
                f"{path} has no row for {file}; add one, or put what others include into a folder"
            )
    sources = []
    for row in rows:
        program, is_drum = _program(path, row)
        sources += _sfz_sources(folder / row["sfz"], Path(row["sfz"]), program, is_drum)
    return sources


def _sfz_sources(path: Path, name: Path, program: int, is_drum: bool) -> list[_Source]:
    """A drum for each of its keys, other regions once, at the pitch at which they were recorded."""
    sources = []
    for region in read_sfz(path):
        pitch = min(max(round(region.exact_pitch), 0), 127)
        sources += [
            _Source(
                file=region.file,
                instrument=name.with_suffix("").as_posix(),
                program=program,
                is_drum=is_drum,
                pitch=key,
                exact_pitch=float(key) if is_drum else region.exact_pitch,
                velocity=region.velocity,
                articulation=region.articulation,
                is_prepared=False,
                offset_samples=region.offset_samples,
                gain=10 ** (region.volume_decibels / 20),
            )
            for key in (range(region.lokey, region.hikey + 1) if is_drum else [pitch])
        ]
    if not sources:
        raise ValueError(f"{path} has no region that a key plays; give an SFZ file with recordings")
    return sources


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows:
        raise ValueError(f"{path} names no recording; add a row for each")
    if missing := [name for name in columns if name not in rows[0]]:
        raise ValueError(f"{path} lacks the column {missing[0]}; it needs {', '.join(columns)}")
    for number, row in enumerate(rows, 2):
        if empty := [name for name in columns if not row[name]]:
            raise ValueError(f"line {number} of {path} has no {empty[0]}; fill it in")
    return rows


def _program(path: Path, row: dict[str, str]) -> tuple[int, bool]:
    """A row's program and whether it is a drum kit, whose program has no meaning and may be -1."""
    is_drum = bool(_number(path, row, "is_drum", 0, 1))
    program = _number(path, row, "program", -1 if is_drum else 0, 127)
    return max(program, 0), is_drum


def _number(path: Path, row: dict[str, str], name: str, low: int, high: int) -> int:
    try:
        value = int(row[name])
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{path} has {name} {row[name]!r}; it must be a whole number within {low}..{high}")
    return value


def _measured_pitches(path: Path) -> dict[str, float]:
    """By file, where the table has a measured MIDI pitch."""
    if not path.is_file():
        return {}
    found = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            try:
                found[row["file"]] = float(row.get("measured_f0_midi") or "nan")
            except ValueError:  # a drum's has words
                continue
    return {name: pitch for name, pitch in found.items() if np.isfinite(pitch)}
