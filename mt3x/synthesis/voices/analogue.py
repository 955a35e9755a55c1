"""Subtractive synthesisers: one to three detuned oscillators, a filter that sweeps, and an envelope.

One call is one player with one sound. The waves are band-limited sums of partials, and the filter is
applied to the partials of every frame of a wavetable.
"""

import dataclasses

import numpy as np

from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.voices import part, wavetable

_FRAME_SECONDS = 0.03
_MAX_FRAMES = 128


@dataclasses.dataclass(frozen=True)
class _Patch:
    """One sound.

    Attributes:
      wave: 'saw', 'pulse' or 'triangle'.
      duty: share of the period for which a pulse is up; 0.5 is a square.
      detune_cents: float [1..3], one per oscillator, with a mean of 0.
      cutoff_octaves: cutoff of the filter over the pitch, when its envelope rests.
      sweep_octaves: added at the onset; it decays within `sweep_seconds`.
      resonance: gain at the cutoff (Q).
      attack_seconds, decay_seconds, sustain, release_seconds: of the loudness.
    """

    wave: str
    duty: float
    detune_cents: np.ndarray
    cutoff_octaves: float
    sweep_octaves: float
    sweep_seconds: float
    resonance: float
    attack_seconds: float
    decay_seconds: float
    sustain: float
    release_seconds: float


def render(
    rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float, sample_rate: int
) -> np.ndarray:
    """Plays the notes with a random sound.

    Args:
      notes: `NOTE_DTYPE` [M], in seconds from the first sample; onsets may be negative.
      inflections: of the M notes.

    Returns:
      float32 [N], with N = round(seconds * sample_rate).

    Raises:
      ValueError: as `part.check_request`.
    """
    return part.mix_notes(rng, notes, inflections, seconds, sample_rate, _draw_patch(rng), _add_note)


def _draw_patch(rng: np.random.Generator) -> _Patch:
    oscillators = rng.integers(1, 4)
    detune = rng.uniform(-10.0, 10.0, oscillators) * rng.uniform(0.2, 1.0)
    is_pad = rng.random() < 0.3
    return _Patch(
        wave=str(rng.choice(["saw", "pulse", "triangle"], p=[0.45, 0.4, 0.15])),
        duty=0.5 if rng.random() < 0.4 else rng.uniform(0.1, 0.5),
        detune_cents=detune - detune.mean(),
        cutoff_octaves=rng.uniform(0.7, 6.0),
        sweep_octaves=rng.uniform(-1.0, 4.0),
        sweep_seconds=0.03 * 30.0 ** rng.random(),
        resonance=0.7 * 8.0 ** rng.beta(1.0, 2.0),
        attack_seconds=rng.uniform(0.02, 0.12) if is_pad else rng.uniform(0.001, 0.02),
        decay_seconds=0.05 * 30.0 ** rng.random(),
        sustain=rng.uniform(0.2, 1.0),
        release_seconds=rng.uniform(0.02, 0.2),
    )


def _add_note(
    rng: np.random.Generator,
    mixed: np.ndarray,
    patch: _Patch,
    notes: np.ndarray,
    inflections: Inflections,
    index: int,
    sample_rate: int,
) -> None:
    start, end = float(notes["start"][index]), float(notes["end"][index])
    first, length = part.span(start, end + patch.release_seconds, len(mixed), sample_rate)
    if not length:
        return
    turns = part.note_turns(notes, inflections, index, first, length, sample_rate)
    since = (np.arange(length, dtype=np.float32) + first) / sample_rate - np.float32(start)
    frame_seconds = max(_FRAME_SECONDS, float(since[-1] - since[0]) / (_MAX_FRAMES - 2))
    frame_times = since[0] + np.arange(int((since[-1] - since[0]) / frame_seconds) + 2) * frame_seconds
    hz = float(part.hertz(notes["pitch"][index]))
    tables = wavetable.make_tables(_spectra(patch, hz, frame_times, sample_rate))
    frames = (since - since[0]) / np.float32(frame_seconds)

    tone = np.zeros(length, np.float32)
    for cents in patch.detune_cents:
        tone += wavetable.look_up(tables, turns * 2.0 ** (cents / 1200) + rng.random(), frames)
    tone *= _envelope(patch, since, end - start) / np.sqrt(len(patch.detune_cents))
    tone = part.fade_edges(tone, start < 0, sample_rate)
    mixed[first : first + length] += tone * np.float32(part.velocity_gain(notes["velocity"][index]))


def _spectra(patch: _Patch, hz: float, frame_times: np.ndarray, sample_rate: int) -> np.ndarray:
    """Partials complex [K, H] after the filter; each frame has an energy of at most about 1."""
    number = np.arange(1, max(int(0.47 * sample_rate / hz), 1) + 1)
    if patch.wave == "saw":
        wave = 1.0 / number
    elif patch.wave == "pulse":
        wave = np.sin(np.pi * number * patch.duty) / number
    else:
        wave = (number % 2) / number.astype(np.float64) ** 2
    wave = wave / np.linalg.norm(wave)
    sweep = patch.sweep_octaves * np.exp(-np.maximum(frame_times, 0) / patch.sweep_seconds)
    cutoff = 2.0 ** np.clip(patch.cutoff_octaves + sweep, 0.3, 8.0)
    ratio = number[None, :] / cutoff[:, None]
    response = 1.0 / (1 - ratio**2 + 1j * ratio / patch.resonance)
    spectra = wave[None, :] * response
    return spectra / np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 0.7)


def _envelope(patch: _Patch, since: np.ndarray, seconds: float) -> np.ndarray:
    """Loudness float32 [N]: linear attack, exponential decay to the sustain level, linear release."""
    attack = np.clip(since / np.float32(patch.attack_seconds), 0, 1)
    decay = np.exp(-np.maximum(since - patch.attack_seconds, 0) / np.float32(patch.decay_seconds))
    level = patch.sustain + (1 - np.float32(patch.sustain)) * decay
    release = np.clip(1 + (seconds - since) / np.float32(patch.release_seconds), 0, 1)
    return (attack * level * release).astype(np.float32)
