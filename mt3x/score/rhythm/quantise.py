"""Transcribed notes and their beats -> a score: note values, rests, voices, staves, measures.

A beat is 24 divs, a dotted one 36. Every program becomes a part, drums another. Onsets are placed by
`mt3x.score.rhythm.grids`; hands and voices are told by `mt3x.score.rhythm.voices`; then note values are
chosen as a reader expects them: a note lasts until the next of its voice unless a rest is clearly heard.
Steps are not spelled.

Grace notes are the short ones before a note, off any grid: duration 0. Ends that fall on the grid throughout,
as a sequencer plays them, are kept as they are.
"""

from dataclasses import dataclass

import numpy as np

from mt3x.music.instruments import DRUMS_NAME, program_name
from mt3x.music.notes import sort_notes, validate_notes
from mt3x.score.rhythm.beat_salience import onset_events
from mt3x.score.rhythm.beats import Beats, tempo_marks
from mt3x.score.rhythm.grids import DIVS_PER_QUARTER, place_events
from mt3x.score.rhythm.voices import has_one_voice, has_two_staves, is_melody, split_hands, split_voices
from mt3x.score.score import Part, Score, make_score_notes

_EXACT_SECONDS = 0.003
_SAME_END_DIVS = 0.5
_FEWEST_UNDER_PEDAL = 3
_LONGEST_FINAL_DIVS = 8 * DIVS_PER_QUARTER
_REST_COSTS = ((24, 0.5), (12, 1.0), (0, 2.7))
"""(Divs, cost) of a rest that is at least so long, if it begins on a beat, a half beat or elsewhere."""

_LAST_COST = 0.2
_PLAIN_VALUES = (6, 8, 12, 24, 36, 48, 72, 96)
_VOICES = range(52, 55)
_PAGE_ORDER = (72, 64, 56, 8, 112, 120, _VOICES.start, 104, 24, 0, 16, 80, 88, 96, 40, 48, 32)
"""First programs of General MIDI's families, and of voices, from the top of a page."""


@dataclass(frozen=True)
class _Placed:
    """One part on the grid: onset int64 [N] and end float64 [N] in divs, whether a grace note.

    event: int64 [N]; notes struck together share one.
    """

    notes: np.ndarray
    event: np.ndarray
    onset: np.ndarray
    end: np.ndarray
    is_grace: np.ndarray


def quantise(notes: np.ndarray, beats: Beats) -> Score:
    """The score of a performance, its beats known; steps unspelled, no key signature.

    Args:
      notes: `NOTE_DTYPE` [N], in any order, at least one.
      beats: as `mt3x.score.rhythm.beats.track_beats` finds them.

    Raises:
      ValueError: the notes are unsound, or there is none.
    """
    notes = sort_notes(validate_notes(notes))
    if not len(notes):
        raise ValueError("there is no note to write; give at least one")
    beats = _cover(beats, notes)
    size = round(DIVS_PER_QUARTER * beats.quarters_per_beat)
    end = beats.positions(notes["end"]) * size
    ends_are_exact = _are_on_grid(end[~notes["is_drum"]], beats)
    placed = [
        (program, is_drum, _place(notes[mine], end[mine], beats))
        for program, is_drum, mine in _instruments(notes)
    ]
    last_end = max(_last_end(p, ends_are_exact) for _, _, p in placed)
    origin, measures, signatures = _measures(beats, [p for _, _, p in placed], last_end)
    parts = tuple(
        Part(
            DRUMS_NAME if is_drum else program_name(program),
            program,
            is_drum,
            _write_part(p, program, is_drum, ends_are_exact, origin, measures, signatures),
        )
        for program, is_drum, p in placed
    )
    marks: dict[int, float] = {}
    for beat, tempo in tempo_marks(beats):
        marks[max(round(beat * size) - origin, 0)] = round(tempo, 1)
    tempos = tuple((div, tempo) for div, tempo in marks.items() if div < measures[-1, 1])
    return Score(DIVS_PER_QUARTER, parts, measures, signatures, tempos=tempos)


def _instruments(notes: np.ndarray) -> list[tuple[int, bool, np.ndarray]]:
    """(program, is_drum, mask of its notes), in the order of the page."""
    families = [(family, False) for family in np.unique(notes["program"][~notes["is_drum"]]).tolist()]
    rank = {first: place for place, first in enumerate(_PAGE_ORDER)}
    families.sort(key=lambda item: (rank[_family(item[0])], item[0]))
    if notes["is_drum"].any():
        families.append((0, True))
    return [
        (program, is_drum, (notes["is_drum"] == is_drum) & (is_drum | (notes["program"] == program)))
        for program, is_drum in families
    ]


def _family(program: int) -> int:
    """The first program of those that stand together on a page."""
    return _VOICES.start if program in _VOICES else program // 8 * 8


def _cover(beats: Beats, notes: np.ndarray) -> Beats:
    """Beats carried on, at their first and last tempo, until no note begins outside of them."""
    seconds = beats.seconds
    positions = beats.positions(np.array([notes["start"].min(), notes["start"].max()]))
    early = max(int(np.ceil(-positions[0] - 0.25)), 0)
    late = max(int(np.floor(positions[1] + 0.5)) + 2 - len(seconds), 0)
    size = beats.beats_per_measure
    downbeats = np.flatnonzero(beats.is_downbeat)
    before, after = np.arange(-early, 0), np.arange(len(seconds), len(seconds) + late)
    first, last = np.diff(seconds)[[0, -1]]
    return Beats(
        np.concatenate([seconds[0] + before * first, seconds, seconds[-1] + np.arange(1, late + 1) * last]),
        np.concatenate(
            [(before - downbeats[0]) % size == 0, beats.is_downbeat, (after - downbeats[-1]) % size == 0]
        ),
        size,
        beats.is_compound,
    )


def _are_on_grid(end: np.ndarray, beats: Beats) -> bool:
    """Whether ends (in divs) are those of a score, played by a machine that keeps it."""
    div_seconds = float(np.median(np.diff(beats.seconds))) / (DIVS_PER_QUARTER * beats.quarters_per_beat)
    grids = [np.abs(end - np.rint(end / step) * step) for step in (3, 4)]
    error = np.minimum(*grids) * div_seconds
    return bool(len(error)) and float(np.quantile(error, 0.95)) < _EXACT_SECONDS


def _place(notes: np.ndarray, end: np.ndarray, beats: Beats) -> _Placed:
    times, event = onset_events(notes)
    position = np.maximum(beats.positions(times), 0)
    gaps = np.diff(beats.seconds)
    beat_seconds = gaps[np.clip(position.astype(int), 0, len(gaps) - 1)]
    longest = np.zeros(len(times))
    np.maximum.at(longest, event, notes["end"] - notes["start"])
    divs, is_grace = place_events(position, beat_seconds, longest, beats.is_compound)
    placed = _Placed(notes, event, divs[event], end, is_grace[event])
    return _without_doubles(placed)


def _without_doubles(placed: _Placed) -> _Placed:
    """One note for each (onset, pitch, grace or not): the longest."""
    pitch, onset, is_grace = placed.notes["pitch"], placed.onset, placed.is_grace
    order = np.lexsort((-placed.end, is_grace, pitch, onset))
    keys = np.stack([onset, pitch, is_grace], axis=1)[order]
    first = np.append(True, (np.diff(keys, axis=0) != 0).any(1))
    kept = order[first]
    return _Placed(placed.notes[kept], placed.event[kept], onset[kept], placed.end[kept], is_grace[kept])


def _last_end(placed: _Placed, ends_are_exact: bool) -> int:
    """Until where the score goes on after its last onset, in divs: long enough for what is held clearly."""
    slack = 0 if ends_are_exact else DIVS_PER_QUARTER
    latest = int(placed.onset.max())
    return int(np.clip(np.rint(placed.end.max()) - slack, latest + 1, latest + _LONGEST_FINAL_DIVS))


def _measures(
    beats: Beats, placed: list[_Placed], last_end: int
) -> tuple[int, np.ndarray, tuple[tuple[int, int, int], ...]]:
    """Div of the beats' time where the score begins, measures from there int64 [M, 2], time signatures."""
    size = round(DIVS_PER_QUARTER * beats.quarters_per_beat)
    per_quarter_beats, beat_type = (3, 8) if beats.is_compound else (1, 4)
    first_onset = min(int(part.onset.min()) for part in placed)
    bars = np.flatnonzero(beats.is_downbeat) * size
    usual = beats.beats_per_measure * size
    starts = bars[bars < last_end].tolist()
    if not starts:
        starts = [int(bars[0])]
    starts.append(starts[-1] + usual)
    while starts[-1] < last_end:
        starts.append(starts[-1] + usual)
    while starts[1] <= first_onset and len(starts) > 2:
        del starts[0]
    has_pickup = first_onset < starts[0]
    origin = first_onset if has_pickup else starts[0]
    edges = np.array([origin, *starts] if has_pickup else starts, np.int64) - origin
    measures = np.stack([edges[:-1], edges[1:]], axis=1)
    signatures: list[tuple[int, int, int]] = []
    for index, (start, end) in enumerate(measures.tolist()):
        is_usual = index == 0 and has_pickup and end - start < usual
        count = beats.beats_per_measure if is_usual else (end - start) // size
        signature = (max(count, 1) * per_quarter_beats, beat_type)
        if not signatures or signatures[-1][1:] != signature:
            signatures.append((start, *signature))
    return origin, measures, tuple(signatures)


def _write_part(
    placed: _Placed,
    program: int,
    is_drum: bool,
    ends_are_exact: bool,
    origin: int,
    measures: np.ndarray,
    signatures: tuple[tuple[int, int, int], ...],
) -> np.ndarray:
    """`SCORE_NOTE_DTYPE` [N] with staves, voices and note values."""
    onset, end = placed.onset - origin, np.maximum(placed.end - origin, placed.onset - origin + 1)
    pitch = placed.notes["pitch"]
    staff, voice = np.ones(len(onset), np.int32), np.ones(len(onset), np.int32)
    duration = np.zeros(len(onset), np.int64)
    held = ~placed.is_grace
    if is_drum:
        end = onset + 1.0 * DIVS_PER_QUARTER
    elif has_two_staves(program) and not is_melody(onset[held], end[held], pitch[held]):
        staff = split_hands(onset, end, pitch)
    for number in np.unique(staff).tolist():
        mine = np.flatnonzero((staff == number) & held)
        if not ends_are_exact:
            end[mine] = _without_pedal(onset[mine], end[mine])
        if not (is_drum or has_one_voice(program)):
            voice[mine] = split_voices(onset[mine], end[mine], pitch[mine], ends_are_exact)
        for one in np.unique(voice[mine]).tolist():
            rows = mine[voice[mine] == one]
            duration[rows] = _note_values(onset[rows], end[rows], ends_are_exact and not is_drum, measures)
    voice = voice + 2 * (staff - 1)
    grace = _grace_places(placed, staff)
    return make_score_notes(onset, duration, pitch, voice=voice, staff=staff, grace=grace)


def _grace_places(placed: _Placed, staff: np.ndarray) -> np.ndarray:
    """How many events of grace notes lead from each to its note, itself counted: int32 [N], 0 of others."""
    places = np.zeros(len(staff), np.int32)
    graces = np.flatnonzero(placed.is_grace)
    keys = np.stack([staff[graces], placed.onset[graces]], axis=1)
    for key in np.unique(keys, axis=0):
        mine = graces[(keys == key).all(1)]
        events, event = np.unique(placed.event[mine], return_inverse=True)
        places[mine] = len(events) - event
    return places


def _without_pedal(onset: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Ends in divs, those that a pedal made cut to the next onset: float64 [N].

    Where several onsets end all at once, a pedal was lifted, and how long its notes are can't be heard.
    """
    order = np.argsort(end, kind="stable")
    lift = np.zeros(len(end), np.int64)
    lift[order] = np.cumsum(np.diff(end[order], prepend=-np.inf) > _SAME_END_DIVS)
    lifted = np.unique(np.stack([lift, onset], axis=1), axis=0)[:, 0]
    is_pedal = np.bincount(lifted, minlength=int(lift.max(initial=0)) + 1)[lift] >= _FEWEST_UNDER_PEDAL
    times = np.unique(onset)
    following = np.append(times, np.inf)[np.searchsorted(times, onset, side="right")]
    return np.where(is_pedal, np.minimum(end, following), end)


def _note_values(
    onset: np.ndarray, end: np.ndarray, ends_are_exact: bool, measures: np.ndarray
) -> np.ndarray:
    """Durations in divs of the notes of one voice, the same for all notes of a chord: int64 [N]."""
    times, chord = np.unique(onset, return_inverse=True)
    final = int(measures[-1, 1])
    durations = np.zeros(len(times), np.int64)
    ends = np.array([np.median(end[chord == index]) for index in range(len(times))])
    for index, (time, heard) in enumerate(zip(times.tolist(), ends.tolist(), strict=True)):
        is_last = index + 1 == len(times)
        limit = final if is_last else int(times[index + 1])
        if ends_are_exact:
            durations[index] = np.clip(round(heard) - time, 1, limit - time)
        else:
            durations[index] = _note_value(time, heard, limit, is_last)
    return durations[chord]


def _note_value(onset: int, heard_end: float, limit: int, is_last: bool) -> int:
    """The duration that a reader expects of a note heard from `onset` to `heard_end`, another at `limit`.

    It lasts to the limit, or a plain note value, or to a whole or half beat; then comes a rest, which costs
    less the longer and plainer it is. The last note of a voice has no other to last to.
    """
    room = limit - onset
    heard = max(heard_end - onset, 1.0)
    last = min(limit - 1, onset + int(heard) + 2 * DIVS_PER_QUARTER)
    ends = {onset + value for value in _PLAIN_VALUES} | set(range(onset - onset % 12 + 12, last, 12))
    best, least = room, abs(np.log2(room / heard)) + is_last * _LAST_COST
    for end in sorted(end for end in ends if onset < end <= last):
        rest = limit - end
        costs = [cost for length, cost in _REST_COSTS if rest >= length and end % max(length, 1) == 0]
        cost = abs(np.log2((end - onset) / heard)) + min(costs)
        if cost < least:
            best, least = end - onset, cost
    return best
