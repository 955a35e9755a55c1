"""Notes <-> Standard MIDI Files.

Reading pairs note-ons with note-offs by track, channel and pitch: a note-off ends every such note that began
before its tick; a note that is never released, or lasts no time, is dropped. The instrument of a note is its
channel's program at the onset. Channel 10 (9, counted from 0) is drums. All tracks' tempo changes count.

Writing gives each program a track and, while there are enough, a channel of its own, or, where notes bend, as
many as it has notes at once. Tempos and signatures (`mt3x.music.tempo_map`) say where bars lie; they change
how times are stored, not the times.

Source: Standard MIDI Files 1.0; pairing as in pretty_midi, which note-seq, and so MT3, reads with. Where
pretty_midi knows only a track's own program changes and pedal, here those of the same channel in other tracks
count for a track that has none; pretty_midi takes the program at the note-off.
"""

import contextlib
import dataclasses
import io
import itertools
import os
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mt3x.music.bends import RANGE_CENTS, plan_voices, wheel_positions
from mt3x.music.instruments import DRUMS_NAME, program_name
from mt3x.music.notes import (
    apply_sustain,
    empty_notes,
    make_notes,
    sort_notes,
    trim_overlapping_notes,
    validate_notes,
)
from mt3x.music.tempo_map import MAX_FIFTHS, TempoMap, seconds_to_ticks, ticks_to_seconds

if TYPE_CHECKING:
    import mido
    import pretty_midi

TICKS_PER_QUARTER = 960
"""Resolution of written files: about half a millisecond at 120 quarters per minute."""

DRUM_CHANNEL = 9
PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
SUSTAIN_CONTROL = 64
MAX_TICKS = 1 << 38  # times microseconds per quarter it still fits 63 bits
_MAJOR_KEYS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
"""By fifths, from seven flats to seven sharps."""

_Timeline = dict[tuple[int, int], list[tuple[int, int]]]
"""(track, channel) -> (tick, value) in time order."""


_Event = tuple[int, int, int, "mido.Message"]
"""Tick, rank among events of the same tick, pitch, message."""

_RELEASE, _CHANGE, _ONSET = range(3)
"""Ranks: at one tick notes end, then a channel changes its program or bends, then notes begin."""

_BEND_RANGE, _EXPRESSION_ZONE = 0, 6
"""Registered parameters: semitones of the pitch wheel; member channels of MIDI Polyphonic Expression."""


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
class _Instrument:
    name: str
    program: int
    is_drum: bool
    notes: np.ndarray


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


def write_midi(
    notes: np.ndarray,
    path: str | os.PathLike[str],
    tempo: float | TempoMap = 120.0,
    bends: Sequence[np.ndarray] | None = None,
) -> None:
    """Writes notes to a MIDI file, whole or not at all; see `midi_bytes`.

    Raises:
      ValueError: the notes or the tempo are unsound.
      OSError: the file cannot be written.
    """
    path = Path(path)
    data = midi_bytes(notes, tempo, bends)
    # A name that cannot clash or grow too long, in the same folder so that the replacement is atomic.
    unfinished = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone if all went well
            unfinished.unlink()


def midi_bytes(
    notes: np.ndarray,
    tempo: float | TempoMap = 120.0,
    bends: Sequence[np.ndarray] | None = None,
) -> bytes:
    """Notes as the contents of a multi-track MIDI file.

    A tempo track, then one track per program in order, named as in General MIDI, then a track "Drums" on
    channel 10. Up to 15 programs have a channel each. With more, channels are shared and every onset is
    preceded by its program change, so that players which merge the tracks sound right too.

    Times are rounded to ticks (at most half of 1/1920 s off at tempo 120). A note lasts at least one tick,
    and ends where its pitch and program are struck again, for MIDI cannot say otherwise.

    Args:
      tempo: quarters per minute, or all tempos and signatures; the times of notes stay as they are.
      bends: how each note bends (`mt3x.music.bends`), for the pitch wheel; instruments that play chords take
        several channels then.

    Raises:
      ValueError: the notes are unsound, there is not one bend for each, or the tempo is not within 3.58 to
        6e7.
    """
    import mido

    validate_notes(notes)
    if bends is not None and len(bends) != len(notes):
        raise ValueError(f"there are {len(bends)} bends for {len(notes)} notes; give one for each")
    tempo_map = tempo if isinstance(tempo, TempoMap) else TempoMap(((0.0, tempo),))
    midi_file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8")
    midi_file.tracks.append(_make_tempo_track(tempo_map))

    instruments = _split_instruments(_to_ticks(notes, tempo_map))
    pitched = [instrument for instrument in instruments if not instrument.is_drum]
    if bends is None:
        has_shared_channels = len(pitched) > len(PITCHED_CHANNELS)
        for instrument, channel in zip(instruments, itertools.cycle(PITCHED_CHANNELS), strict=False):
            midi_file.tracks.append(_make_track(instrument, channel, has_shared_channels))
    else:
        midi_file.tracks += _bending_tracks(instruments, notes, bends, tempo_map)

    buffer = io.BytesIO()
    midi_file.save(file=buffer)
    return buffer.getvalue()


def to_pretty_midi(notes: np.ndarray) -> "pretty_midi.PrettyMIDI":
    """Notes as a PrettyMIDI object with one instrument per program, and one for drums.

    Raises:
      ValueError: the notes are unsound.
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER)
    for instrument in _split_instruments(sort_notes(validate_notes(notes))):
        track = pretty_midi.Instrument(instrument.program, instrument.is_drum, instrument.name)
        for start, end, pitch, velocity, _, _ in instrument.notes.tolist():
            track.notes.append(pretty_midi.Note(velocity, pitch, start, end))
        midi.instruments.append(track)
    return midi


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


def _to_ticks(notes: np.ndarray, tempo_map: TempoMap) -> np.ndarray:
    """The notes that a file can hold, their times in whole ticks, sorted."""
    tempos = tempo_map.tempo_ticks(TICKS_PER_QUARTER)
    ticks = notes.copy()
    ticks["program"][notes["is_drum"]] = 0
    ticks["start"] = seconds_to_ticks(notes["start"], tempos, TICKS_PER_QUARTER)
    ticks["end"] = np.maximum(seconds_to_ticks(notes["end"], tempos, TICKS_PER_QUARTER), ticks["start"] + 1)
    return trim_overlapping_notes(ticks)


def _split_instruments(notes: np.ndarray) -> list[_Instrument]:
    """Notes by program, lowest first; drums, if any, last."""
    is_drum = notes["is_drum"]
    instruments = [
        _Instrument(program_name(program), program, False, notes[~is_drum & (notes["program"] == program)])
        for program in np.unique(notes["program"][~is_drum]).tolist()
    ]
    if is_drum.any():
        instruments.append(_Instrument(DRUMS_NAME, 0, True, notes[is_drum]))
    return instruments


def _make_tempo_track(tempo_map: TempoMap) -> "mido.MidiTrack":
    from mido import MetaMessage, MidiTrack

    events: list[tuple[float, MetaMessage]] = []
    for quarters, beats, beat_type in tempo_map.time_signatures:
        message = MetaMessage("time_signature", numerator=beats, denominator=beat_type)
        events.append((quarters * TICKS_PER_QUARTER, message))
    for quarters, fifths in tempo_map.key_signatures:
        message = MetaMessage("key_signature", key=_MAJOR_KEYS[fifths + MAX_FIFTHS])
        events.append((quarters * TICKS_PER_QUARTER, message))
    for tick, microseconds in tempo_map.tempo_ticks(TICKS_PER_QUARTER):
        events.append((tick, MetaMessage("set_tempo", tempo=microseconds)))
    events.sort(key=lambda event: event[0])
    ticks = [round(tick) for tick, _ in events]
    deltas = np.diff(ticks, prepend=0).tolist()
    return MidiTrack(message.copy(time=delta) for (_, message), delta in zip(events, deltas, strict=True))


def _make_track(instrument: _Instrument, channel: int, is_shared: bool) -> "mido.MidiTrack":
    """A track of notes whose times are ticks; drums stay on their own channel."""
    import mido

    if instrument.is_drum:
        channel, is_shared = DRUM_CHANNEL, False
    change = mido.Message("program_change", channel=channel, program=instrument.program)
    events = _note_events(instrument.notes, np.full(len(instrument.notes), channel))
    if is_shared:
        events += [(tick, _CHANGE, pitch, change) for tick, rank, pitch, _ in events if rank == _ONSET]
    return _track_of(instrument.name, [change], events)


def _bending_tracks(
    instruments: list[_Instrument], notes: np.ndarray, bends: Sequence[np.ndarray], tempo_map: TempoMap
) -> list["mido.MidiTrack"]:
    """Tracks of notes whose times are ticks, with the pitch wheel's movements.

    Args:
      notes: what `bends` belong to, times in seconds.
    """
    import mido

    tempos = tempo_map.tempo_ticks(TICKS_PER_QUARTER)
    starts = seconds_to_ticks(notes["start"], tempos, TICKS_PER_QUARTER).astype(int).tolist()
    keys = zip(starts, notes["pitch"].tolist(), notes["program"].tolist(), strict=True)
    bend_of = {
        key: bend
        for key, bend, is_drum in zip(keys, bends, notes["is_drum"].tolist(), strict=True)
        if not is_drum
    }
    pitched = [instrument for instrument in instruments if not instrument.is_drum]
    plans = plan_voices([_in_seconds(i.notes, tempo_map) for i in pitched], len(PITCHED_CHANNELS))
    is_expressive = len(pitched) == 1 and plans[0].count > 1
    # The first channel of MIDI Polyphonic Expression's zone has no notes of its own.
    free = itertools.cycle(PITCHED_CHANNELS[1:] if is_expressive else PITCHED_CHANNELS)
    tracks = []
    for instrument, plan in zip(pitched, plans, strict=True):
        channels = [next(free) for _ in range(plan.count)]
        setup = _zone_of_members(plan.count) if is_expressive else []
        for channel in channels:
            setup.append(mido.Message("program_change", channel=channel, program=instrument.program))
            if plan.bends:
                setup += _registered(channel, _BEND_RANGE, round(RANGE_CENTS / 100))
        channel_of = np.array(channels)[plan.voice]
        events = _note_events(instrument.notes, channel_of)
        if plan.bends:
            seconds = _in_seconds(instrument.notes, tempo_map)
            for index, (start, end) in enumerate(zip(seconds["start"], seconds["end"], strict=True)):
                note = instrument.notes[index]
                key = int(note["start"]), int(note["pitch"]), int(note["program"])
                moments, positions = zip(*wheel_positions(bend_of[key], start, end), strict=True)
                ticks = seconds_to_ticks(np.array(moments), tempos, TICKS_PER_QUARTER).astype(int)
                for tick, position in zip([key[0], *ticks[1:].tolist()], positions, strict=True):
                    channel = int(channel_of[index])
                    wheel = mido.Message("pitchwheel", channel=channel, pitch=position)
                    events.append((tick, _CHANGE, key[1], wheel))
        tracks.append(_track_of(instrument.name, setup, events))
    return tracks + [_make_track(i, DRUM_CHANNEL, False) for i in instruments if i.is_drum]


def _in_seconds(ticks: np.ndarray, tempo_map: TempoMap) -> np.ndarray:
    """Notes whose times are ticks, with seconds in their place."""
    tempos = tempo_map.tempo_ticks(TICKS_PER_QUARTER)
    notes = ticks.copy()
    for name in ("start", "end"):
        notes[name] = ticks_to_seconds(ticks[name].astype(np.int64), tempos, TICKS_PER_QUARTER)
    return notes


def _zone_of_members(count: int) -> list["mido.Message"]:
    """Says to a synthesiser that knows MIDI Polyphonic Expression: channels 2 on are one instrument."""
    return _registered(PITCHED_CHANNELS[0], _EXPRESSION_ZONE, count)


def _registered(channel: int, number: int, value: int) -> list["mido.Message"]:
    """Sets a registered parameter (MIDI 1.0) of a channel."""
    import mido

    controls = ((101, 0), (100, number), (6, value), (38, 0), (101, 127), (100, 127))
    return [mido.Message("control_change", channel=channel, control=c, value=v) for c, v in controls]


def _note_events(notes: np.ndarray, channel: np.ndarray) -> list[_Event]:
    """The onsets and releases of notes whose times are ticks; `channel` int64 [N]."""
    import mido

    events: list[_Event] = []
    for note, on in zip(notes.tolist(), channel.tolist(), strict=True):
        start, end, pitch, velocity = int(note[0]), int(note[1]), note[2], note[3]
        begin = mido.Message("note_on", channel=on, note=pitch, velocity=velocity)
        release = mido.Message("note_off", channel=on, note=pitch, velocity=0)
        events += [(start, _ONSET, pitch, begin), (end, _RELEASE, pitch, release)]
    return events


def _track_of(name: str, setup: list["mido.Message"], events: list[_Event]) -> "mido.MidiTrack":
    """A track: its name, what prepares its channels, then events in order of their ticks."""
    import mido

    events = sorted(events, key=lambda event: event[:3])
    deltas = np.diff([event[0] for event in events], prepend=0).tolist()
    messages = (event[3].copy(time=delta) for event, delta in zip(events, deltas, strict=True))
    return mido.MidiTrack([mido.MetaMessage("track_name", name=name), *setup, *messages])
