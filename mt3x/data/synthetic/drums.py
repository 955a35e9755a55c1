"""Plausible drum patterns: grooves, fills, swing and accents on the General MIDI drum kit.

Conventions: a beat has four steps. Keys are General MIDI percussion keys, 35..59 mostly (one groove of hand
percussion adds 60..76). A hit lasts `HIT_SECONDS`: tokens carry no ends of drum hits.
"""

import numpy as np

from mt3x.music.checks import check_positive
from mt3x.music.notes import make_notes, trim_overlapping_notes

HIT_SECONDS = 0.1
_STEPS_PER_BEAT = 4

# Sixteen steps for each voice of a groove: X accent, x hit, o ghost note, ? sometimes, . nothing.
_GROOVES: tuple[dict[str, str], ...] = (
    {"kick": "X...?...X.?...?.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    {"kick": "X.....?.X.x.....", "snare": "....X..o....X..?", "hat": "x.x.x.x.x.x.x.x."},
    {"kick": "X...X...X...X...", "snare": "....x.......x...", "hat": "..X...X...X...X."},
    {"kick": "X..?..X...X..?..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
    {"kick": "X.........x.....", "snare": "........X.......", "hat": "x...x...x...x..."},
    {
        "kick": "x.......?.......",
        "foot": "....x.......x...",
        "ride": "x...x..xx...x..x",
        "snare": "..?....o..?....o",
    },
    {"kick": "X..x....X..x....", "side": "x..x..x...x.x...", "ride": "x.x.x.x.x.x.x.x."},
    {"kick": "X...x...X...x...", "tom_low": "X.xxX.xxX.xxX.xx", "snare": "?...X...?...X..."},
    {"kick": "X.x...x.X.x...x.", "snare": "....X.......X...", "crash": "x...x...x...x..."},
    {"kick": "Xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "ride": "x...x...x...x..."},
    {"snare": "Xoxoxxoxxoxoxxox", "kick": "x.......x......."},
    {"hat": "?.?.?.?.?.?.?.?."},
    {
        "kick": "x.......?.....?.",
        "clap": "....X.......X...",
        "hat": "xxxxxxxxxxxxxxxx",
        "open": "..?.......?.....",
    },
    {"bongo": "x.xox.xox.xox.xo", "conga": "..x...xx..x...xx", "shaker": "xoxoxoxoxoxoxoxo"},
    {"kick": "X...?...?...", "snare": "....x...x...", "ride": "x...x.x.x..."},
)
_KEYS: dict[str, tuple[int, ...]] = {
    "kick": (36, 36, 36, 35),
    "snare": (38, 38, 38, 40),
    "side": (37,),
    "clap": (39, 39, 38),
    "hat": (42, 42, 42, 42, 44, 46, 51, 54),
    "foot": (44,),
    "open": (46,),
    "ride": (51, 51, 59, 53),
    "crash": (49, 57, 52, 55),
    "tom_low": (41, 43, 45),
    "bongo": (60, 61, 76),
    "conga": (62, 63, 64),
    "shaker": (70, 69, 54, 56),
}
_FILL_KEYS = np.array([38, 50, 48, 47, 45, 43, 41, 36])
_ACCENT_VELOCITY, _HIT_VELOCITY, _GHOST_VELOCITY = 108, 86, 48


def draw_drum_pattern(
    rng: np.random.Generator, seconds: float, bpm: float | None = None, beats_per_bar: int = 4
) -> np.ndarray:
    """A groove with variations, at a steady tempo: `NOTE_DTYPE` [N] of drum hits in [0, seconds), sorted.

    With a tempo, a bar begins at 0 s. Without, the tempo is drawn and the pattern begins anywhere in a bar.

    Raises:
      ValueError: `seconds` isn't positive, `bpm` isn't within 20..400 or `beats_per_bar` within 2..4.
    """
    check_positive(seconds=seconds)
    if bpm is None:
        bpm = float(rng.uniform(60, 200))
        skipped = rng.random() * beats_per_bar * 60 / bpm
        hits = draw_drum_pattern(rng, seconds + skipped, bpm, beats_per_bar)
        hits["start"] -= skipped
        hits["end"] -= skipped
        return hits[hits["start"] >= 0]
    if not 20 <= bpm <= 400:
        raise ValueError(f"bpm is {bpm}; it must be within 20..400")
    if beats_per_bar not in (2, 3, 4):
        raise ValueError(f"beats_per_bar is {beats_per_bar}; it must be 2, 3 or 4")
    step_seconds = 60 / bpm / _STEPS_PER_BEAT
    bar_steps = beats_per_bar * _STEPS_PER_BEAT
    num_bars = int(np.ceil(seconds / (step_seconds * bar_steps)))
    keys, bar = _draw_groove(rng, bar_steps)
    velocity = np.tile(bar, (num_bars, 1))  # [steps, keys]
    occasional = velocity < 0
    velocity = np.where(occasional, (rng.random(velocity.shape) < 0.4) * _HIT_VELOCITY, velocity)
    velocity[rng.random(velocity.shape) < rng.uniform(0, 0.1)] = 0  # a hit left out here and there
    keys, velocity = _add_fills(rng, keys, velocity, bar_steps)

    step, column = np.nonzero(velocity)
    start = (step + _draw_swing(rng) * (step % 2)) * step_seconds
    start = start + np.abs(rng.normal(0, rng.uniform(0, 0.008), len(step)))
    loud = velocity[step, column] + rng.uniform(-35, 12) + rng.normal(0, rng.uniform(1, 10), len(step))
    hits = make_notes(start, start + HIT_SECONDS, keys[column], np.clip(np.rint(loud), 20, 120), is_drum=True)
    return trim_overlapping_notes(hits[hits["start"] < seconds])


def _draw_groove(rng: np.random.Generator, bar_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys, int [K], and one bar of velocities (0 no hit, -1 a hit now and then), float64 [bar_steps, K]."""
    groove = _GROOVES[int(rng.integers(len(_GROOVES)))]
    levels = {"X": _ACCENT_VELOCITY, "x": _HIT_VELOCITY, "o": _GHOST_VELOCITY, "?": -1, ".": 0}
    rows = [[levels[mark] for mark in (pattern * 2)[:bar_steps]] for pattern in groove.values()]
    keys = [_KEYS[voice][int(rng.integers(len(_KEYS[voice])))] for voice in groove]
    bar = np.array(rows, np.float64).T
    if len(keys) > 1:  # some kits lack a voice
        kept = rng.random(len(keys)) < 0.92
        kept[int(rng.integers(len(keys)))] = True
        return np.array(keys)[kept], bar[:, kept]
    return np.array(keys), bar


def _draw_swing(rng: np.random.Generator) -> float:
    """How late odd steps come, in steps: mostly straight, else up to a triplet's 1/3."""
    return float(rng.uniform(0.05, 0.35)) if rng.random() < 0.3 else 0.0


def _add_fills(
    rng: np.random.Generator, keys: np.ndarray, velocity: np.ndarray, bar_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ends some bars with a run over snare and toms, and strikes a cymbal on the beat that follows."""
    if rng.random() < 0.4:
        return keys, velocity
    cymbal = _KEYS["crash"][int(rng.integers(4))]
    first_added = len(keys)
    keys = np.concatenate([keys, _FILL_KEYS, [cymbal]])
    velocity = np.pad(velocity, ((0, 0), (0, len(_FILL_KEYS) + 1)))
    num_steps = len(velocity)
    for bar_end in range(bar_steps, num_steps + bar_steps, bar_steps):
        if rng.random() > 0.3:
            continue
        length = int(rng.integers(2, bar_steps // 2 + 1))
        steps = np.arange(max(bar_end - length, 0), min(bar_end, num_steps))
        steps = steps[rng.random(len(steps)) < rng.uniform(0.5, 1.0)]
        drums = np.sort(rng.integers(0, len(_FILL_KEYS), len(steps)))  # from the snare down the toms
        velocity[steps] = 0
        velocity[steps, first_added + drums] = rng.uniform(70, 115, len(steps))
        if bar_end < num_steps and rng.random() < 0.7:
            velocity[bar_end, -1] = _ACCENT_VELOCITY
    return keys, velocity
