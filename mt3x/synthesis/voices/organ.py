"""Organs: nine drawbars with key click and percussion, or ranks of pipes with chiff.

One call is one player at one registration. The rotating loudspeaker is among the effects.
"""

import dataclasses

import numpy as np

from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.voices import part, wavetable

# Partials of half the pitch for the drawbars 16', 5 1/3', 8', 4', 2 2/3', 2', 1 3/5', 1 1/3', 1'.
_DRAWBARS = np.array([1, 3, 2, 4, 6, 8, 10, 12, 16])
_SUSTAIN_FRAME = 1.0


@dataclasses.dataclass(frozen=True)
class _Registration:
    """`partials`: float32 [16], amplitudes over half the pitch; the others in linear units and seconds."""

    partials: np.ndarray
    click_gain: float
    percussion_partial: int
    percussion_gain: float
    percussion_seconds: float
    attack_seconds: float
    release_seconds: float
    velocity_range: float


def render(
    rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float, sample_rate: int
) -> np.ndarray:
    """Plays the notes on a random organ.

    Args:
      notes: `NOTE_DTYPE` [M], in seconds from the first sample; onsets may be negative.
      inflections: of the M notes.

    Returns:
      float32 [N], with N = round(seconds * sample_rate).

    Raises:
      ValueError: as `part.check_request`.
    """
    return part.mix_notes(rng, notes, inflections, seconds, sample_rate, _draw_registration(rng), _add_note)


def _draw_registration(rng: np.random.Generator) -> _Registration:
    partials = np.zeros(16, np.float32)
    is_pipes = rng.random() < 0.4
    if is_pipes:
        brightness = rng.uniform(0.6, 2.0)
        for stop in rng.choice(
            [2, 4, 6, 8, 1], rng.integers(1, 4), replace=False, p=[0.4, 0.25, 0.1, 0.15, 0.1]
        ):
            rank = np.arange(stop, 17, stop)
            partials[rank - 1] += (rank / stop) ** -brightness * rng.uniform(0.3, 1.0)
    else:
        bars = rng.integers(0, 9, 9) * (rng.random(9) < 0.65)
        bars[2] = max(bars[2], rng.integers(4, 9))
        np.add.at(partials, _DRAWBARS - 1, np.where(bars > 0, 10.0 ** ((bars - 8) * 3 / 20), 0))
        partials += 10.0 ** rng.uniform(-3.0, -1.8) * rng.random(16)  # leakage between the tone wheels
    # Without the unison another octave would be taken for the pitch.
    partials[1] = max(partials[1], 0.4 * partials.max())
    partials[0] = min(partials[0], 0.8 * partials[1])
    return _Registration(
        partials=partials / np.linalg.norm(partials),
        click_gain=10.0 ** rng.uniform(-2.0, -0.7),
        percussion_partial=int(rng.choice([4, 6])),
        percussion_gain=0.0 if is_pipes or rng.random() < 0.5 else rng.uniform(0.3, 1.0),
        percussion_seconds=rng.uniform(0.1, 0.4),
        attack_seconds=rng.uniform(0.01, 0.06) if is_pipes else rng.uniform(0.002, 0.008),
        release_seconds=rng.uniform(0.06, 0.2) if is_pipes else rng.uniform(0.02, 0.04),
        velocity_range=rng.uniform(0.3, 1.0),
    )


def _add_note(
    rng: np.random.Generator,
    mixed: np.ndarray,
    registration: _Registration,
    notes: np.ndarray,
    inflections: Inflections,
    index: int,
    sample_rate: int,
) -> None:
    start, end = float(notes["start"][index]), float(notes["end"][index])
    release = registration.release_seconds
    first, length = part.span(start, end + release, len(mixed), sample_rate)
    if not length:
        return
    turns = part.note_turns(notes, inflections, index, first, length, sample_rate) * 0.5
    half_hz = part.hertz(notes["pitch"][index]) / 2
    limit = max(int(0.45 * sample_rate / half_hz), 1)
    partials = np.where(np.arange(16) < limit, registration.partials, 0)
    phases = np.exp(2j * np.pi * rng.random(16))
    struck = np.zeros(16)
    if registration.percussion_partial <= limit:
        struck[registration.percussion_partial - 1] = registration.percussion_gain
    tables = wavetable.make_tables(np.stack([(partials + struck) * phases, partials * phases]))

    since = (np.arange(length, dtype=np.float32) + first) / sample_rate - np.float32(start)
    frames = None
    if registration.percussion_gain > 0:
        frames = _SUSTAIN_FRAME - np.exp(-since / np.float32(registration.percussion_seconds))
    else:
        tables = tables[1:]
    tone = wavetable.look_up(tables, turns, frames)
    remaining = np.float32(end - start + release) - since
    tone *= np.clip(since / np.float32(registration.attack_seconds), 0, 1)
    tone *= np.clip(remaining / np.float32(release), 0, 1)
    click = min(int(0.005 * sample_rate), length)
    if start >= 0 and click:
        burst = rng.standard_normal(click) * np.linspace(1, 0, click) * registration.click_gain
        tone[:click] += burst.astype(np.float32)
    gain = part.velocity_gain(127 * (notes["velocity"][index] / 127) ** registration.velocity_range)
    mixed[first : first + length] += tone * np.float32(gain)
