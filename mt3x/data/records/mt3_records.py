"""MT3's own TFRecord files: what each data set's examples hold, and what is read from them.

Five layouts serve seven data sets: "maestro" (v1 and v3), "guitarset", "urmp", "musicnet" (and MusicNetEM)
and "multitrack" (Slakh and Cerberus4). Notes are NoteSequences, with the sustain pedal as control changes;
audio is a WAV file, or numbers with their sample rate. The files hold more than is read: stems, velocity
ranges, plugin names.

Source: MT3 `datasets.py` (features) and `preprocessors.py` (which program a track gets). Deviations: a track
of Cerberus4 is known by its name, not by its place; pitch bends are ignored everywhere (MT3: in Slakh and
Cerberus4; in URMP, which has none, it would fail).
"""

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mt3x.audio.arrays import from_array
from mt3x.data.records.array_records import Example
from mt3x.data.records.recordings import SAMPLE_RATE, DataError
from mt3x.music.instruments import (
    DRUMS_NAME,
    SLAKH_CLASSES,
    slakh_class_to_program_and_is_drum,
    urmp_instrument_to_program,
)
from mt3x.music.notes import empty_notes, sort_notes
from mt3x.music.noteseq import from_note_sequence, to_note_sequence

GUITAR_PROGRAM = 24

CERBERUS4_TRACKS: Mapping[str, tuple[int, bool]] = {
    "bass": (32, False),
    "drums": (0, True),
    "guitar": (24, False),
    "piano": (0, False),
}
"""Program and whether it is drums, by name of the track."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one kind of example is read.

    Attributes:
      fields: names of the features that are read, and their type: "string", "float32" or "int64", with "[]"
        behind it where there are several values.
      read_notes, read_samples: from the features' values.
      id_field: the feature that names the recording.
    """

    fields: Mapping[str, str]
    read_notes: Callable[[Mapping[str, Any]], np.ndarray]
    read_samples: Callable[[Mapping[str, Any]], np.ndarray]
    id_field: str = "id"


def parse_fields(layout: str, values: Mapping[str, Any]) -> Example:
    """An example from the values of its features, as NumPy gives them (bytes, numbers, arrays).

    Raises:
      DataError: notes, audio or instruments cannot be used; names the recording.
      ValueError: there is no such layout.
    """
    reader = find_layout(layout)
    name = values[reader.id_field].decode()
    try:
        return Example(name, reader.read_samples(values), reader.read_notes(values))
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{name}: {error}") from error


def feature_description(layout: str) -> dict[str, Any]:
    """What `tf.io.parse_single_example` needs to parse the features that are read."""
    import tensorflow as tf  # pyright: ignore[reportMissingImports]

    def feature(kind: str) -> Any:
        if kind.endswith("[]"):
            return tf.io.FixedLenSequenceFeature([], tf.as_dtype(kind[:-2]), allow_missing=True)
        return tf.io.FixedLenFeature([], tf.as_dtype(kind))

    return {name: feature(kind) for name, kind in find_layout(layout).fields.items()}


def find_layout(name: str) -> Layout:
    """A layout by name.

    Raises:
      ValueError: there is no such layout.
    """
    if name not in LAYOUTS:
        raise ValueError(f"unknown layout {name!r}; known are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _read_sequence(data: bytes) -> np.ndarray:
    sequence = to_note_sequence(empty_notes())
    sequence.ParseFromString(data)
    return from_note_sequence(sequence)


def _read_own_programs(values: Mapping[str, Any]) -> np.ndarray:
    return _read_sequence(values["sequence"])


def _read_guitar(values: Mapping[str, Any]) -> np.ndarray:
    return _join_tracks([values["sequence"]], [(GUITAR_PROGRAM, False)])


def _read_urmp(values: Mapping[str, Any]) -> np.ndarray:
    programs = [(urmp_instrument_to_program(name.decode()), False) for name in values["inst_names"]]
    return _join_tracks(values["instrument_sequences"], programs)


def _read_multitrack(values: Mapping[str, Any]) -> np.ndarray:
    programs = [_program_and_is_drum(name.decode()) for name in values["inst_names"]]
    return _join_tracks(values["note_sequences"], programs)


def _program_and_is_drum(name: str) -> tuple[int, bool]:
    if name in CERBERUS4_TRACKS:
        return CERBERUS4_TRACKS[name]
    if name != DRUMS_NAME and name not in SLAKH_CLASSES:
        raise ValueError(
            f"unknown instrument {name!r}; known are the classes of Slakh and {', '.join(CERBERUS4_TRACKS)}"
        )
    return slakh_class_to_program_and_is_drum(name)


def _join_tracks(tracks: Sequence[bytes], programs: Sequence[tuple[int, bool]]) -> np.ndarray:
    if len(tracks) != len(programs):
        raise ValueError(f"there are {len(tracks)} tracks but {len(programs)} instrument names")
    joined = [empty_notes()]
    for track, (program, is_drum) in zip(tracks, programs, strict=True):
        notes = _read_sequence(track)
        notes["program"] = program
        notes["is_drum"] = is_drum
        joined.append(notes)
    return sort_notes(np.concatenate(joined))


def _read_wav(values: Mapping[str, Any]) -> np.ndarray:
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(values["audio"]), dtype="float32", always_2d=True)
    return from_array(samples, rate, SAMPLE_RATE)


def _read_numbers(values: Mapping[str, Any]) -> np.ndarray:
    return from_array(values["audio"], int(values["sample_rate"]), SAMPLE_RATE)


def _read_mix(values: Mapping[str, Any]) -> np.ndarray:
    return from_array(values["mix"], int(values["audio_sample_rate"]), SAMPLE_RATE)


_WAV_FIELDS = {"id": "string", "audio": "string"}

LAYOUTS: Mapping[str, Layout] = {
    "maestro": Layout({**_WAV_FIELDS, "sequence": "string"}, _read_own_programs, _read_wav),
    "guitarset": Layout({**_WAV_FIELDS, "sequence": "string"}, _read_guitar, _read_wav),
    "urmp": Layout(
        {**_WAV_FIELDS, "inst_names": "string[]", "instrument_sequences": "string[]"}, _read_urmp, _read_wav
    ),
    "musicnet": Layout(
        {"id": "string", "sequence": "string", "sample_rate": "float32", "audio": "float32[]"},
        _read_own_programs,
        _read_numbers,
    ),
    "multitrack": Layout(
        {
            "track_id": "string",
            "inst_names": "string[]",
            "note_sequences": "string[]",
            "audio_sample_rate": "int64",
            "mix": "float32[]",
        },
        _read_multitrack,
        _read_mix,
        id_field="track_id",
    ),
}
"""By name."""
