"""Audio and notes moved together by a few semitones.

The audio is played faster or slower, as a tape would be: pitch and tempo change alike, and so do the times of
the notes. Nothing is smeared, as it would be by a phase vocoder, which keeps the tempo and blurs attacks, the
very thing to be learned. Drums keep their sound and their times.
"""

import dataclasses

import numpy as np

from mt3x.audio.arrays import from_array
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.checks import check_shares

_HIGHEST_PITCH = 127


@dataclasses.dataclass(frozen=True)
class PitchShiftConfig:
    """How often and how far.

    Attributes:
      probability: share of recordings that are shifted.
      max_semitones: whole semitones are drawn from 1 to this, up or down.

    Raises:
      ValueError: a probability outside 0..1, or a shift of none or over an octave.
    """

    probability: float = 0.5
    max_semitones: int = 2

    def __post_init__(self) -> None:
        check_shares(probability=self.probability)
        if not 1 <= self.max_semitones <= 12:
            raise ValueError(f"max_semitones is {self.max_semitones}; it must be within 1..12")


def draw_semitones(rng: np.random.Generator, notes: np.ndarray, config: PitchShiftConfig) -> int:
    """A random shift, 0 for none.

    Never one that takes a note out of MIDI's 0..127, which would be heard without being written; where the
    notes leave no room, 0.
    """
    is_shifted = rng.random() < config.probability
    distance = int(rng.integers(1, config.max_semitones + 1)) * (1 if rng.random() < 0.5 else -1)
    pitches = notes["pitch"][~notes["is_drum"]]
    fits = not len(pitches) or (pitches.min() + distance >= 0 and pitches.max() + distance <= _HIGHEST_PITCH)
    return distance if is_shifted and fits else 0


def playback_rate(semitones: int) -> int:
    """Samples a second at which audio recorded at `SAMPLE_RATE` sounds so much higher (to 0.1 cent)."""
    return round(SAMPLE_RATE * 2 ** (semitones / 12))


def shift_audio(samples: np.ndarray, semitones: int) -> np.ndarray:
    """Audio played at another speed: float32 [about N / 2 ** (semitones / 12)] from float32 [N]."""
    return samples if semitones == 0 else from_array(samples, playback_rate(semitones), SAMPLE_RATE)


def shift_notes(notes: np.ndarray, semitones: int, origin_seconds: float = 0.0) -> np.ndarray:
    """The notes of the same audio after `shift_audio`, drum hits taken along in time alone.

    Args:
      origin_seconds: the time that stays where it is: that of the audio's first sample.

    Raises:
      ValueError: a note would leave 0..127.
    """
    shifted = notes.copy()
    for name in ("start", "end"):
        shifted[name] = origin_seconds + (notes[name] - origin_seconds) * SAMPLE_RATE / playback_rate(
            semitones
        )
    shifted["pitch"] += np.where(notes["is_drum"], 0, semitones)
    outside = (shifted["pitch"] < 0) | (shifted["pitch"] > _HIGHEST_PITCH)
    if outside.any():
        pitch = notes["pitch"][outside][0]
        raise ValueError(
            f"pitch {pitch} shifted by {semitones} semitones leaves 0..{_HIGHEST_PITCH}; choose a smaller "
            "shift, or let draw_semitones choose one"
        )
    return shifted
