"""The grid of a MIDI file as a score: ticks as divs, as a program wrote them.

A track is a part, a channel in it a voice; notes are not spelled, and drums are left out. Bars begin at 0 and
wherever the time signature changes; without one it is 4/4. All parts share the key signatures of tracks
without notes, or else of all. For what was played, see `mt3x.score.notation.writing.notate`.
"""

import math
from bisect import bisect_left

import numpy as np

from mt3x.music.midi import MidiContent
from mt3x.score.score import BEAT_TYPES, Part, Score, make_score_notes

MAX_MEASURES = 1_000_000


def score_of_midi(content: MidiContent) -> Score:
    """The score of what `mt3x.music.midi.read_midi_content` read.

    Raises:
      ValueError: no pitched notes, or more than `MAX_MEASURES`.
    """
    is_pitched = ~content.notes["is_drum"]
    notes, origins = content.notes[is_pitched], content.origins[is_pitched]
    if not len(notes):
        raise ValueError("it has no pitched notes")
    times = {0: (4, 4)}
    for tick, _, beats, beat_type in content.time_signatures.tolist():
        if beat_type in BEAT_TYPES:
            times[tick] = (beats, beat_type)
    # Divs are ticks, unless a measure is no whole number of them.
    ticks = content.clock.ticks_per_quarter
    scale = math.lcm(*(kind // math.gcd(4 * ticks * beats, kind) for beats, kind in times.values()))
    end = scale * int(origins["end_tick"].max())
    times = {scale * tick: metre for tick, metre in times.items() if tick == 0 or scale * tick < end}
    starts = _measure_starts(times, scale * ticks, end)
    keys = content.key_signatures
    is_shared = ~np.isin(keys["track"], origins["track"])
    shared = keys[is_shared] if is_shared.any() else keys
    fifths: dict[int, int] = {}
    for tick, fifth in shared[["tick", "fifths"]].tolist():
        following = bisect_left(starts, scale * tick)
        if following < len(starts):
            fifths[starts[following]] = fifth
    return Score(
        scale * ticks,
        tuple(_part(content, notes, origins, track, scale) for track in np.unique(origins["track"]).tolist()),
        np.stack([starts, [*starts[1:], end]], axis=1).astype(np.int64),
        tuple((tick, *metre) for tick, metre in times.items()),
        tuple(sorted(fifths.items())),
        tuple(_tempos(content, scale, end).items()),
    )


def _part(content: MidiContent, notes: np.ndarray, origins: np.ndarray, track: int, scale: int) -> Part:
    mine = origins["track"] == track
    notes, origins = notes[mine], origins[mine]
    onset, end = (scale * origins[name] for name in ("start_tick", "end_tick"))
    voice = np.unique(origins[["port", "channel"]], return_inverse=True)[1] + 1
    name, program = content.track_names[track], int(notes["program"][0])
    return Part(name, program, False, make_score_notes(onset, end - onset, notes["pitch"], voice=voice))


def _measure_starts(times: dict[int, tuple[int, int]], divs_per_quarter: int, end: int) -> list[int]:
    """Where measures begin until the end, in divs; a new time signature begins one."""
    starts: list[int] = []
    for (start, (beats, beat_type)), stop in zip(times.items(), [*list(times)[1:], end], strict=True):
        length = 4 * divs_per_quarter * beats // beat_type
        if (stop - start) // length > MAX_MEASURES:
            count = math.ceil((stop - start) / length)
            raise ValueError(f"it has {count} measures of {beats}/{beat_type}, more than {MAX_MEASURES}")
        starts += range(start, stop, length)
    return starts


def _tempos(content: MidiContent, scale: int, end: int) -> dict[int, float]:
    """Quarters per minute by div; none where the file counts SMPTE time code."""
    if not content.clock.has_beats:
        return {}
    return {
        scale * tick: 60e6 / micro for tick, micro in content.clock.tempos if micro and scale * tick < end
    }
