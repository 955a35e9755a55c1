"""A Standard MIDI File from bytes to events: what it is wrapped in, its header, its chunks.

A file is a header chunk `MThd` and chunks `MTrk`, each with its length in bytes. The header gives a type, a
number of tracks and what a tick is: a part of a quarter note, or (SMPTE) of a film's frame. Tracks of type 0
and 1 play together, those of type 2 one after another, each with tempos and channels of its own.

Lengths and numbers are often wrong. So a track ends where its last event says; without such an event, where
its length says, if the next chunk or the file's end is there, or else before the next `MTrk`. What is before
the header (MacBinary, RIFF, anything) and between chunks is passed over.

Source: Standard MIDI Files 1.0; RIFF MIDI (RP-029).
"""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mt3x.music.smf.mending import Mending, MidiError
from mt3x.music.smf.tracks import TEMPO, Findings, Other, read_track
from mt3x.music.tempo_map import DEFAULT_MICROSECONDS_PER_QUARTER

MESSAGE_DTYPE = np.dtype(
    [
        ("tick", np.int64),
        ("track", np.int32),
        ("port", np.int32),
        ("kind", np.int32),  # the status byte, its channel taken off
        ("channel", np.int32),
        ("first", np.int32),
        ("second", np.int32),
    ]
)

MAX_TICKS = 1 << 36
"""Such ticks fit 63 bits, multiplied by a tempo, or beside the number of a track and channel."""

SEQUENTIAL = 2
"""The type of file whose tracks play one after another."""

_FRAME_MICROSECONDS = {24: 1_000_000, 25: 1_000_000, 29: 1_001_000, 30: 1_000_000}
"""Of 24, 25 or 30 frames, which is what 29 (30 drop) has in 1.001 seconds."""


@dataclass(frozen=True)
class Clock:
    """How long ticks last.

    Attributes:
      ticks_per_quarter: where there are no beats, ticks per second of SMPTE time code.
      tempos: (tick, microseconds per quarter), in order of ticks.
      has_beats: whether quarters are quarters, and not parts of SMPTE time code.
    """

    ticks_per_quarter: int
    tempos: tuple[tuple[int, int], ...]
    has_beats: bool


@dataclass(frozen=True, eq=False)
class Events:
    """What a file says.

    Attributes:
      messages: `MESSAGE_DTYPE` [E], those of channels, by track, in the order of the file.
      others: by track, in the order of the file.
      end_ticks: int64 [T], where each track ends.
      are_sequential: whether tracks play one after another; ticks count from the first one's start.
      mended: what was wrong.
    """

    messages: np.ndarray
    others: tuple[Other, ...]
    end_ticks: np.ndarray
    clock: Clock
    are_sequential: bool
    mended: Counter[Mending]


def read_events(data: bytes, name: str) -> Events:
    """The events of a file's contents.

    Args:
      name: of the file, for errors.

    Raises:
      MidiError: it is not MIDI, has no track, no known division, or lasts more than `MAX_TICKS`.
    """
    start = data.find(b"MThd")
    if start < 0:
        raise MidiError(f"{name}: is not a MIDI file (it holds no 'MThd')")
    if len(data) < start + 14:
        raise MidiError(f"{name}: MIDI file is cut short at byte {len(data)}")
    length, kind, num_tracks, division = struct.unpack_from(">IHHh", data, start + 4)
    findings = Findings()
    is_riff = data[:4] == b"RIFF" and data[8:12] == b"RMID"
    if not is_riff:
        findings.mended[Mending.SKIPPED_BYTES] += start
    first = start + 8 + length
    ends, num_others = _read_chunks(
        data, first if length >= 6 and first <= len(data) else start + 14, findings
    )
    if not ends:
        raise MidiError(f"{name}: MIDI file is corrupt or cut short (it holds no track)")
    if num_tracks not in (len(ends), len(ends) + num_others):
        findings.mended[Mending.TRACK_COUNT] += 1
    are_sequential = kind == SEQUENTIAL
    num_ticks = sum(ends) if are_sequential else max(ends)
    if num_ticks > MAX_TICKS:
        raise MidiError(f"{name}: MIDI file is corrupt (it would last {num_ticks} ticks)")
    starts = np.cumsum([0, *ends[:-1]]) if are_sequential else np.zeros(len(ends), np.int64)
    others = tuple(other._replace(tick=other.tick + int(starts[other.track])) for other in findings.others)
    return Events(
        _unpack(findings, starts),
        others,
        starts + ends,
        _clock(division, others, starts if are_sequential else (), name),
        are_sequential,
        findings.mended,
    )


def _read_chunks(data: bytes, position: int, findings: Findings) -> tuple[list[int], int]:
    """The last tick of each track, and how many other chunks there are; events go to `findings`."""
    ends: list[int] = []
    num_others = 0
    while position < len(data):
        if data.startswith(b"MTrk", position) and position + 8 <= len(data):
            end, position = _read_track_chunk(data, position, len(ends), findings)
            ends.append(end)
        elif after := _chunk_end(data, position):
            num_others += 1
            position = after
        else:
            following = data.find(b"MTrk", position + 1)
            following = following if following >= 0 else len(data)
            if following < len(data) or data[:4] != b"RIFF":
                findings.mended[Mending.SKIPPED_BYTES] += following - position
            position = following
    return ends, num_others


def _read_track_chunk(data: bytes, position: int, track: int, findings: Findings) -> tuple[int, int]:
    """The last tick of a track, and where to read on."""
    begin = position + 8
    told = begin + int.from_bytes(data[position + 4 : begin])
    is_followed = told == len(data) or data.startswith(b"MTrk", told) or _chunk_end(data, told) is not None
    following = told if is_followed else data.find(b"MTrk", begin)
    stop = following if following >= 0 else len(data)
    end = read_track(data, begin, stop, track, findings)
    mended = findings.mended
    if not end.has_end:
        is_cut = end.is_cut or told > len(data)
        mended[Mending.CUT if is_cut else Mending.NO_END] += 1
        mended[Mending.TRACK_LENGTH] += stop != told and not is_cut
        return end.tick, stop
    if is_followed and end.position < told and not data.startswith(b"MTrk", end.position):
        mended[Mending.SKIPPED_BYTES] += told - end.position
        return end.tick, told
    mended[Mending.TRACK_LENGTH] += end.position != told
    return end.tick, end.position


def _chunk_end(data: bytes, position: int) -> int | None:
    """Where a chunk ends that is no track, if one begins here and another chunk, or nothing, follows."""
    if position + 8 > len(data) or not _is_name(data[position : position + 4]):
        return None
    end = position + 8 + int.from_bytes(data[position + 4 : position + 8])
    return end if end == len(data) or _is_name(data[end : end + 4]) else None


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and name.isalnum() and name != b"MThd"


def _unpack(findings: Findings, starts: np.ndarray) -> np.ndarray:
    """The messages as `MESSAGE_DTYPE`, their ticks counted from the file's start."""
    packed = np.array(findings.messages, np.int64)
    first, track, port = np.array(findings.sources, np.int64).T
    counts = np.diff(first, append=len(packed))
    messages = np.zeros(len(packed), MESSAGE_DTYPE)
    messages["track"] = np.repeat(track, counts)
    messages["port"] = np.repeat(port, counts)
    messages["tick"] = (packed >> 24) + starts[messages["track"]]
    messages["kind"] = packed >> 16 & 0xF0
    messages["channel"] = packed >> 16 & 0x0F
    messages["first"] = packed >> 8 & 0x7F
    messages["second"] = packed & 0x7F
    return messages


def _clock(division: int, others: Iterable[Other], restarts: Iterable[int], name: str) -> Clock:
    """How long ticks last; at each of `restarts` the tempo is 120 until another is given."""
    if division > 0:
        tempos = [(int(tick), DEFAULT_MICROSECONDS_PER_QUARTER) for tick in restarts]
        for other in others:
            microseconds = int.from_bytes(other.content[:3])
            if other.kind == TEMPO and len(other.content) >= 3 and microseconds:
                tempos.append((other.tick, microseconds))
        return Clock(division, tuple(sorted(tempos, key=lambda tempo: tempo[0])), True)
    frames, ticks_per_frame = -(division >> 8), division & 0xFF
    if frames not in _FRAME_MICROSECONDS or not ticks_per_frame:
        raise MidiError(
            f"{name}: time division is {division}; it must be 1 to 32767 ticks per quarter, or SMPTE time "
            "code of 24, 25, 29 or 30 frames"
        )
    ticks_per_second = (30 if frames == 29 else frames) * ticks_per_frame
    return Clock(ticks_per_second, ((0, _FRAME_MICROSECONDS[frames]),), False)
