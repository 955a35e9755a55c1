"""Who plays a part: a sampled instrument, a soundfont, or a synthesiser of our own.

An orchestra has all that can play; for the parts of one piece of music it draws a player each, so that two
examples hardly ever sound alike.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.sampled.instruments import SampleLibrary, SamplePlayer
from mt3x.synthesis.soundfonts import Synthesizer
from mt3x.synthesis.voices.synthesizers import SYNTHESIZERS, synthesizers_of

_STAND_INS: dict[int, tuple[int, ...]] = {
    1: (0,), 28: (26, 27), 29: (26, 27), 30: (26, 27), 31: (26, 27), 24: (25,), 35: (33,), 36: (33, 34),
    37: (33, 34), 41: (40,), 49: (48,), 52: (53,), 54: (53,),
}  # fmt: skip
"""Programs that recordings of others may stand for, beside their own."""

_RELEASES = ((range(0, 8), 0.12, 0.35), (range(8, 16), 0.2, 1.5), (range(24, 40), 0.05, 0.2))
_OTHER_RELEASE = 0.06, 0.25
_DRUM_RELEASE = 30.0  # drums ring on

_MIXED_KIT_PROBABILITY = 0.3
_MOST_FORMANT_SEMITONES = 4
_MANY_INSTRUMENTS = 3
"""So many instruments of a program play as often as any number; of fewer, chances are multiplied."""

_KEY_GROUPS = (
    (35, 36), (37, 38, 39, 40), (42, 44, 46), (41, 43, 45, 47, 48, 50), (*range(35), 49, *range(51, 128)),
)  # fmt: skip
"""Kinds of drum: every key is in one group."""

_KEY_STAND_INS = {
    35: 36, 36: 35, 40: 38, 38: 40, 59: 51, 51: 59, 57: 49, 49: 57, 52: 49, 55: 49, 53: 51, 44: 42,
    43: 41, 41: 43, 48: 47, 47: 45, 45: 47, 50: 48, 37: 37, 39: 39, 46: 46,
}  # fmt: skip
"""Where a kit lacks a key: the key that it is played on."""


class Player(Protocol):
    """Plays the notes of one part."""

    is_in_tune: bool
    """Whether what it plays sounds exactly as its inflections say."""

    is_inflected: bool
    """Whether it can bend notes."""

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        """bool [N]: the notes that it has."""
        ...

    def lasts(self, notes: np.ndarray) -> np.ndarray:
        """float64 [N]: when the notes really end."""
        ...

    def render(
        self, rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float
    ) -> np.ndarray:
        """float32 [round(seconds * sample_rate)]."""
        ...


class SoundfontPlayer:
    """FluidSynth with one soundfont; it detunes whole parts and bends no single note."""

    is_in_tune, is_inflected = False, False

    def __init__(self, synthesizer: Synthesizer, formant_semitones: int = 0):
        self._synthesizer, self._formant_semitones = synthesizer, formant_semitones

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(notes), bool)
        for program, is_drum in {(int(note["program"]), bool(note["is_drum"])) for note in notes}:
            mine = (notes["program"] == program) & (notes["is_drum"] == is_drum)
            played = notes["pitch"][mine] - (0 if is_drum else self._formant_semitones)
            sounds = self._synthesizer.sounding_pitches(program, is_drum)
            mask[mine] = sounds[np.clip(played, 0, 127)] & (played >= 0) & (played <= 127)
        return mask

    def lasts(self, notes: np.ndarray) -> np.ndarray:
        return notes["end"]

    def render(
        self, rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float
    ) -> np.ndarray:
        cents = float(np.clip(inflections.cents.mean() if len(notes) else 0.0, -200, 200))
        return self._synthesizer.render(notes, seconds, cents, self._formant_semitones)


class LibraryPlayer(SamplePlayer):
    """A sampled instrument or kit."""

    is_in_tune, is_inflected = True, True


class SynthesizerPlayer:
    """A synthesiser of our own, its parameters drawn anew for each part."""

    is_in_tune, is_inflected = True, True

    def __init__(self, name: str, sample_rate: int):
        self._render, self._sample_rate = SYNTHESIZERS[name].render, sample_rate

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        return np.ones(len(notes), bool)

    def lasts(self, notes: np.ndarray) -> np.ndarray:
        return notes["end"]

    def render(
        self, rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float
    ) -> np.ndarray:
        return self._render(rng, notes, inflections, seconds, self._sample_rate)


class Orchestra:
    """Everyone who can play.

    Args:
      library: of sampled instruments, or None.
      synthesizers: soundfonts; there must be one at least, as they can play everything.
      samples_probability, synthesizer_probability, other_body_probability: see `PlayedConfig`.

    Raises:
      ValueError: there is no soundfont.
    """

    def __init__(
        self,
        library: SampleLibrary | None,
        synthesizers: Sequence[Synthesizer],
        sample_rate: int,
        samples_probability: float,
        synthesizer_probability: float,
        other_body_probability: float,
    ):
        if not synthesizers:
            raise ValueError("there is no soundfont; give at least one, such as FluidR3_GM")
        self._library, self._sample_rate = library, sample_rate
        self._soundfonts = synthesizers
        self._samples_probability = samples_probability
        self._synthesizer_probability = synthesizer_probability
        self._other_body_probability = other_body_probability

    def assign(self, rng: np.random.Generator, notes: np.ndarray) -> list[tuple[Player, np.ndarray]]:
        """A player for each part, and which notes it plays (int64 [K]); notes that it lacks are left out."""
        soundfont = self._soundfonts[int(rng.integers(len(self._soundfonts)))]
        parts = []
        for program in np.unique(notes["program"][~notes["is_drum"]]).tolist():
            mine = np.flatnonzero(~notes["is_drum"] & (notes["program"] == program))
            player = self._draw_player(rng, program, soundfont)
            parts.append((player, mine))
        if notes["is_drum"].any():
            parts += self._assign_drums(rng, notes, SoundfontPlayer(soundfont, self._draw_formants(rng)))
        kept = [(player, mine[player.sounding(notes[mine])]) for player, mine in parts]
        return [(player, mine) for player, mine in kept if len(mine)]

    def _draw_player(self, rng: np.random.Generator, program: int, soundfont: Synthesizer) -> Player:
        instruments = self._library.instruments_of(_stand_ins(program)) if self._library is not None else []
        # A lone violin must not become what a violin is: one or two instruments play less often than many.
        rarity = _MANY_INSTRUMENTS / min(max(len(instruments), 1), _MANY_INSTRUMENTS)
        if instruments and rng.random() < self._samples_probability**rarity:
            return self._sampled(rng, instruments[int(rng.integers(len(instruments)))], program)
        names = synthesizers_of(program)
        if names and rng.random() < self._synthesizer_probability:
            return SynthesizerPlayer(names[int(rng.integers(len(names)))], self._sample_rate)
        return SoundfontPlayer(soundfont, self._draw_formants(rng))

    def _sampled(self, rng: np.random.Generator, instrument: int, program: int) -> LibraryPlayer:
        assert self._library is not None
        recordings = self._library.recordings
        is_mine = (recordings["instrument"] == instrument) & ~recordings["is_drum"]
        mine = recordings[is_mine & np.isin(recordings["program"], _stand_ins(program))]
        kinds = np.unique(mine["articulation"])
        chosen = mine[mine["articulation"] == kinds[int(rng.integers(len(kinds)))]]
        low, high = next(
            ((low, high) for members, low, high in _RELEASES if program in members), _OTHER_RELEASE
        )
        return LibraryPlayer(self._library, chosen, float(rng.uniform(low, high)), self._draw_formants(rng))

    def _draw_formants(self, rng: np.random.Generator) -> int:
        """By how many semitones an instrument's body is another: a library has one flute, the world many."""
        if rng.random() >= self._other_body_probability:
            return 0
        return int(rng.integers(-_MOST_FORMANT_SEMITONES, _MOST_FORMANT_SEMITONES + 1))

    def _assign_drums(
        self, rng: np.random.Generator, notes: np.ndarray, soundfont: SoundfontPlayer
    ) -> list[tuple[Player, np.ndarray]]:
        """One kit for all drums, or now and then kits that are mixed by kinds of drum."""
        drums = np.flatnonzero(notes["is_drum"])
        kits = self._library.kits if self._library is not None else []
        if not kits or rng.random() >= max(self._samples_probability, 0.0) + 0.15:
            return [(soundfont, drums)]
        groups = _KEY_GROUPS if rng.random() < _MIXED_KIT_PROBABILITY else (tuple(range(128)),)
        parts: list[tuple[Player, np.ndarray]] = []
        missing = []
        for group in groups:
            mine = drums[np.isin(notes["pitch"][drums], group)]
            player = self._kit(kits[int(rng.integers(len(kits)))])
            has = player.sounding(notes[mine])
            parts.append((player, mine[has]))
            missing.append(mine[~has])
        parts.append((soundfont, np.concatenate(missing)))
        return [(player, mine) for player, mine in parts if len(mine)]

    def _kit(self, instrument: int) -> LibraryPlayer:
        assert self._library is not None
        recordings = self._library.recordings
        mine = recordings[recordings["is_drum"] & (recordings["instrument"] == instrument)]
        present = set(mine["pitch"].tolist())
        borrowed = []
        for key, source in _KEY_STAND_INS.items():
            if key not in present and source in present:
                copies = mine[mine["pitch"] == source].copy()
                copies["pitch"] = key
                borrowed.append(copies)
        return LibraryPlayer(self._library, np.concatenate([mine, *borrowed]), _DRUM_RELEASE)


def _stand_ins(program: int) -> tuple[int, ...]:
    """Programs whose recordings may play a part of this one."""
    return (program, *_STAND_INS.get(program, ()))
