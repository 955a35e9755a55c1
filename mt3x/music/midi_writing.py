"""Writing notes as Standard MIDI Files, and as PrettyMIDI objects. `mt3x.music.midi` reads files.

Each program gets a track and, while there are enough, a channel of its own, or, where notes bend, as many as
it has notes at once. Tempos and signatures (`mt3x.music.tempo_map`) say where bars lie; they change how times
are stored, not the times.

A sustain pedal is control 64 of the pianos' channels. Notes under it end where they end without it: their
ends are those of the sound, not of the keys. Whoever reads the file with the pedal applied finds about the
same ones; those that die away under it last until it is lifted then.

Source: Standard MIDI Files 1.0.
"""

import dataclasses
import io
import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mt3x.music.bends import RANGE_CENTS, plan_voices, wheel_positions
from mt3x.music.files import write_whole
from mt3x.music.instruments import DRUM_CHANNEL, DRUMS_NAME, PIANO_PROGRAMS, program_name
from mt3x.music.notes import SUSTAIN_CONTROL, sort_notes, trim_overlapping_notes, validate_notes
from mt3x.music.tempo_map import MAX_FIFTHS, TempoMap, seconds_to_ticks, ticks_to_seconds

if TYPE_CHECKING:
    import mido
    import pretty_midi

TICKS_PER_QUARTER = 960
"""Resolution of written files: about half a millisecond at 120 quarters per minute."""

PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
_MAJOR_KEYS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
"""By fifths, from seven flats to seven sharps."""

_Event = tuple[int, int, int, "mido.Message"]
"""Tick, rank among events of the same tick, pitch, message."""

_RELEASE, _CHANGE, _ONSET = range(3)
"""Ranks: at one tick notes end, then a channel changes its program or bends, then notes begin."""

_BEND_RANGE, _EXPRESSION_ZONE = 0, 6
"""Registered parameters: semitones of the pitch wheel; member channels of MIDI Polyphonic Expression."""


@dataclasses.dataclass(frozen=True)
class _Instrument:
    name: str
    program: int
    is_drum: bool
    notes: np.ndarray


def write_midi(
    notes: np.ndarray,
    path: str | os.PathLike[str],
    tempo: float | TempoMap = 120.0,
    bends: Sequence[np.ndarray] | None = None,
    pedal: np.ndarray | None = None,
) -> None:
    """Writes notes to a MIDI file, whole or not at all; see `midi_bytes`.

    Raises:
      ValueError: the notes, the tempo, the bends or the pedal are unsound.
      OSError: the file cannot be written.
    """
    write_whole(path, midi_bytes(notes, tempo, bends, pedal))


def midi_bytes(
    notes: np.ndarray,
    tempo: float | TempoMap = 120.0,
    bends: Sequence[np.ndarray] | None = None,
    pedal: np.ndarray | None = None,
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
      pedal: when the pianos' sustain pedal is down: float [K, 2], rows of seconds down and up, in order. It
        is left out where so many instruments play that they share channels: it would hold others' notes.

    Raises:
      ValueError: the notes are unsound, there is not one bend for each, the pedal's times do not rise, or the
        tempo is not within 3.58 to 6e7.
    """
    import mido

    validate_notes(notes)
    if bends is not None and len(bends) != len(notes):
        raise ValueError(f"there are {len(bends)} bends for {len(notes)} notes; give one for each")
    pedal = np.zeros((0, 2)) if pedal is None else np.asarray(pedal, np.float64).reshape(-1, 2)
    if not (np.isfinite(pedal).all() and (np.diff(pedal.ravel(), prepend=0.0) >= 0).all()):
        raise ValueError(f"pedal is {pedal.tolist()}; its times must rise, down, up, down, up, from 0 on")
    tempo_map = tempo if isinstance(tempo, TempoMap) else TempoMap(((0.0, tempo),))
    midi_file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8")
    midi_file.tracks.append(_make_tempo_track(tempo_map))

    instruments = _split_instruments(_to_ticks(notes, tempo_map))
    pitched = [instrument for instrument in instruments if not instrument.is_drum]
    has_shared_channels = len(pitched) > len(PITCHED_CHANNELS)
    tempos = tempo_map.tempo_ticks(TICKS_PER_QUARTER)
    pedal_ticks = seconds_to_ticks(pedal[: 0 if has_shared_channels else None], tempos, TICKS_PER_QUARTER)
    if bends is None:
        for instrument, channel in zip(instruments, itertools.cycle(PITCHED_CHANNELS), strict=False):
            midi_file.tracks.append(_make_track(instrument, channel, has_shared_channels, pedal_ticks))
    else:
        midi_file.tracks += _bending_tracks(instruments, notes, bends, tempo_map, pedal_ticks)

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


def _make_track(
    instrument: _Instrument, channel: int, is_shared: bool, pedal_ticks: np.ndarray
) -> "mido.MidiTrack":
    """A track of notes whose times are ticks; drums stay on their own channel."""
    import mido

    if instrument.is_drum:
        channel, is_shared = DRUM_CHANNEL, False
    change = mido.Message("program_change", channel=channel, program=instrument.program)
    events = _note_events(instrument.notes, np.full(len(instrument.notes), channel))
    if is_shared:
        events += [(tick, _CHANGE, pitch, change.copy()) for tick, rank, pitch, _ in events if rank == _ONSET]
    events += _pedal_events(instrument, channel, pedal_ticks)
    return _track_of(instrument.name, [change], events)


def _bending_tracks(
    instruments: list[_Instrument],
    notes: np.ndarray,
    bends: Sequence[np.ndarray],
    tempo_map: TempoMap,
    pedal_ticks: np.ndarray,
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
    in_seconds = [_in_seconds(instrument.notes, tempo_map) for instrument in pitched]
    plans = plan_voices(in_seconds, len(PITCHED_CHANNELS))
    is_expressive = len(pitched) == 1 and plans[0].count > 1
    # The first channel of MIDI Polyphonic Expression's zone has no notes of its own.
    free = itertools.cycle(PITCHED_CHANNELS[1:] if is_expressive else PITCHED_CHANNELS)
    tracks = []
    for instrument, seconds, plan in zip(pitched, in_seconds, plans, strict=True):
        channels = [next(free) for _ in range(plan.count)]
        setup = _zone_of_members(plan.count) if is_expressive else []
        for channel in channels:
            setup.append(mido.Message("program_change", channel=channel, program=instrument.program))
            if plan.bends:
                setup += _registered(channel, _BEND_RANGE, round(RANGE_CENTS / 100))
        channel_of = np.array(channels)[plan.voice]
        events = _note_events(instrument.notes, channel_of)
        events += _pedal_events(instrument, channels[0], pedal_ticks)  # a piano has one: it does not bend
        if plan.bends:
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
    return tracks + [_make_track(i, DRUM_CHANNEL, False, pedal_ticks) for i in instruments if i.is_drum]


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


def _pedal_events(instrument: _Instrument, channel: int, pedal_ticks: np.ndarray) -> list[_Event]:
    """The sustain pedal's movements on an instrument's channel; none of what is no piano.

    Args:
      pedal_ticks: [K, 2], when it goes down and up.
    """
    import mido

    if instrument.is_drum or instrument.program not in PIANO_PROGRAMS:
        return []
    moves = zip(pedal_ticks.ravel().astype(int).tolist(), itertools.cycle((127, 0)), strict=False)
    return [
        (
            tick,
            _CHANGE,
            0,
            mido.Message("control_change", channel=channel, control=SUSTAIN_CONTROL, value=value),
        )
        for tick, value in moves
    ]


def _track_of(name: str, setup: list["mido.Message"], events: list[_Event]) -> "mido.MidiTrack":
    """A track: its name, what prepares its channels, then events in order of their ticks, each with a message
    of its own, whose time is set here.
    """
    import mido

    events = sorted(events, key=lambda event: event[:3])
    deltas = np.diff([event[0] for event in events], prepend=0).tolist()
    for event, delta in zip(events, deltas, strict=True):
        event[3].time = delta
    messages = (event[3] for event in events)
    return mido.MidiTrack([mido.MetaMessage("track_name", name=name), *setup, *messages])
