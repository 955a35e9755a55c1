"""What the synthesisers of a part share: the check of a request, pitch over time, gains, and mixing.

Times are in seconds from the first sample of the audio; notes may start before it.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from mt3x.synthesis.effects import levels
from mt3x.synthesis.inflection import Inflections

Sound = TypeVar("Sound")

CONTROL_SECONDS = 0.004
"""Step at which pitch and loudness are computed before they are interpolated to samples."""


def check_request(notes: np.ndarray, inflections: Inflections, seconds: float, sample_rate: int) -> int:
    """The number of samples N of a rendering.

    Raises:
      ValueError: a length that is negative or not finite, a rate under 8 kHz, or inflections of another
        number of notes.
    """
    levels.check_sample_rate(sample_rate)
    if not (np.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds is {seconds}; it must be finite and at least 0; give the example's length")
    if len(inflections) != len(notes):
        raise ValueError(
            f"there are inflections of {len(inflections)} notes; there must be {len(notes)}, one per note; "
            "draw them for these notes"
        )
    return round(seconds * sample_rate)


def mix_notes(
    rng: np.random.Generator,
    notes: np.ndarray,
    inflections: Inflections,
    seconds: float,
    sample_rate: int,
    sound: Sound,
    add_note: Callable[[np.random.Generator, np.ndarray, Sound, np.ndarray, Inflections, int, int], None],
) -> np.ndarray:
    """What a sound plays, note after note: float32 [N].

    Args:
      sound: what is the same for all notes.
      add_note: adds note number `index` to the audio: (rng, audio, sound, notes, inflections, index, rate).

    Raises:
      ValueError: as `check_request`.
    """
    mixed = np.zeros(check_request(notes, inflections, seconds, sample_rate), np.float32)
    for index in range(len(notes)):
        add_note(rng, mixed, sound, notes, inflections, index, sample_rate)
    return mixed


def hertz(pitch: np.ndarray | float) -> np.ndarray:
    """Frequency of a MIDI pitch, which may be fractional."""
    return 440.0 * 2.0 ** ((np.asarray(pitch, np.float64) - 69) / 12)


def velocity_gain(velocity: np.ndarray | float) -> np.ndarray:
    """Amplitude of a MIDI velocity: 0.25 at 127, and 30 dB less at 22."""
    return 0.25 * (np.asarray(velocity, np.float64) / 127) ** 2


def note_turns(
    notes: np.ndarray, inflections: Inflections, index: int, first: int, length: int, sample_rate: int
) -> np.ndarray:
    """Phase of one note's fundamental, in turns from its first sample: float64 [length].

    Args:
      first: the sample at which the phase is 0.
    """
    if not (inflections.scoop_cents[index] or inflections.vibrato_cents[index]):
        hz = hertz(notes["pitch"][index] + inflections.cents[index] / 100)
        return np.arange(length) * (hz / sample_rate)
    step = max(int(CONTROL_SECONDS * sample_rate), 1)
    control = np.arange(0, length + step, step)
    since_onset = (control + first) / sample_rate - notes["start"][index]
    cents = inflections.cents_at(index, since_onset)
    hz = np.interp(np.arange(length), control, hertz(notes["pitch"][index] + cents / 100.0))
    return np.cumsum(hz) / sample_rate


def span(start: float, end: float, num_samples: int, sample_rate: int) -> tuple[int, int]:
    """First sample and number of samples of a sound from start to end in seconds, within 0..num_samples."""
    first = max(round(start * sample_rate), 0)
    return first, max(min(round(end * sample_rate), num_samples) - first, 0)


def fade_edges(samples: np.ndarray, start_is_cut: bool, sample_rate: int) -> np.ndarray:
    """The samples with 1 ms faded in, unless they were cut at the start of the audio."""
    length = min(int(0.001 * sample_rate), len(samples))
    if not start_is_cut and length:
        samples[:length] *= np.linspace(0, 1, length, dtype=np.float32)
    return samples
