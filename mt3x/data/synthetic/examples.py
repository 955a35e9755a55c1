"""Training examples without recordings: music is drawn from scores or at random, and tokenized.

An example is one segment with a lead-in before it, so that notes and rooms already sound when the segment
begins. Nothing is stored: example number i of a seed is drawn from (seed, i) alone, whichever process draws
it. How its audio comes about is left to a `SoundSource`: rendered here, or composed inside the training step
from a note bank.

Times of notes are seconds from the start of the lead-in.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mt3x.data.synthetic.drums import draw_drum_pattern
from mt3x.data.synthetic.performance import PerformanceSettings, draw_excerpt
from mt3x.data.synthetic.random_music import RandomMusicSettings, draw_random_music
from mt3x.data.synthetic.scores import Piece, is_held_out, load_scores
from mt3x.music.checks import check_at_least, check_positive
from mt3x.music.instruments import Granularity, apply_granularity
from mt3x.music.notes import trim_overlapping_notes
from mt3x.music.timegrid import seconds_to_steps, steps_to_seconds
from mt3x.tokens.decode import merge_restrikes
from mt3x.tokens.encode import encode_segment
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, VocabularyConfig, build_codec, vocabulary_from_codec

_UNISON_SECONDS = 0.05
"""Strikes of one pitch by instruments of one class within this time are written as one."""


@dataclasses.dataclass(frozen=True)
class ExampleConfig:
    """What examples are made of.

    Attributes:
      segment_seconds: length of the segment; lead_seconds: of the audio before it.
      score_share, random_share: chance of a score excerpt and of random notes; the rest is drums alone.
      max_parts, max_polyphony, drums_probability: of the hardest music.
      solo_piano_probability: share of score excerpts and of random notes that a piano plays alone.
      easy_until: share of the run in which these three still grow from one part, one voice and no drums.
      detune_cents: whole-segment detuning is drawn from +- this (rendered audio only).
      max_tokens: examples with more are drawn again, as are those with more than max_notes notes.

    Raises:
      ValueError: a length or size that is not positive (lead_seconds may be 0), or shares that are none.
    """

    segment_seconds: float = 2.0
    lead_seconds: float = 0.6
    score_share: float = 0.68
    random_share: float = 0.3
    max_parts: int = 6
    max_polyphony: int = 10
    drums_probability: float = 0.2
    solo_piano_probability: float = 0.4
    easy_until: float = 0.25
    detune_cents: float = 20.0
    max_tokens: int = 256
    max_notes: int = 128
    vocabulary: VocabularyConfig = VocabularyConfig()
    spec: NoteSpec = NoteSpec.NOTES_WITH_TIES
    granularity: Granularity = Granularity.MIDI_CLASS

    def __post_init__(self) -> None:
        check_positive(
            segment_seconds=self.segment_seconds,
            easy_until=self.easy_until,
            max_parts=self.max_parts,
            max_polyphony=self.max_polyphony,
            max_tokens=self.max_tokens,
            max_notes=self.max_notes,
        )
        check_at_least(0, lead_seconds=self.lead_seconds, detune_cents=self.detune_cents)
        shares = self.score_share, self.random_share
        chances = self.drums_probability, self.solo_piano_probability
        if min(*shares, *chances) < 0 or max(*chances) > 1 or sum(shares) > 1:
            raise ValueError(
                f"score_share {shares[0]}, random_share {shares[1]}, drums_probability "
                f"{self.drums_probability}, solo_piano_probability {self.solo_piano_probability}: "
                "they must be within 0..1, the shares together at most 1"
            )

    @property
    def total_seconds(self) -> float:
        """Lead-in and segment."""
        return self.lead_seconds + self.segment_seconds


class SoundSource(Protocol):
    """One set of instruments (a soundfont)."""

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        """bool [K]: which notes can be heard; the others are left out of the music."""
        ...

    def sound(self, rng: np.random.Generator, notes: np.ndarray, seconds: float) -> dict[str, np.ndarray]:
        """Arrays of the example from which the training step makes its samples.

        Those named `note_...` are columns beside the notes, [K]; others are of one shape for all examples.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Example:
    """One segment.

    Attributes:
      targets: int32 [T], ids with the end token; T is 0 where no tokens are written.
      notes: all that sound in lead-in and segment.
      sound: what its `SoundSource` gave.
    """

    targets: np.ndarray
    notes: np.ndarray
    sound: dict[str, np.ndarray]


class SegmentConfig(Protocol):
    """What a batch must know of how its examples were drawn."""

    @property
    def lead_seconds(self) -> float: ...

    @property
    def max_notes(self) -> int: ...


class Maker(Protocol):
    """What draws examples: number i of a seed from a generator that was seeded with both."""

    @property
    def config(self) -> SegmentConfig: ...

    def draw(self, rng: np.random.Generator, progress: float) -> Example:
        """One example; `progress` 0..1 is how far the run is."""
        ...


def notes_as_written(notes: np.ndarray, granularity: Granularity, steps_per_second: int) -> np.ndarray:
    """The notes as tokens can say them: one at a time for each pitch and class of instruments, on the grid.

    Where two violins play in unison, tokens of their class would otherwise strike the note twice and end it
    twice. Instruments that strike together (within 50 ms) become one note, which lasts as long as the
    longest; a later strike ends the one before. Drum hits are kept.

    Times are rounded to steps, to one at least from start to end. Tokens are ordered by time, and what
    happens within one step would otherwise be told in an order that nobody can hear.
    """
    mapped = apply_granularity(notes, granularity)
    pitched, drums = mapped[~mapped["is_drum"]], mapped[mapped["is_drum"]]
    written = trim_overlapping_notes(np.concatenate([merge_restrikes(pitched, _UNISON_SECONDS), drums]))
    first, last = (seconds_to_steps(written[name], steps_per_second) for name in ("start", "end"))
    written["start"] = steps_to_seconds(first, steps_per_second)
    written["end"] = steps_to_seconds(np.maximum(last, first + 1), steps_per_second)
    return written


class ExampleMaker:
    """Draws examples; its sources hold synthesizers, so each process makes its own."""

    def __init__(self, config: ExampleConfig, scores: Sequence[Piece], sources: Sequence[SoundSource]):
        self.config = self._config = config
        self._scores, self._sources = scores, sources
        self._codec = build_codec(config.vocabulary)
        self._vocabulary = vocabulary_from_codec(self._codec)

    def draw(self, rng: np.random.Generator, progress: float) -> Example:
        """One example; `progress` 0..1 is how far the run is, which sets how hard the music is."""
        config = self._config
        difficulty = min(progress / config.easy_until, 1.0)
        while True:
            source = self._sources[int(rng.integers(len(self._sources)))]
            notes = self._draw_notes(rng, difficulty)
            notes = notes[source.sounding(notes)]
            indexes = encode_segment(
                notes_as_written(notes, config.granularity, self._codec.steps_per_second),
                config.lead_seconds,
                config.total_seconds,
                self._codec,
                config.spec,
                config.granularity,
            )
            if len(indexes) < config.max_tokens and len(notes) <= config.max_notes:
                break
        targets = np.append(self._vocabulary.encode(indexes), EOS_ID).astype(np.int32)
        return Example(targets, notes, source.sound(rng, notes, config.total_seconds))

    def _draw_notes(self, rng: np.random.Generator, difficulty: float) -> np.ndarray:
        """Notes of lead-in and segment, as hard as `difficulty` (0..1) allows."""
        config = self._config
        drums_probability = config.drums_probability * difficulty
        kind = rng.random()
        if kind < config.score_share:
            settings = PerformanceSettings(
                max_parts=1 + round((config.max_parts - 1) * difficulty),
                solo_piano_probability=config.solo_piano_probability,
                drums_probability=drums_probability,
            )
            return draw_excerpt(self._scores, rng, config.total_seconds, settings)
        if kind < config.score_share + config.random_share:
            settings = RandomMusicSettings(
                max_polyphony=1 + round((config.max_polyphony - 1) * difficulty),
                solo_piano_probability=config.solo_piano_probability,
                drums_probability=drums_probability,
            )
            return draw_random_music(rng, config.total_seconds, settings)
        return draw_drum_pattern(rng, config.total_seconds)


OpenSources = Callable[[], Sequence[SoundSource]]


def open_example_maker(config: ExampleConfig, scores_file: Path, open_sources: OpenSources) -> ExampleMaker:
    """What a worker process opens; held-out scores are never drawn from.

    Args:
      scores_file: packed by `data.synthetic.scores.pack_scores`.
      open_sources: makes the sound sources.
    """
    scores = [score for score in load_scores(scores_file) if not is_held_out(score.name)]
    return ExampleMaker(config, scores, open_sources())
