"""Reading Standard MIDI Files: the one tolerant reader. `mt3x.music.midi_writing` writes them.

A file that can be read is read, whatever is wrong with it, and what was mended is counted. `mt3x.music.smf`
holds the steps: bytes to events, events to notes in ticks; how notes are paired and what is a drum is said in
`mt3x.music.smf.notes`.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mt3x.music.notes import make_notes, note_order, sustained_ends
from mt3x.music.smf.chunks import Clock, read_events
from mt3x.music.smf.mending import Mending, MidiError, describe
from mt3x.music.smf.notes import collect_notes, collect_pedals
from mt3x.music.smf.tracks import (
    BEND,
    KEY_SIGNATURE,
    NOTE_ON,
    TEXTS,
    TIME_SIGNATURE,
    Other,
    parse_key_signature,
    parse_time_signature,
)
from mt3x.music.tempo_map import ticks_to_seconds

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".rmid", ".smf")
"""The ends of MIDI files' names, in lower case."""

ORIGIN_DTYPE = np.dtype(
    [
        ("start_tick", np.int64),
        ("end_tick", np.int64),  # of the key; a pedal may hold the note for longer
        ("track", np.int32),
        ("port", np.int32),
        ("channel", np.int32),
    ]
)
"""Where in the file a note comes from; all count from 0."""

TIME_SIGNATURE_DTYPE = np.dtype(
    [("tick", np.int64), ("track", np.int32), ("beats", np.int32), ("beat_type", np.int32)]
)
KEY_SIGNATURE_DTYPE = np.dtype(
    [("tick", np.int64), ("track", np.int32), ("fifths", np.int32), ("is_minor", np.bool_)]
)

_TEXT_KINDS = (
    *("text", "copyright", "track name", "instrument name", "lyric", "marker", "cue point"),
    *("program name", "port name"),
)


class MidiText(NamedTuple):
    """A text of a file.

    Attributes:
      kind: "text", "copyright", "track name", "instrument name", "lyric", "marker", "cue point", "program
        name" or "port name".
      text: read as UTF-8, or where it is not, as Latin-1, from which its bytes can be had again.
    """

    tick: int
    track: int
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class MidiContent:
    """A MIDI file's notes, its grid and its words.

    Attributes:
      notes: `NOTE_DTYPE` [K], sorted; drum hits have program 0.
      origins: `ORIGIN_DTYPE` [K], of each note.
      clock: how long ticks last.
      time_signatures: `TIME_SIGNATURE_DTYPE`, those that the file has, in order of ticks.
      key_signatures: `KEY_SIGNATURE_DTYPE`, those that the file has, in order of ticks.
      texts: by track, in order of ticks.
      end_ticks: int64 [T], where each track ends.
      num_struck: note-ons, of which K became notes; the others last no time, or are doubled.
      num_doubled: notes of one pitch that were struck together under the pedal, the last one not counted.
      num_bends: pitch bends away from the middle; notes keep the pitches of their keys.
      mended: how often what was mended.
    """

    notes: np.ndarray
    origins: np.ndarray
    clock: Clock
    time_signatures: np.ndarray
    key_signatures: np.ndarray
    texts: tuple[MidiText, ...]
    end_ticks: np.ndarray
    num_struck: int
    num_doubled: int
    num_bends: int
    mended: Mapping[Mending, int]

    @property
    def mending(self) -> str:
        """What was mended, in one line of sentences; "" where nothing was."""
        return describe(self.mended)

    @property
    def track_names(self) -> tuple[str, ...]:
        """The first name of each track, "" where it has none."""
        names = [""] * len(self.end_ticks)
        for text in self.texts:
            if text.kind == "track name":
                names[text.track] = names[text.track] or text.text
        return tuple(names)

    def seconds_at(self, ticks: np.ndarray) -> np.ndarray:
        """When ticks come: float64, same shape."""
        return ticks_to_seconds(ticks, self.clock.tempos, self.clock.ticks_per_quarter)


def read_midi(path: str | os.PathLike[str], apply_sustain: bool = True) -> np.ndarray:
    """The notes of a MIDI file, sorted; drum hits have program 0.

    Args:
      apply_sustain: lengthen notes that are released while their channel's sustain pedal is down.

    Raises:
      MidiError: the file is missing, unreadable, empty, or not MIDI.
    """
    return read_midi_content(path, apply_sustain).notes


def read_midi_content(path: str | os.PathLike[str], apply_sustain: bool = True) -> MidiContent:
    """As `read_midi`, with the file's grid, its words, and counts of what was mended and left out.

    Raises:
      MidiError: as `read_midi`.
    """
    return parse_midi(_read(Path(path)), str(path), apply_sustain)


def parse_midi(data: bytes, name: str, apply_sustain: bool = True) -> MidiContent:
    """As `read_midi_content`, of a file's contents.

    Args:
      name: of the file, for errors.

    Raises:
      MidiError: it is not MIDI.
    """
    events = read_events(data, name)
    origins = collect_notes(events)
    tempos, ticks_per_quarter = events.clock.tempos, events.clock.ticks_per_quarter
    start, end = (ticks_to_seconds(origins[n], tempos, ticks_per_quarter) for n in ("start_tick", "end_tick"))
    notes = make_notes(start, end, *(origins[n] for n in ("pitch", "velocity", "program", "is_drum")))
    stays = np.ones(len(notes), bool)
    if apply_sustain:
        pedals = collect_pedals(events, origins)
        times = ticks_to_seconds(pedals.movements[:, 0], tempos, ticks_per_quarter)
        pedal = np.stack([times, pedals.movements[:, 1]], axis=1)
        notes["end"], stays = sustained_ends(notes, pedals.part, pedals.pedal_of, pedal, pedals.number)
    order = note_order(notes)
    order = order[stays[order]]
    is_bend = events.messages["kind"] == BEND
    wheel = events.messages[is_bend]
    is_onset = (events.messages["kind"] == NOTE_ON) & (events.messages["second"] > 0)
    return MidiContent(
        notes[order],
        origins[list(ORIGIN_DTYPE.names or ())][order].astype(ORIGIN_DTYPE),
        events.clock,
        _signatures(events.others, TIME_SIGNATURE, parse_time_signature, TIME_SIGNATURE_DTYPE),
        _signatures(events.others, KEY_SIGNATURE, parse_key_signature, KEY_SIGNATURE_DTYPE),
        _texts(events.others),
        events.end_ticks,
        int(np.count_nonzero(is_onset)),
        len(notes) - len(order),
        int(np.count_nonzero((wheel["first"] != 0) | (wheel["second"] != 64))),
        MappingProxyType(+events.mended),
    )


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MidiError(f"{path}: no such file") from error
    except OSError as error:
        raise MidiError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise MidiError(f"{path}: is empty (0 bytes)")
    return data


def _signatures(
    others: Iterable[Other], kind: int, parse: Callable[[bytes], tuple | None], dtype: np.dtype
) -> np.ndarray:
    """The signatures of a kind that can be, in order of ticks."""
    parsed = [(other.tick, other.track, parse(other.content)) for other in others if other.kind == kind]
    rows = [(tick, track, *signature) for tick, track, signature in parsed if signature is not None]
    return np.array(sorted(rows, key=lambda row: row[0]), dtype)


def _texts(others: Iterable[Other]) -> tuple[MidiText, ...]:
    return tuple(
        MidiText(other.tick, other.track, _TEXT_KINDS[other.kind - TEXTS[0]], _decode(other.content))
        for other in others
        if other.kind in TEXTS
    )


def _decode(content: bytes) -> str:
    content = content.replace(b"\0", b"")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
