"""Reading Standard MIDI Files: the one tolerant reader. `mt3x.music.midi_writing` writes them.

Note-ons are paired with note-offs by track, channel and pitch: a note-off ends every such note that began
before its tick; a note that is never released, or lasts no time, is dropped. The instrument of a note is its
channel's program at the onset. Channel 10 (9, counted from 0) is drums. All tracks' tempo changes count.

Source: Standard MIDI Files 1.0; pairing as in pretty_midi, which note-seq, and so MT3, reads with. Where
pretty_midi knows only a track's own program changes and pedal, here those of the same channel in other tracks
count for a track that has none; pretty_midi takes the program at the note-off.
"""

import dataclasses
import io
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mt3x.music.notes import apply_sustain, empty_notes, make_notes, sort_notes
from mt3x.music.tempo_map import ticks_to_seconds

if TYPE_CHECKING:
    import mido

DRUM_CHANNEL = 9
SUSTAIN_CONTROL = 64
MAX_TICKS = 1 << 38  # times microseconds per quarter it still fits 63 bits

_Timeline = dict[tuple[int, int], list[tuple[int, int]]]
"""(track, channel) -> (tick, value) in time order."""


class MidiError(ValueError):
    """A file that cannot be read as MIDI; the message names it and says why."""


@dataclasses.dataclass
class _Messages:
    """What a file says, in ticks."""

    notes: list[tuple[int, int, int, int, int, int]] = dataclasses.field(default_factory=list)
    """(track, channel, start, end, pitch, velocity)"""
    programs: _Timeline = dataclasses.field(default_factory=lambda: defaultdict(list))
    pedals: _Timeline = dataclasses.field(default_factory=lambda: defaultdict(list))
    tempos: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """(tick, microseconds per quarter)"""
    num_struck: int = 0
    num_bends: int = 0


@dataclasses.dataclass(frozen=True)
class MidiContent:
    """A MIDI file's notes, and what of the file they do not tell.

    Attributes:
      notes: `NOTE_DTYPE` [K], sorted; drum hits have program 0.
      num_struck: note-ons, of which K became notes.
      num_bends: pitch bends away from the middle; notes keep the pitches of their keys.
    """

    notes: np.ndarray
    num_struck: int
    num_bends: int


def read_midi(path: str | os.PathLike[str], apply_sustain: bool = True) -> np.ndarray:
    """The notes of a MIDI file, sorted; drum hits have program 0.

    Args:
      apply_sustain: lengthen notes that are released while their channel's sustain pedal is down.

    Raises:
      MidiError: the file is missing, unreadable, empty, not MIDI, or corrupt.
    """
    return read_midi_content(path, apply_sustain).notes


def read_midi_content(path: str | os.PathLike[str], apply_sustain: bool = True) -> MidiContent:
    """As `read_midi`, with counts that show what was left out.

    Raises:
      MidiError: as `read_midi`.
    """
    midi_file = _parse(Path(path))
    messages = _Messages()
    for number, track in enumerate(midi_file.tracks):
        _collect_messages(number, track, messages)
    notes = _assemble_notes(messages, midi_file.ticks_per_beat, apply_sustain)
    return MidiContent(notes, messages.num_struck, messages.num_bends)


def _parse(path: Path) -> "mido.MidiFile":
    import mido

    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MidiError(f"{path}: no such file") from error
    except OSError as error:
        raise MidiError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise MidiError(f"{path}: is empty (0 bytes)")
    if not data.startswith(b"MThd"):
        raise MidiError(f"{path}: is not a MIDI file (it does not begin with 'MThd')")
    try:
        midi_file = mido.MidiFile(file=io.BytesIO(data))
    except EOFError as error:
        raise MidiError(f"{path}: MIDI file is cut short at byte {len(data)}") from error
    except (
        Exception
    ) as error:  # mido lets whatever its parsing meets escape: OSError, IndexError, KeyError...
        raise MidiError(f"{path}: MIDI file is corrupt ({error})") from error
    if midi_file.ticks_per_beat <= 0:
        raise MidiError(
            f"{path}: time division is {midi_file.ticks_per_beat}; only ticks per quarter (1..32767) are read"
        )
    if max((sum(message.time for message in track) for track in midi_file.tracks), default=0) > MAX_TICKS:
        raise MidiError(f"{path}: MIDI file is corrupt (it would last more than {MAX_TICKS} ticks)")
    return midi_file


def _collect_messages(number: int, track: "mido.MidiTrack", messages: _Messages) -> None:
    tick = 0
    sounding: _Timeline = defaultdict(list)  # (channel, pitch) -> (start tick, velocity)
    for message in track:
        tick += message.time
        match message.type:
            case "note_on" if message.velocity > 0:
                messages.num_struck += 1
                sounding[message.channel, message.note].append((tick, message.velocity))
            case "note_on" | "note_off":
                struck = sounding.pop((message.channel, message.note), [])
                ended = [(start, velocity) for start, velocity in struck if start < tick]
                for start, velocity in ended:
                    note = (number, message.channel, start, tick, message.note, velocity)
                    messages.notes.append(note)
                # Struck again at this tick, before the release of the earlier note: it sounds on.
                if ended and len(ended) < len(struck):
                    sounding[message.channel, message.note] = struck[len(ended) :]
            case "program_change":
                messages.programs[number, message.channel].append((tick, message.program))
            case "control_change" if message.control == SUSTAIN_CONTROL:
                messages.pedals[number, message.channel].append((tick, message.value))
            case "pitchwheel":
                messages.num_bends += message.pitch != 0
            case "set_tempo":
                messages.tempos.append((tick, message.tempo))


def _assemble_notes(messages: _Messages, ticks_per_quarter: int, with_sustain: bool) -> np.ndarray:
    if not messages.notes:
        return empty_notes()
    rows = np.array(messages.notes, np.int64)
    seconds = ticks_to_seconds(rows[:, 2:4], messages.tempos, ticks_per_quarter)
    parts = []
    for track, channel in np.unique(rows[:, :2], axis=0).tolist():
        mine = (rows[:, 0] == track) & (rows[:, 1] == channel)
        _, _, start, _, pitch, velocity = rows[mine].T
        is_drum = channel == DRUM_CHANNEL
        program = 0 if is_drum else _values_at(start, _timeline_of(messages.programs, track, channel))
        start_seconds, end_seconds = seconds[mine].T
        notes = make_notes(start_seconds, end_seconds, pitch, velocity, program, is_drum)
        pedal = _timeline_of(messages.pedals, track, channel)
        if with_sustain and pedal:
            ticks, values = np.array(pedal, np.int64).T
            times = ticks_to_seconds(ticks, messages.tempos, ticks_per_quarter)
            notes = apply_sustain(notes, np.stack([times, values], axis=1))
        parts.append(notes)
    return sort_notes(np.concatenate(parts))


def _timeline_of(timelines: _Timeline, track: int, channel: int) -> list[tuple[int, int]]:
    """A track's own events on a channel; where it has none, those of all tracks."""
    if (track, channel) in timelines:
        return timelines[track, channel]
    others = [event for key, events in timelines.items() if key[1] == channel for event in events]
    return sorted(others, key=lambda event: event[0])


def _values_at(ticks: np.ndarray, timeline: list[tuple[int, int]]) -> np.ndarray:
    """The latest value at each tick, 0 before the first: int64 [N]."""
    times, values = np.array([(-1, 0), *timeline], np.int64).T
    return values[np.searchsorted(times, ticks, side="right") - 1]
