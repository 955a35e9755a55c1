"""From the events of a Standard MIDI File to notes in ticks.

A note-off, or a note-on of velocity 0, ends every note of its track, port, channel and pitch that began
before its tick; controllers 120 and 123 end all notes of their track's channel. A note that is never released
ends with its track. A pitched note that is released in the tick of its onset is left out; a drum hit that is,
or that is never released, lasts one tick.

A port has channels of its own. The program of a note is that of its channel at the onset: what its own track
says, and where that says nothing, what other tracks say of the channel. So it is with pedals, but a track
does not follow the pedal of one that plays another program on the channel. Drums are channel 10, channels
whose bank is 120 (General MIDI 2) or 127 (XG; under GS, 127 is another set of programs), and those that a
system exclusive message of GS or XG makes drums.

Source: MIDI 1.0; General MIDI 2; Roland GS and Yamaha XG (drum parts). Pairing as in pretty_midi, which
note-seq, and so MT3, reads with. Deviations: pretty_midi drops notes that are never released and drum hits of
no length, takes the program at the note-off, looks at no other track, and knows no ports, banks or system
exclusive messages.
"""

import re
from dataclasses import dataclass

import numpy as np

from mt3x.music.instruments import DRUM_CHANNEL
from mt3x.music.notes import SUSTAIN_CONTROL
from mt3x.music.smf.chunks import MESSAGE_DTYPE, Events
from mt3x.music.smf.mending import Mending
from mt3x.music.smf.tracks import CONTROL, NOTE_OFF, NOTE_ON, PROGRAM, SYSTEM_EXCLUSIVE, Other

TICK_NOTE_DTYPE = np.dtype(
    [
        ("start_tick", np.int64),
        ("end_tick", np.int64),
        ("track", np.int32),
        ("port", np.int32),
        ("channel", np.int32),
        ("pitch", np.int32),
        ("velocity", np.int32),
        ("program", np.int32),  # 0 for drums
        ("is_drum", np.bool_),
    ]
)

_BANK = 0
_ENDS_ALL = (120, 123)
_GM2_DRUM_BANK, _XG_DRUM_BANK = 120, 127
_TICK_BITS = 36  # of a sort key, as many as MAX_TICKS has; above them is the number of a group

# System exclusive messages; the second byte of manufacturers' names a device.
_GS_DRUM_PART = re.compile(
    rb"\x41.\x42\x12\x40([\x10-\x1f])\x15(.)", re.DOTALL
)  # the part, and 0 for no drums
_XG_PART_MODE = re.compile(rb"\x43.\x4c\x08(.)\x07(.)", re.DOTALL)  # the same
_GS_RESET = re.compile(rb"\x41.\x42\x12\x40\x00\x7f\x00", re.DOTALL)
_RESET = re.compile(  # of GS, of XG, and General MIDI on
    rb"\x41.\x42\x12\x40\x00\x7f\x00|\x43.\x4c\x00\x00\x7e\x00|\x7e.\x09[\x01\x03]", re.DOTALL
)


def collect_notes(events: Events) -> np.ndarray:
    """The notes of a file: `TICK_NOTE_DTYPE` [K], by track, port and channel, in the order of onsets.

    What is mended is counted in `events.mended`.
    """
    messages = events.messages
    is_ending = (messages["kind"] == CONTROL) & np.isin(messages["first"], _ENDS_ALL)
    messages = messages[(messages["kind"] == NOTE_ON) | (messages["kind"] == NOTE_OFF) | is_ending]
    is_onset = (messages["kind"] == NOTE_ON) & (messages["second"] > 0)
    ends = _pair(messages, is_onset)[is_onset]
    struck = messages[is_onset]
    notes = np.zeros(len(struck), TICK_NOTE_DTYPE)
    for name in ("track", "port", "channel"):
        notes[name] = struck[name]
    notes["start_tick"], notes["pitch"], notes["velocity"] = struck["tick"], struck["first"], struck["second"]
    notes["is_drum"] = _are_drums(events, notes)
    changes = events.messages[events.messages["kind"] == PROGRAM]
    program = _channel_values(changes, changes["first"], 0, notes, events)
    notes["program"] = np.where(notes["is_drum"], 0, program)

    is_unreleased = ends < 0
    ends = np.where(is_unreleased & ~notes["is_drum"], events.end_ticks[notes["track"]], ends)
    is_short = ends <= notes["start_tick"]
    is_lost = is_short & ~notes["is_drum"] & ~is_unreleased
    notes["end_tick"] = np.where(is_short, notes["start_tick"] + 1, ends)
    events.mended[Mending.UNRELEASED] += int((is_unreleased & ~notes["is_drum"]).sum())
    events.mended[Mending.NO_LENGTH] += int(is_lost.sum())
    notes = notes[~is_lost]
    return notes[np.argsort(_parts(notes), kind="stable")]


@dataclass(frozen=True, eq=False)
class Pedals:
    """The sustain pedals of a file.

    Attributes:
      part: int64 [K], a number for each track, port and channel that has notes.
      pedal_of: int64 [K], the number of the pedal that holds each note, or -1.
      movements: int64 [P, 2], rows of tick and control value, by pedal.
      number: int64 [P], of the pedal that moves.
    """

    part: np.ndarray
    pedal_of: np.ndarray
    movements: np.ndarray
    number: np.ndarray


def collect_pedals(events: Events, notes: np.ndarray) -> Pedals:
    """Which pedals hold which notes.

    Args:
      notes: as `collect_notes` gives them.
    """
    messages = events.messages
    pedal = messages[(messages["kind"] == CONTROL) & (messages["first"] == SUSTAIN_CONTROL)]
    pedal = pedal[np.argsort(_lines(pedal, events), kind="stable")]
    pedal_part, pedal_line = _parts(pedal), _lines(pedal, events)
    parts, first, part = np.unique(_parts(notes), return_index=True, return_inverse=True)
    player = notes["program"][first] + 128 * notes["is_drum"][first]
    # What the track of each pedal plays on the channel; -1: nothing.
    place = np.searchsorted(parts, pedal_part)
    is_player = np.append(parts, -1)[place] == pedal_part
    played = np.where(is_player, np.append(player, -1)[place], -1)

    pedal_of = np.where(np.isin(parts, pedal_part), np.arange(len(parts)), -1)
    movements, numbers = [pedal[is_player]], [place[is_player]]
    lines = _lines(notes[first], events)
    has_others = (pedal_of < 0) & np.isin(lines, pedal_line)
    keys, key = np.unique(lines[has_others] << 8 | player[has_others], return_inverse=True)
    pedal_of[has_others] = len(parts) + key
    begins, ends = (np.searchsorted(pedal_line, keys >> 8, side) for side in ("left", "right"))
    for number, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        others = played[begin:end]
        mine = pedal[begin:end][(others == -1) | (others == keys[number] & 0xFF)]
        movements.append(mine)
        numbers.append(np.full(len(mine), len(parts) + number))
    moved = np.concatenate(movements)
    ticks_and_values = np.stack([moved["tick"], moved["second"]], axis=1)
    return Pedals(part, pedal_of[part], ticks_and_values, np.concatenate(numbers))


def _pair(messages: np.ndarray, is_onset: np.ndarray) -> np.ndarray:
    """Where the note of each onset ends: int64 [E], a tick, or -1 if it is never released.

    Args:
      messages: onsets, releases, and controllers that end all notes, by track in the order of the file.
    """
    ends = [-1] * len(messages)
    ticks = messages["tick"].tolist()
    parts, part = np.unique(_parts(messages), return_inverse=True)
    sounding: list[dict[int, list[int]]] = [{} for _ in parts]  # pitch -> onsets
    pitches = np.where(messages["kind"] == CONTROL, -1, messages["first"]).tolist()
    rows = zip(part.tolist(), pitches, is_onset.tolist(), ticks, strict=True)
    for index, (number, pitch, begins, tick) in enumerate(rows):
        held = sounding[number]
        if begins:
            if pitch in held:
                held[pitch].append(index)
            else:
                held[pitch] = [index]
        elif pitch >= 0:
            struck = held.pop(pitch, ())
            if struck and ticks[struck[0]] < tick <= ticks[struck[-1]]:
                # Struck again at this tick, before the release of the earlier note: it sounds on.
                held[pitch] = [onset for onset in struck if ticks[onset] == tick]
                struck = [onset for onset in struck if ticks[onset] < tick]
            for onset in struck:
                ends[onset] = tick
        else:
            for struck in held.values():
                for onset in struck:
                    ends[onset] = tick
            held.clear()
    return np.array(ends, np.int64)


def _are_drums(events: Events, notes: np.ndarray) -> np.ndarray:
    """bool [K], of notes whose onsets and channels are known."""
    messages = events.messages
    exclusive = [other for other in events.others if other.kind == SYSTEM_EXCLUSIVE]
    is_bank = (messages["kind"] == CONTROL) & (messages["first"] == _BANK)
    bank = _channel_values(messages[is_bank], messages["second"][is_bank], 0, notes, events)
    is_gs = any(_GS_RESET.match(other.content) for other in exclusive)
    switches = _drum_switches(exclusive)
    switch = _latest(_lines(switches, events), switches, switches["first"], _lines(notes, events), notes, -1)
    is_drum_part = np.where(switch < 0, notes["channel"] == DRUM_CHANNEL, switch > 0)
    return is_drum_part | (bank == _GM2_DRUM_BANK) | ((bank == _XG_DRUM_BANK) & (not is_gs))


def _drum_switches(exclusive: list[Other]) -> np.ndarray:
    """What system exclusive messages make of channels, as messages: first is 0, or more for drums, or -1 for
    what the channel is by its number.
    """
    rows = []
    for tick, track, port, _, content in exclusive:
        if gs := _GS_DRUM_PART.match(content):
            block, value = gs[1][0] & 0x0F, gs[2][0]  # 1 to 9 are channels 1 to 9, 0 is channel 10
            channels = [block if block > 9 else (block - 1) % 10]
        elif xg := _XG_PART_MODE.match(content):
            channels, value = [xg[1][0] & 0x0F], xg[2][0]
        elif _RESET.match(content):
            channels, value = range(16), -1
        else:
            continue
        rows += [(tick, track, port, 0, channel, value, 0) for channel in channels]
    return np.array(rows, MESSAGE_DTYPE)


def _channel_values(
    changes: np.ndarray, values: np.ndarray, default: int, notes: np.ndarray, events: Events
) -> np.ndarray:
    """What a channel is set to at each onset, by the note's own track, or else by all: int64 [K]."""
    part = _parts(notes)
    by_own = _latest(_parts(changes), changes, values, part, notes, default)
    by_all = _latest(_lines(changes, events), changes, values, _lines(notes, events), notes, default)
    return np.where(np.isin(part, _parts(changes)), by_own, by_all)


def _latest(
    group: np.ndarray,
    changes: np.ndarray,
    values: np.ndarray,
    note_group: np.ndarray,
    notes: np.ndarray,
    default: int,
) -> np.ndarray:
    """The last of the values set in a note's group until its onset, or the default: int64 [K]."""
    if not len(changes):
        return np.full(len(notes), default)
    _, number = np.unique(np.concatenate([group, note_group]), return_inverse=True)
    number = number.astype(np.int64) << _TICK_BITS
    key = number[: len(group)] + changes["tick"]
    order = np.argsort(key, kind="stable")
    key = key[order]
    note_key = number[len(group) :] + notes["start_tick"]
    latest = np.searchsorted(key, note_key, side="right") - 1
    is_set = (latest >= 0) & (key[latest] >> _TICK_BITS == note_key >> _TICK_BITS)
    return np.where(is_set, values[order][latest], default)


def _parts(rows: np.ndarray) -> np.ndarray:
    """A number for each track, port and channel, in this order: int64, same shape."""
    return rows["track"].astype(np.int64) << 12 | rows["port"] << 4 | rows["channel"]


def _lines(rows: np.ndarray, events: Events) -> np.ndarray:
    """A number for each port and channel that tracks share; those that play one after another do not."""
    parts = _parts(rows)
    return parts if events.are_sequential else parts & 0xFFF
