"""Pitch within notes: constant detuning, scoops up to the pitch, and vibrato, one row per note.

Cents are relative to the note's equally tempered pitch; times count in seconds from its onset.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["none", "voice", "bowed", "wind", "guitar"]

_VIBRATO_RAMP_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Inflections:
    """How N notes bend, each column float32 [N].

    Attributes:
      cents: constant detuning.
      scoop_cents: pitch at the onset relative to the rest of the note; it approaches 0 exponentially.
      scoop_seconds: time constant of that approach.
      vibrato_cents: greatest deviation to either side.
      vibrato_hz: its frequency.
      vibrato_phase: its phase in radians at the onset.
      vibrato_delay_seconds: time before it starts; it reaches its depth 0.25 s later.

    Raises:
      ValueError: columns of different lengths, values that are not finite, or a scoop_seconds not above 0.
    """

    cents: np.ndarray
    scoop_cents: np.ndarray
    scoop_seconds: np.ndarray
    vibrato_cents: np.ndarray
    vibrato_hz: np.ndarray
    vibrato_phase: np.ndarray
    vibrato_delay_seconds: np.ndarray

    def __post_init__(self) -> None:
        length = len(self.cents)
        for field in dataclasses.fields(self):
            column = np.asarray(getattr(self, field.name), np.float32)
            if column.shape != (length,):
                raise ValueError(
                    f"{field.name} has shape {list(column.shape)}; it must be [{length}] as cents"
                )
            if not np.isfinite(column).all():
                raise ValueError(f"{field.name} holds values that are not finite; give finite ones")
            object.__setattr__(self, field.name, column)
        if length and self.scoop_seconds.min() <= 0:
            raise ValueError(f"scoop_seconds is {self.scoop_seconds.min()}; it must be above 0; give 0.1")

    def __len__(self) -> int:
        return len(self.cents)

    def cents_at(self, index: npt.ArrayLike, seconds_since_onset: npt.ArrayLike) -> np.ndarray:
        """Deviation of notes in cents; before the onset it is what it is at the onset.

        Args:
          index: int, the notes' positions, of a shape that broadcasts with the times.
          seconds_since_onset: float [...].

        Returns:
          float32 of the broadcast shape.
        """
        index = np.asarray(index)
        seconds = np.maximum(np.asarray(seconds_since_onset, np.float32), 0)
        return inflection_cents(lambda name: getattr(self, name)[index], seconds).astype(np.float32)


def inflection_cents(column: Callable[[str], Any], seconds: Any, xp: Any = np) -> Any:
    """Deviation of notes in cents, float32, at times from 0 on since their onsets.

    Args:
      column: gives a column of `Inflections` by its name, of a shape that broadcasts with the times.
      xp: numpy or jax.numpy.
    """
    scoop = column("scoop_cents") * xp.exp(-seconds / column("scoop_seconds"))
    ramp = (seconds - column("vibrato_delay_seconds")) / np.float32(_VIBRATO_RAMP_SECONDS)
    phase = np.float32(2 * np.pi) * column("vibrato_hz") * seconds + column("vibrato_phase")
    return column("cents") + scoop + column("vibrato_cents") * xp.clip(ramp, 0, 1) * xp.sin(phase)


def none(length: int) -> Inflections:
    """N notes that keep to their pitch."""
    zeros, ones = np.zeros(length, np.float32), np.ones(length, np.float32)
    return Inflections(zeros, zeros, ones, zeros, ones, zeros, zeros)


@dataclasses.dataclass(frozen=True)
class _Habits:
    """Ranges of one kind of player; shares are probabilities per note."""

    detune_cents: float
    scoop_share: float
    scoop_cents: tuple[float, float]
    scoop_seconds: tuple[float, float]
    vibrato_share: float
    vibrato_cents: tuple[float, float]
    vibrato_hz: tuple[float, float]
    vibrato_delay_seconds: tuple[float, float]


_HABITS = {
    "voice": _Habits(25, 0.4, (-200, 60), (0.03, 0.12), 0.6, (10, 90), (4.5, 7.0), (0.0, 0.6)),
    "bowed": _Habits(7, 0.2, (-120, 60), (0.02, 0.08), 0.7, (8, 40), (4.5, 7.0), (0.0, 0.4)),
    "wind": _Habits(8, 0.25, (-90, 50), (0.02, 0.08), 0.4, (5, 30), (4.0, 6.5), (0.1, 0.5)),
    "guitar": _Habits(5, 0.2, (-220, -60), (0.03, 0.2), 0.25, (8, 70), (4.0, 7.0), (0.05, 0.5)),
}

# Notes shorter than this have no vibrato: less than a turn of it would sound.
_MIN_VIBRATO_SECONDS = 0.25


def draw_inflections(rng: np.random.Generator, notes: np.ndarray, kind: Kind) -> Inflections:
    """Draws the inflections of one player's notes: the player's habits first, then each note's.

    'guitar' bends or slides up to some of its notes; its other columns are small.

    Args:
      notes: `NOTE_DTYPE` [N].
      kind: 'none', 'voice', 'bowed', 'wind' or 'guitar'.

    Raises:
      ValueError: a kind that is not among these.
    """
    if kind == "none":
        return none(len(notes))
    if kind not in _HABITS:
        raise ValueError(
            f"kind is {kind!r}; it must be one of none, {', '.join(_HABITS)}; choose one of them"
        )
    habits, length = _HABITS[kind], len(notes)
    seconds = notes["end"] - notes["start"]
    has_scoop = rng.random(length) < habits.scoop_share * rng.uniform(0, 2)
    has_vibrato = rng.random(length) < habits.vibrato_share * rng.uniform(0, 2)
    has_vibrato &= seconds >= _MIN_VIBRATO_SECONDS
    depth, rate = rng.uniform(*habits.vibrato_cents), rng.uniform(*habits.vibrato_hz)
    return Inflections(
        cents=rng.normal(rng.normal() * 3.0, habits.detune_cents * rng.uniform(0, 1), length),
        scoop_cents=np.where(has_scoop, rng.uniform(*habits.scoop_cents, length), 0.0),
        # A short note still reaches its pitch within its first half.
        scoop_seconds=np.minimum(rng.uniform(*habits.scoop_seconds, length), np.maximum(seconds / 6, 0.005)),
        vibrato_cents=np.where(has_vibrato, depth * rng.uniform(0.5, 1.2, length), 0.0),
        vibrato_hz=rate * rng.uniform(0.93, 1.07, length),
        vibrato_phase=rng.uniform(0, 2 * np.pi, length),
        vibrato_delay_seconds=rng.uniform(*habits.vibrato_delay_seconds, length),
    )
