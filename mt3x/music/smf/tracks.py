"""One track of a Standard MIDI File, from bytes to events.

A track is a row of events. Each begins with the ticks that have passed since the one before, a
variable-length quantity: seven bits in each byte, the highest first, bit 7 set in all but the last. Then

    8n .. En  a message of channel n: one data byte after Cn and Dn, two after the others. A status byte
              equal to the last one may be left out (running status).
    F0, F7    a length, again of variable length, and so many bytes: system exclusive; F7 goes on with it.
    FF        a kind, a length and so many bytes: a meta event; kind 2F ends the track.

What is met beside this is mended and counted (`mending.Mending`): running status goes on after F0, F7 and FF;
system messages F1 to FE, which files cannot hold, and data without a status are passed over; a data byte
above 127 loses its highest bit where it names something, and becomes 127 where it measures something.

Source: Standard MIDI Files 1.0, MIDI 1.0.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from mt3x.music.smf.mending import Mending
from mt3x.music.tempo_map import MAX_FIFTHS

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
"""Status bytes of channel 0."""

SYSTEM_EXCLUSIVE = 0xF0
PORT, END_OF_TRACK, TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59
TEXTS = range(0x01, 0x0A)
"""Kinds of meta events; those of `TEXTS` hold text."""

_META_LENGTHS = {0x00: 2, 0x20: 1, PORT: 1, TEMPO: 3, SMPTE_OFFSET: 5, TIME_SIGNATURE: 4, KEY_SIGNATURE: 2}
_KEPT = frozenset((*TEXTS, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE))
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_LONGEST_DELTA = 0x0FFFFFFF
_MAX_QUANTITY = 0xFFFFFFFF  # the standard allows 28 bits, programs write 32
_MAX_SYSTEM_EXCLUSIVE = 256  # bytes; the messages that are looked at have at most ten
_LAST_BYTE = re.compile(rb"[\x00-\x7f]")


class Other(NamedTuple):
    """What is no channel message."""

    tick: int
    track: int
    port: int
    kind: int
    """Of a meta event, or `SYSTEM_EXCLUSIVE`."""
    content: bytes


@dataclass
class Findings:
    """What has been read of a file's tracks.

    Attributes:
      messages: those of channels, each tick << 24 | status << 16 | first data byte << 8 | second or 0.
      sources: (number of messages before, track, port) where a track begins or its port changes.
      others: meta events and system exclusive messages that mean something to notes or scores.
    """

    messages: list[int] = field(default_factory=list)
    sources: list[tuple[int, int, int]] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    mended: Counter[Mending] = field(default_factory=Counter)


class TrackEnd(NamedTuple):
    """How a track ended: the position after its last byte, its last tick."""

    position: int
    tick: int
    has_end: bool
    """Whether by the event that ends tracks."""
    is_cut: bool
    """Whether in the middle of an event, or by damage."""


class _CutError(Exception):
    """The track ends inside an event, or nothing can be known of what follows."""


def read_track(data: bytes, position: int, stop: int, track: int, findings: Findings) -> TrackEnd:
    """Adds a track's events to `findings`.

    Args:
      data: the whole file.
      position: where the track's first event begins.
      stop: where its last event ends at the latest.
      track: its number.
    """
    append, mended = findings.messages.append, findings.mended
    tick = status = port = 0
    pending = b""  # a system exclusive message that goes on
    findings.sources.append((len(findings.messages), track, port))
    try:
        while position < stop:
            delta = data[position]
            position += 1
            if delta > 0x7F:
                low = data[position]
                if low > 0x7F:
                    delta, position = _read_quantity(data, position - 1, stop)
                    mended[Mending.LONG_DELTA] += delta > _LONGEST_DELTA
                else:
                    delta = (delta & 0x7F) << 7 | low
                    position += 1
            if position >= stop:
                raise _CutError
            tick += delta
            byte = data[position]
            if byte < 0x80:
                if not status:
                    position += 1
                    mended[Mending.SKIPPED_BYTES] += 1
                    continue
            elif byte < 0xF0:
                position += 1
                status = byte
            elif byte == 0xFF:
                kind = data[position + 1]
                content, position = _read_content(data, position + 2, stop)
                if kind == END_OF_TRACK:
                    return TrackEnd(position, tick, True, False)
                if _is_wrong(kind, content):
                    mended[Mending.WRONG_VALUE] += 1
                if kind in _KEPT:
                    findings.others.append(Other(tick, track, port, kind, content))
                elif kind == PORT and content:
                    port = content[0]
                    findings.sources.append((len(findings.messages), track, port))
                continue
            elif byte in (0xF0, 0xF7):
                content, position = _read_exclusive(data, position + 1, stop, mended)
                pending = content if byte == 0xF0 else pending + content if pending else b""
                if pending.endswith(b"\xf7"):
                    findings.others.append(Other(tick, track, port, SYSTEM_EXCLUSIVE, pending))
                if pending.endswith(b"\xf7") or len(pending) > _MAX_SYSTEM_EXCLUSIVE:
                    pending = b""
                continue
            else:
                length = 1 + _SYSTEM_DATA.get(byte, 0)
                position += length
                mended[Mending.SKIPPED_BYTES] += length
                continue
            first = data[position]
            if 0xC0 <= status < 0xE0:
                second = 0
                position += 1
            else:
                second = data[position + 1]
                position += 2
            if position > stop:
                raise _CutError
            if first > 0x7F or second > 0x7F:
                first, second = first & 0x7F, min(second, 0x7F)
                mended[Mending.WRONG_VALUE] += 1
            append(tick << 24 | status << 16 | first << 8 | second)
    except (IndexError, _CutError):
        return TrackEnd(stop, tick, False, True)
    return TrackEnd(stop, tick, False, position > stop)


def _read_quantity(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """A variable-length quantity, and the position after it; zeros before it may be of any number."""
    last = _LAST_BYTE.search(data, position, stop)
    if last is None:
        raise _CutError
    value = 0
    for byte in data[position : last.end()].lstrip(b"\x80"):
        value = value << 7 | byte & 0x7F
        if value > _MAX_QUANTITY:
            raise _CutError
    return value, last.end()


def _read_content(data: bytes, position: int, stop: int) -> tuple[bytes, int]:
    """The bytes that follow their length, and the position after them."""
    length, position = _read_quantity(data, position, stop)
    end = position + length
    if end > stop:
        raise _CutError
    return data[position:end], end


def _read_exclusive(data: bytes, position: int, stop: int, mended: Counter[Mending]) -> tuple[bytes, int]:
    """As `_read_content`; a message without a length, or with a wrong one, ends with its F7."""
    try:
        return _read_content(data, position, stop)
    except _CutError:
        end = data.find(b"\xf7", position, stop) + 1
        if not end:
            raise
        mended[Mending.WRONG_VALUE] += 1
        return data[position:end], end


def _is_wrong(kind: int, content: bytes) -> bool:
    """Whether a meta event has another length than the standard gives it, or a value outside the standard."""
    if len(content) != _META_LENGTHS.get(kind, len(content)):
        return True
    return (
        (kind == TEMPO and not any(content))
        or (kind == SMPTE_OFFSET and content[0] > 0x7F)
        or (kind == TIME_SIGNATURE and parse_time_signature(content) is None)
        or (kind == KEY_SIGNATURE and (parse_key_signature(content) is None or content[1] > 1))
    )


def parse_time_signature(content: bytes) -> tuple[int, int] | None:
    """Beats and beat type; None if there are none, or the type is not a power of two up to 128."""
    if len(content) < 2 or not content[0] or content[1] > 7:
        return None
    return content[0], 1 << content[1]


def parse_key_signature(content: bytes) -> tuple[int, bool] | None:
    """Fifths and whether it is minor (a mode that is unknown is not); None beyond seven flats or sharps."""
    fifths = int.from_bytes(content[:1], signed=True)
    return (fifths, content[1:2] == b"\1") if content and abs(fifths) <= MAX_FIFTHS else None
