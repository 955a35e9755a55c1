"""What the players of a band play over a song: bass lines, accompaniment, and a melody, sung or played.

Conventions: a part is an array of `PART_NOTE_DTYPE`, in quarters from the song's first bar line and not yet
performed: onsets lie on the (perhaps swung) grid, or on the drummer's kicks where the bass follows them.
`delay_seconds` spreads the strings of a strum.
"""

from collections.abc import Sequence

import numpy as np

from mt3x.data.synthetic.band_harmony import Song, Style
from mt3x.data.synthetic.lead_sheets import Chord
from mt3x.data.synthetic.orchestra import fold_into_range, octaves_into_range

PART_NOTE_DTYPE = np.dtype(
    [
        ("onset_quarters", "f8"),
        ("duration_quarters", "f8"),
        ("pitch", "i4"),
        ("accent", "f8"),  # added to the velocity
        ("delay_seconds", "f8"),
    ]
)

_OPEN_STRINGS = (40, 45, 50, 55, 59, 64)
_LONGEST_HELD_QUARTERS = 8.0

# One bar of 4/4 in eighths or sixteenths: D a stroke down, U up, . nothing.
_STRUMS = ("D.DU.UDU", "D.D.D.D.", "D.DUD.DU", "DUDUDUDU", "D..U.UD.", "D...D.DU", "D.......", "D...D...")
_FUNK_STRUMS = ("D..UD.DU.UD.DU.U", "..D...DU..D..UD.", "D.UU.UDUD.UU.UDU", ".U..DU.U.UD.D..U")
_COMPS = (
    "D..D..D.",
    "D.D.D.D.",
    "..D...D.",
    ".D.D.D.D",
    "D.....D.",
    "D...D...",
    "D..D....",
    "DDDDDDDD",
    ".D...D.D",
)
_POWER_RIFFS = (
    "D.......",
    "D...D...",
    "D.DD.DD.",
    "D..D..D.",
    "D.DDD.DDD.DDD.DD",
    "DDD.DDD.DDD.D.D.",
    "D.D.D.D.",
)

_BASS_MANNERS: dict[Style, tuple[str, ...]] = {
    Style.ROCK: ("kick", "eighths", "eighths", "riff", "root_fifth"),
    Style.POP: ("kick", "kick", "eighths", "root_fifth", "octaves", "riff"),
    Style.FUNK: ("riff", "riff", "kick", "octaves"),
    Style.JAZZ: ("walk", "walk", "walk", "root_fifth"),
    Style.METAL: ("eighths", "eighths", "kick", "sixteenths", "riff"),
    Style.LATIN: ("tumbao", "tumbao", "root_fifth", "kick"),
    Style.COUNTRY: ("root_fifth", "root_fifth", "walk", "kick"),
}


def make_part(
    onset: np.ndarray, duration: np.ndarray, pitch: np.ndarray, accent: np.ndarray | float = 0.0
) -> np.ndarray:
    """A part from columns, each [N], without delays: `PART_NOTE_DTYPE` [N]."""
    part = np.zeros(len(onset), PART_NOTE_DTYPE)
    part["onset_quarters"], part["duration_quarters"] = onset, duration
    part["pitch"], part["accent"] = pitch, accent
    return part


def swing_onsets(onset: np.ndarray, swing: float) -> np.ndarray:
    """Moves the second half of each quarter to `swing`: float64 [N] -> float64 [N].

    >>> swing_onsets(np.array([1.0, 1.5, 1.75]), 0.6).round(2).tolist()
    [1.0, 1.6, 1.8]
    """
    return np.floor(onset) + np.interp(onset % 1, [0, 0.5, 1], [0, swing, 1])


def draw_bass(rng: np.random.Generator, song: Song, program: int) -> np.ndarray:
    """A bass line: `PART_NOTE_DTYPE` [N], one note at a time."""
    manners = _BASS_MANNERS[song.style]
    manner = manners[int(rng.integers(len(manners)))]
    if manner == "kick" and not len(song.kicks):
        manner = "root_fifth"
    onset = _bass_onsets(rng, song, manner)
    if not len(onset):
        return make_part(onset, onset, onset)
    chord = song.chord_indices(onset + 0.6 * (manner == "tumbao"))  # a tumbao is ahead of the chord
    bass = np.array([28 + (c.bass - 4) % 12 for c in song.chords])[chord]
    pitch = bass + _bass_offsets(rng, song, manner, onset, chord)
    silent = np.array([not c.intervals for c in song.chords])[chord]
    gaps = np.diff(onset, append=song.quarters)
    duration = np.clip(gaps, 0.1, 4.0) * rng.uniform(0.4, 1.0)
    if manner != "kick":
        onset = swing_onsets(onset, song.swing)
    accent = np.where(onset % song.quarters_per_bar < 0.1, rng.uniform(0, 10), 0.0)
    part = make_part(onset, duration, pitch + 12 * (rng.random() < 0.2), accent)[~silent]
    part["pitch"] = fold_into_range(part["pitch"], np.full(len(part), program))
    return part


def _bass_onsets(rng: np.random.Generator, song: Song, manner: str) -> np.ndarray:
    if manner == "kick":
        onsets = song.kicks
        onsets = onsets[np.diff(onsets, prepend=-1) > 0.15]
        return np.sort(onsets[rng.random(len(onsets)) < rng.uniform(0.8, 1.05)])
    steady = {"eighths": 0.5, "octaves": 0.5, "sixteenths": 0.25, "walk": 1.0}
    if manner in steady:
        onsets = np.arange(0, song.quarters, steady[manner])
        return onsets[rng.random(len(onsets)) < rng.uniform(0.85, 1.1)]
    bars = np.arange(song.num_bars)[:, None] * song.quarters_per_bar
    if manner == "root_fifth":
        rhythm = np.array([0.0, 2.0])
    elif manner == "tumbao":
        rhythm = np.array([0.0, 1.5, 3.0] if rng.random() < 0.4 else [1.5, 3.0])
    else:  # a riff: a rhythm in sixteenths, the same in every bar
        is_struck = rng.random(16) < np.tile([0.6, 0.2, 0.4, 0.25], 4) * rng.uniform(0.7, 1.3)
        is_struck[0] = True
        rhythm = np.flatnonzero(is_struck) / 4
    return (bars + rhythm[rhythm < song.quarters_per_bar]).ravel()


def _bass_offsets(
    rng: np.random.Generator, song: Song, manner: str, onset: np.ndarray, chord: np.ndarray
) -> np.ndarray:
    """Semitones above the chord's bass note: int64 [N]."""
    count = len(onset)
    is_first = np.diff(chord, prepend=-1) != 0
    if manner == "octaves":
        return 12 * (np.rint(onset * 2).astype(np.int64) % 2)
    if manner == "root_fifth":
        return np.where(is_first | (onset % song.quarters_per_bar < 0.1), 0, 7)
    if manner == "riff":
        position = np.rint(onset % song.quarters_per_bar * 4).astype(np.int64)
        offsets = rng.choice([0, 0, 0, 0, 7, 10, 12, 5, 3, -2], 64)
        return np.where(position == 0, 0, offsets[position % 64])
    if manner == "walk":
        return _walk(rng, song, chord, is_first)
    offsets = np.zeros(count, np.int64)
    strays = rng.random(count) < rng.uniform(0, 0.25)
    return np.where(strays & ~is_first, rng.choice([7, 12, 12, 10, 5], count), offsets)


def _walk(rng: np.random.Generator, song: Song, chord: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """Chord tones and steps, and a semitone towards the root of each chord that follows."""
    offsets = np.zeros(len(chord), np.int64)
    for i, index in enumerate(chord.tolist()):
        if is_first[i]:
            continue
        if i + 1 < len(chord) and is_first[i + 1]:
            now, following = song.chords[index].bass, song.chords[int(chord[i + 1])].bass
            # Both lie between E and the E flat above, so that the next root is near.
            offsets[i] = (following - 4) % 12 - (now - 4) % 12 + (1 if rng.random() < 0.5 else -1)
        else:
            choices = (*song.chords[index].intervals, 2, 12, -2)
            offsets[i] = choices[int(rng.integers(len(choices)))]
    return offsets


def draw_accompaniment(rng: np.random.Generator, song: Song, program: int, has_bass: bool) -> np.ndarray:
    """Chords in a manner that fits the instrument: `PART_NOTE_DTYPE` [N].

    Without a bass, keyboards often play the bass notes too.
    """
    choice = rng.random()
    if 29 <= program <= 30 or (28 <= program <= 31 and song.style is Style.METAL):
        return _draw_power_chords(rng, song)
    if 24 <= program <= 31:
        voicings = _guitar_voicings(rng, song.chords)
        if choice < 0.3 and program < 29:
            return _draw_picking(rng, song, voicings)
        if program >= 26 and choice < 0.65:
            return _draw_comping(rng, song, [voicing[-3:] for voicing in voicings], spread=0.008)
        return _draw_strums(rng, song, voicings)
    voicings = _keyboard_voicings(rng, song.chords, not has_bass and rng.random() < 0.7)
    is_sustained = 16 <= program < 24 or 40 <= program < 64 or program >= 80
    if choice < (0.75 if is_sustained else 0.2):
        return _draw_held(rng, song, voicings)
    if choice < 0.5 and not is_sustained:
        return _draw_picking(rng, song, voicings)
    return _draw_comping(rng, song, voicings, spread=0.003)


def _guitar_voicings(rng: np.random.Generator, chords: Sequence[Chord]) -> list[np.ndarray]:
    """On each string the lowest chord tone from a position on: pitches from low to high."""
    position = (0, 0, 0, 2, 3, 5, 7)[int(rng.integers(7))]
    voicings = []
    for chord in chords:
        tones = [(chord.root + interval) % 12 for interval in chord.intervals]
        pitches = []
        for string in _OPEN_STRINGS if tones else ():
            lowest = string + position
            pitch = lowest + min((tone - lowest) % 12 for tone in tones)
            if pitches or pitch % 12 in (chord.root, chord.bass):  # muted below the root
                pitches.append(pitch)
        voicings.append(np.unique(np.array(pitches, np.int64)))
    return voicings


def _keyboard_voicings(
    rng: np.random.Generator, chords: Sequence[Chord], with_bass: bool
) -> list[np.ndarray]:
    """Close position, each tone within an octave from a lowest key on."""
    lowest = int(rng.integers(50, 62))
    voicings = []
    for chord in chords:
        pitches = {lowest + (chord.root + interval - lowest) % 12 for interval in chord.intervals}
        if with_bass and pitches:
            pitches.add(36 + chord.bass)
        voicings.append(np.array(sorted(pitches), np.int64))
    return voicings


def _draw_rhythm(
    rng: np.random.Generator, song: Song, patterns: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onsets in quarters and whether each stroke goes up, repeated in every bar; and all of its accents."""
    pattern = patterns[int(rng.integers(len(patterns)))]
    step = 4 / len(pattern)
    pattern = pattern[: round(song.quarters_per_bar / step)]
    hits = np.array([i for i, mark in enumerate(pattern) if mark != "."])
    is_up = np.array([pattern[i] == "U" for i in hits])
    bars = np.arange(song.num_bars)[:, None] * song.quarters_per_bar
    onset = (bars + hits * step).ravel()
    kept = rng.random(len(onset)) < rng.uniform(0.88, 1.1)
    accent = np.where(onset % 1 < 0.1, rng.uniform(0, 12), 0.0)
    return onset[kept], np.tile(is_up, song.num_bars)[kept], accent[kept]


def _play(
    song: Song,
    onset: np.ndarray,
    duration: np.ndarray,
    accent: np.ndarray,
    voices: list[np.ndarray],
    delays: list[np.ndarray],
) -> np.ndarray:
    """One part of strokes: `voices[i]` and `delays[i]` are the pitches of stroke i and their seconds."""
    if not voices:
        return np.zeros(0, PART_NOTE_DTYPE)
    sizes = np.array([len(pitches) for pitches in voices])
    end = swing_onsets(onset + duration, song.swing)
    start = swing_onsets(onset, song.swing)
    part = make_part(
        np.repeat(start, sizes),
        np.repeat(end - start, sizes),
        np.concatenate(voices),
        np.repeat(accent, sizes),
    )
    part["delay_seconds"] = np.concatenate(delays)
    return part


def _draw_strums(rng: np.random.Generator, song: Song, voicings: list[np.ndarray]) -> np.ndarray:
    """All strings one after the other, down or up; they ring until the next stroke."""
    patterns = _FUNK_STRUMS if song.style is Style.FUNK and rng.random() < 0.6 else _STRUMS
    onset, is_up, accent = _draw_rhythm(rng, song, patterns)
    duration = np.diff(onset, append=song.quarters) * rng.uniform(0.6, 1.0)
    spread = rng.uniform(0.005, 0.025) / 1.5
    voices, delays = [], []
    for index, up in zip(song.chord_indices(onset).tolist(), is_up.tolist(), strict=True):
        pitches = voicings[index]
        order = np.arange(len(pitches))
        if up:
            order = order[::-1][: 3 + int(rng.integers(3))]
        elif rng.random() < 0.2:
            order = order[: 3 + int(rng.integers(2))]
        voices.append(pitches[order])
        delays.append(np.arange(len(order)) * spread * (0.7 if up else 1.0))
    return _play(song, onset, duration, accent, voices, delays)


def _draw_comping(
    rng: np.random.Generator, song: Song, voicings: list[np.ndarray], spread: float
) -> np.ndarray:
    """Whole chords in a rhythm, short or held."""
    onset, _, accent = _draw_rhythm(rng, song, _FUNK_STRUMS if song.style is Style.FUNK else _COMPS)
    gaps = np.diff(onset, append=song.quarters)
    short = rng.uniform(0.15, 0.5)
    duration = np.minimum(gaps, short) if rng.random() < 0.5 else gaps * rng.uniform(0.5, 1.0)
    voices = [voicings[index] for index in song.chord_indices(onset).tolist()]
    delays = [np.arange(len(pitches)) * spread for pitches in voices]
    return _play(song, onset, duration, accent, voices, delays)


def _draw_held(rng: np.random.Generator, song: Song, voicings: list[np.ndarray]) -> np.ndarray:
    """Chords held from their symbol to the next one, at most two bars."""
    starts = np.array([chord.onset_quarters for chord in song.chords])
    bars = np.arange(0, song.num_bars, int(rng.integers(1, 3))) * song.quarters_per_bar
    onset = np.unique(np.concatenate([starts, bars]))
    duration = np.minimum(np.diff(onset, append=song.quarters), _LONGEST_HELD_QUARTERS)
    voices = [voicings[index] for index in song.chord_indices(onset).tolist()]
    delays = [np.zeros(len(pitches)) for pitches in voices]
    return _play(song, onset, duration * rng.uniform(0.9, 1.0), np.zeros(len(onset)), voices, delays)


def _draw_picking(rng: np.random.Generator, song: Song, voicings: list[np.ndarray]) -> np.ndarray:
    """Chord tones one by one, each of which rings on for a while."""
    step = float((0.25, 0.5, 0.5, 0.5, 1 / 3)[int(rng.integers(5))])
    onset = np.arange(0, song.quarters - 1e-6, step)
    order = rng.integers(0, 6, 8)
    order[0] = 0
    if rng.random() < 0.5:
        order = np.array([0, 2, 3, 4, 5, 4, 3, 2])
    voices = []
    for number, index in enumerate(song.chord_indices(onset).tolist()):
        pitches = voicings[index]
        voices.append(pitches[[min(int(order[number % 8]), len(pitches) - 1)]] if len(pitches) else pitches)
    delays = [np.zeros(len(pitches)) for pitches in voices]
    duration = np.full(len(onset), step * rng.uniform(0.9, 4.0))
    return _play(song, onset, duration, np.zeros(len(onset)), voices, delays)


def _draw_power_chords(rng: np.random.Generator, song: Song) -> np.ndarray:
    """Root, fifth and octave in a riff, or held between muted notes on the lowest string; or only roots."""
    onset, _, accent = _draw_rhythm(rng, song, _POWER_RIFFS)
    gaps = np.diff(onset, append=song.quarters)
    duration = gaps * rng.uniform(0.5, 1.0)
    size = int(rng.integers(2, 4))
    mutes = np.zeros(len(onset), bool)
    if rng.random() < 0.4:
        onset = np.arange(0, song.quarters, float((0.25, 0.5, 0.5)[int(rng.integers(3))]))
        mutes = rng.random(len(onset)) < rng.uniform(0.4, 0.9)
        mutes[onset % song.quarters_per_bar < 0.1] = False
        gaps = np.diff(onset, append=song.quarters)
        duration = np.where(mutes, gaps * rng.uniform(0.25, 0.6), gaps)
        accent = np.where(mutes, 0.0, 10.0)
    alone = rng.random() < 0.15  # a riff of single notes
    voices, delays = [], []
    for index, is_muted in zip(song.chord_indices(onset).tolist(), mutes.tolist(), strict=True):
        chord = song.chords[index]
        root = 40 + (chord.root - 4) % 12
        pitches = np.array([root, root + 7, root + 12][: 1 if is_muted or alone else size])
        voices.append(pitches if chord.intervals else pitches[:0])
        delays.append(np.arange(len(voices[-1])) * 0.004)
    return _play(song, onset, duration, accent, voices, delays)


def draw_melody(rng: np.random.Generator, song: Song, program: int) -> np.ndarray:
    """The song's melody on an instrument or, with program 53, sung: `PART_NOTE_DTYPE` [N].

    A singer binds notes, comes a little late, and repeats a pitch for the syllables of a long note.
    """
    melody = song.melody
    onset = melody["onset_quarters"].astype(np.float64)
    duration = np.minimum(melody["duration_quarters"].astype(np.float64), _LONGEST_HELD_QUARTERS)
    pitch = melody["pitch"].astype(np.int64)
    is_sung = 52 <= program <= 54
    if is_sung and len(onset) and rng.random() < 0.5:
        onset, duration, pitch = _split_syllables(rng, onset, duration, pitch)
    if len(onset):
        pitch = pitch + octaves_into_range(pitch, program)
        if is_sung:  # a high or a low voice
            pitch = pitch + 12 * round((rng.choice([55.0, 64.0]) - float(np.median(pitch))) / 12)
    pitch = fold_into_range(pitch, np.full(len(pitch), program))
    start = swing_onsets(onset, song.swing)
    length = swing_onsets(onset + duration, song.swing) - start
    if is_sung:
        length *= rng.uniform(0.88, 1.0)
        length *= rng.uniform(0.9, 1.0, len(length))
    else:
        length *= rng.uniform(0.5, 1.0)
    part = make_part(start, length, pitch, rng.normal(6, 4, len(start)))
    if is_sung:
        part["delay_seconds"] = np.maximum(rng.normal(0.02, 0.015, len(part)), -0.01)
    return part


def _split_syllables(
    rng: np.random.Generator, onset: np.ndarray, duration: np.ndarray, pitch: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some notes of a quarter or more become two of the same pitch."""
    is_split = (duration >= 1) & (rng.random(len(onset)) < rng.uniform(0.1, 0.7))
    first = np.where(is_split, np.round(duration * rng.choice([0.5, 0.5, 0.75]) * 4) / 4, duration)
    onset = np.concatenate([onset, (onset + first)[is_split]])
    length = np.concatenate([first, (duration - first)[is_split]])
    pitch = np.concatenate([pitch, pitch[is_split]])
    order = np.argsort(onset, kind="stable")
    return onset[order], length[order], pitch[order]
