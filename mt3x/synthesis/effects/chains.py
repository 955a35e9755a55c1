"""The way of a synthesised part into a mix, and of a mix into a file: random chains of effects.

Effects take (rng, samples: float32 [N], mono, sample_rate in Hz) and return float32 [N]; each draws its own
parameters from the ranges in its docstring. No effect moves the onsets: the direct sound stays at lag 0.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mt3x.synthesis.effects import levels
from mt3x.synthesis.effects.dynamics import amplifier, clipping, compressor, limiter
from mt3x.synthesis.effects.filters import equaliser, room
from mt3x.synthesis.effects.media import codec, noise, phone_microphone, tape, telephone
from mt3x.synthesis.effects.modulation import chorus, delay, double_track, fold_stereo, rotor, tremolo

__all__ = [
    "amplifier",
    "chorus",
    "clipping",
    "codec",
    "compressor",
    "delay",
    "double_track",
    "equaliser",
    "fold_stereo",
    "limiter",
    "noise",
    "phone_microphone",
    "room",
    "rotor",
    "tape",
    "telephone",
    "through_effects",
    "to_file",
    "tremolo",
]

Effect = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]
Chain = Sequence[tuple[Effect, float]]

CLEAN_PROBABILITY = 0.25
"""Share of mixes that get no more than a gain and, half of them, an equaliser."""

MIX_CHAIN: Chain = (
    (equaliser, 0.5),
    (room, 0.45),
    (noise, 0.45),
    (fold_stereo, 0.2),
    (compressor, 0.3),
    (limiter, 0.2),
    (tape, 0.15),
    (phone_microphone, 0.12),
    (telephone, 0.03),
    (clipping, 0.1),
    (codec, 0.12),
)
"""Effects on a mix in their order, each with the share of the unclean mixes that get it."""

_CRUNCH = (0.0, 22.0)
_LEAD = (18.0, 45.0)


def to_file(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Takes a mix to the file a transcriber gets: random effects, then a random gain.

    The peak lies at -20..0 dBFS; one mix in twelve is 0.5-9 dB too loud and clipped at 1.

    Args:
      samples: float32 [N], mono.
      sample_rate: in Hz.

    Raises:
      ValueError: the samples are not finite or not mono, or the rate is under 8 kHz.
    """
    samples = levels.check_audio(samples, sample_rate)
    if not len(samples):
        return samples
    if rng.random() < CLEAN_PROBABILITY:
        mixed = _through(rng, samples, sample_rate, ((equaliser, 0.5),))
    else:
        mixed = _through(rng, samples, sample_rate, MIX_CHAIN)
    is_clipped = rng.random() < 1 / 12
    peak_db = rng.uniform(0.5, 9.0) if is_clipped else -20 * rng.beta(1.0, 2.0)
    # Under -40 dBFS a mix counts as silence, and its noise is not brought to full loudness.
    gain = levels.from_db(peak_db) / max(levels.peak(mixed), 0.01)
    return np.clip(mixed * np.float32(gain), -1.0, 1.0).astype(np.float32)


def through_effects(
    rng: np.random.Generator, samples: np.ndarray, sample_rate: int, program: int
) -> np.ndarray:
    """Plays one part through the effects that are usual for its General MIDI program.

    Args:
      samples: float32 [N], mono.
      sample_rate: in Hz.
      program: General MIDI program, 0..127.

    Raises:
      ValueError: the samples are not finite or not mono, the rate is under 8 kHz, or the program is outside
        0..127.
    """
    samples = levels.check_audio(samples, sample_rate)
    if not 0 <= program <= 127:
        raise ValueError(f"program is {program}; it must be within 0..127; give drums program 0")
    if not len(samples):
        return samples
    return _through(rng, samples, sample_rate, part_chain(program)).astype(np.float32)


def part_chain(program: int) -> Chain:
    """Effects on a part by its program in their order, each with the share of parts that get it."""
    if program in (29, 30):
        return ((compressor, 0.2), (lead_amplifier, 0.95), (double_track, 0.2), (delay, 0.25), (room, 0.15))
    if 26 <= program <= 31:
        drive = ((compressor, 0.3), (crunch_amplifier, 0.5))
        return (*drive, (chorus, 0.25), (tremolo, 0.05), (delay, 0.2), (room, 0.1))
    if program in (4, 5):
        return ((crunch_amplifier, 0.15), (tremolo, 0.4), (chorus, 0.3), (equaliser, 0.2), (room, 0.1))
    if 16 <= program <= 18:
        return ((crunch_amplifier, 0.25), (rotor, 0.7), (equaliser, 0.2), (room, 0.15))
    if 32 <= program <= 39:
        return ((compressor, 0.4), (crunch_amplifier, 0.15), (equaliser, 0.3), (chorus, 0.05))
    if 52 <= program <= 54:
        dry = ((equaliser, 0.3), (compressor, 0.5), (double_track, 0.2))
        return (*dry, (delay, 0.25), (room, 0.5))
    if 80 <= program <= 103 or program in (50, 51, 62, 63):
        return ((clipping, 0.1), (chorus, 0.3), (delay, 0.3), (equaliser, 0.3), (room, 0.2))
    return ((equaliser, 0.25), (compressor, 0.1), (room, 0.1))


def crunch_amplifier(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """An amplifier at a gain of 0-22 dB."""
    return amplifier(rng, samples, sample_rate, _CRUNCH)


def lead_amplifier(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """An amplifier at a gain of 18-45 dB."""
    return amplifier(rng, samples, sample_rate, _LEAD)


def _through(rng: np.random.Generator, samples: np.ndarray, sample_rate: int, chain: Chain) -> np.ndarray:
    is_drawn = rng.random(len(chain)) < [probability for _, probability in chain]
    for (effect, _), drawn in zip(chain, is_drawn, strict=True):
        if drawn:
            samples = effect(rng, samples, sample_rate)
    return samples
