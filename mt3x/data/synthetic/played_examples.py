"""Training examples for the frame recogniser: music drawn at random, played, and brought to a file.

For each example music is drawn (score excerpts, bands, random notes, drums), each of its parts gets a player
(a sampled instrument, a soundfont, a synthesiser of our own) and effects of its own, the mix goes through a
room and whatever lies between a performance and a file, and the segment is cut out behind a lead-in. Nothing
is stored: example number i of a seed is drawn from (seed, i) alone.

Times of notes are seconds from the start of the lead-in.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mt3x.data.synthetic.bands import BandMusic, BandSettings, draw_band, load_bands
from mt3x.data.synthetic.drums import draw_drum_pattern
from mt3x.data.synthetic.examples import Example
from mt3x.data.synthetic.performance import PerformanceSettings, draw_excerpt
from mt3x.data.synthetic.players import Orchestra, Player
from mt3x.data.synthetic.random_music import RandomMusicSettings, draw_random_music
from mt3x.data.synthetic.scores import Piece, is_held_out, load_scores
from mt3x.music.checks import check_at_least, check_positive, check_shares
from mt3x.music.instruments import is_piano
from mt3x.music.notes import trim_overlapping_notes
from mt3x.synthesis.effects.chains import through_effects, to_file
from mt3x.synthesis.inflection import Inflections, Kind, draw_inflections, none
from mt3x.synthesis.pedal import draw_pedal, pedal_within, under_pedal
from mt3x.synthesis.sampled.instruments import load_samples
from mt3x.synthesis.soundfonts import Synthesizer

INFLECTED: tuple[tuple[range, Kind], ...] = (
    (range(24, 32), "guitar"),
    (range(40, 44), "bowed"),
    (range(52, 55), "voice"),
    (range(56, 80), "wind"),
)
"""Programs whose notes may be bent, and how."""


@dataclasses.dataclass(frozen=True)
class PlayedConfig:
    """What examples are made of.

    Attributes:
      segment_seconds: length of the segment; lead_seconds: of the audio before it.
      score_share, band_share, random_share: chance of a score excerpt, of a band, of random notes; the rest
        is drums alone.
      solo_piano_probability: share of score excerpts and of random notes that a piano plays alone;
        solo_other_probability: share of score excerpts that another instrument does.
      drums_probability: share of score excerpts and of random notes with a drum pattern.
      samples_probability: share of parts that a sampled instrument plays, where the library has
        three or more; where it has one, the third power of this, where two, the power of 1.5.
      synthesizer_probability: of the other parts, share that a synthesiser of our own plays, where there is
        one.
      other_body_probability: share of parts whose sampled instrument or soundfont plays recordings of up to
        four semitones away at the right pitches, as an instrument of another size.
      effects_probability: share of parts with effects of their own; file_probability: share of examples that
        go through `synthesis.effects.chains.to_file` (the others only get a gain).
      pedal_probability: share of examples with pianos whose notes a sustain pedal holds; where it is down is
        in the example.
      start_probability: share of examples whose music begins with the segment, after silence.
      detune_cents: the whole example is detuned by up to this, each part by up to `part_detune_cents` more.
      max_notes: examples with more are drawn again.

    Raises:
      ValueError: a length that is not positive, or probabilities outside 0 to 1.
    """

    segment_seconds: float = 2.048
    lead_seconds: float = 0.6
    score_share: float = 0.46
    band_share: float = 0.32
    random_share: float = 0.18
    max_parts: int = 5
    max_polyphony: int = 10
    solo_piano_probability: float = 0.15
    solo_other_probability: float = 0.25
    drums_probability: float = 0.2
    samples_probability: float = 0.6
    synthesizer_probability: float = 0.35
    other_body_probability: float = 0.6
    effects_probability: float = 0.6
    file_probability: float = 0.85
    pedal_probability: float = 0.5
    start_probability: float = 0.06
    detune_cents: float = 20.0
    part_detune_cents: float = 6.0
    max_notes: int = 128
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        check_positive(
            segment_seconds=self.segment_seconds,
            max_parts=self.max_parts,
            max_polyphony=self.max_polyphony,
            max_notes=self.max_notes,
            sample_rate=self.sample_rate,
        )
        check_at_least(
            0,
            lead_seconds=self.lead_seconds,
            detune_cents=self.detune_cents,
            part_detune_cents=self.part_detune_cents,
        )
        endings = "_probability", "_share"
        check_shares(**{name: value for name, value in vars(self).items() if name.endswith(endings)})
        if (shares := self.score_share + self.band_share + self.random_share) > 1:
            raise ValueError(
                f"score_share, band_share and random_share add up to {shares}; it must be at most 1"
            )

    @property
    def total_seconds(self) -> float:
        """Lead-in and segment."""
        return self.lead_seconds + self.segment_seconds


class PlayedExamples:
    """Draws examples; it holds synthesizers, so each process makes its own."""

    def __init__(self, config: PlayedConfig, scores: Sequence[Piece], bands: BandMusic, orchestra: Orchestra):
        self.config = self._config = config
        self._scores, self._bands, self._orchestra = scores, bands, orchestra

    def draw(self, rng: np.random.Generator, progress: float = 1.0) -> Example:
        """One example: `samples` float32 [N] of the segment, columns of its notes, and `pedal` float32 [M,
        2], the sustain pedal of all pianos: rows of seconds from the segment's start when it goes down and
        up, padded with zeros.
        """
        config = self._config
        while True:
            notes = self._draw_notes(rng)
            if rng.random() < config.start_probability:
                notes = _begin_with_segment(rng, notes, config.lead_seconds, config.total_seconds)
            pedal = self._draw_pedal(rng, notes)
            notes = under_pedal(notes, pedal)
            parts = [(player, notes[mine]) for player, mine in self._orchestra.assign(rng, notes)]
            if sum(len(part) for _, part in parts) <= config.max_notes:
                break
        num_samples = round(config.segment_seconds * config.sample_rate)
        mix = np.zeros(round(config.total_seconds * config.sample_rate), np.float32)
        detune = rng.uniform(-config.detune_cents, config.detune_cents)
        kept, columns = [], []
        for player, part in parts:
            audio, inflections = self._play(rng, player, part, detune)
            mix += audio
            played = part.copy()
            played["end"] = np.maximum(player.lasts(part), part["start"] + 0.02)
            kept.append(played)
            has_cents = np.full(len(part), player.is_in_tune) & ~part["is_drum"]
            columns.append(_inflection_columns(inflections, has_cents))
        if rng.random() < config.file_probability:
            mix = to_file(rng, mix, config.sample_rate)
        else:
            peak = max(float(np.abs(mix).max()), 1e-4)
            mix *= np.float32(10 ** (rng.uniform(-24, -0.5) / 20) / peak)
        sound = {
            "samples": np.ascontiguousarray(mix[-num_samples:], np.float32),
            "pedal": pedal_within(pedal, config.lead_seconds, config.total_seconds),
        }
        if not kept:
            kept, columns = [notes[:0]], [_inflection_columns(none(0), np.zeros(0, bool))]
        return Example(np.zeros(0, np.int32), np.concatenate(kept), sound | _columns(columns))

    def _play(
        self, rng: np.random.Generator, player: Player, notes: np.ndarray, detune: float
    ) -> tuple[np.ndarray, Inflections]:
        """A part's audio with its own effects and level, and the inflections that it was played with."""
        config = self._config
        program = int(notes["program"][0])
        is_drum = bool(notes["is_drum"][0])
        kind: Kind = "none"
        if player.is_inflected and not is_drum:
            kinds: list[Kind] = [kind for programs, kind in INFLECTED if program in programs]
            kind = kinds[0] if kinds else "none"
        inflections = draw_inflections(rng, notes, kind)
        detune = detune + rng.uniform(-config.part_detune_cents, config.part_detune_cents)
        if is_drum:
            detune = rng.uniform(-150, 150)
        inflections = dataclasses.replace(
            inflections, cents=(inflections.cents + np.float32(detune)).astype(np.float32)
        )
        audio = player.render(rng, notes, inflections, config.total_seconds)
        if rng.random() < config.effects_probability and not is_drum:
            audio = through_effects(rng, audio, config.sample_rate, program)
        level = float(np.sqrt(np.mean(np.square(audio)))) + 1e-6
        wanted = 0.05 * 10 ** (rng.normal(2.0 if is_drum else 0.0, 5.0) / 20)
        # Parts keep some of their own level: a soft passage stays softer.
        return audio * np.float32((wanted / level) ** 0.75), inflections

    def _draw_pedal(self, rng: np.random.Generator, notes: np.ndarray) -> np.ndarray:
        has_pedal = is_piano(notes)
        if not has_pedal.any() or rng.random() >= self._config.pedal_probability:
            return np.zeros((0, 2))
        return draw_pedal(rng, notes[has_pedal], self._config.total_seconds)

    def _draw_notes(self, rng: np.random.Generator) -> np.ndarray:
        config = self._config
        kind = rng.random()
        if kind < config.score_share:
            settings = PerformanceSettings(
                max_parts=config.max_parts,
                solo_piano_probability=config.solo_piano_probability,
                solo_other_probability=config.solo_other_probability,
                drums_probability=config.drums_probability,
                pedal_probability=0.0,
            )
            return draw_excerpt(self._scores, rng, config.total_seconds, settings)
        kind -= config.score_share
        if kind < config.band_share:
            return draw_band(rng, config.total_seconds, self._bands, BandSettings())
        if kind < config.band_share + config.random_share:
            settings = RandomMusicSettings(
                max_polyphony=config.max_polyphony,
                solo_piano_probability=config.solo_piano_probability,
                drums_probability=config.drums_probability,
            )
            return draw_random_music(rng, config.total_seconds, settings)
        return draw_drum_pattern(rng, config.total_seconds)


def _inflection_columns(inflections: Inflections, has_cents: np.ndarray) -> dict[str, np.ndarray]:
    return {**vars(inflections), "has_cents": has_cents}


def _columns(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"note_{name}": np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _begin_with_segment(
    rng: np.random.Generator, notes: np.ndarray, lead_seconds: float, total_seconds: float
) -> np.ndarray:
    """The notes from the lead-in's end on, the first of them within 60 ms after it."""
    later = notes[notes["start"] >= lead_seconds].copy()
    if len(later):
        shift = lead_seconds + rng.uniform(0, 0.06) - later["start"].min()
        later["start"] += shift
        later["end"] += shift
    return trim_overlapping_notes(later[later["start"] < total_seconds])


def open_played_examples(
    config: PlayedConfig,
    scores_file: str,
    bands_file: str,
    samples_folder: str | None,
    soundfonts: tuple[str, ...],
    held_out: tuple[str, ...],
) -> PlayedExamples:
    """What a worker process opens: scores that are not held out, bands, and everyone who plays.

    Args:
      held_out: instruments of the library that are never played.
    """
    scores = [score for score in load_scores(Path(scores_file)) if not is_held_out(score.name)]
    library = load_samples(samples_folder).without(held_out) if samples_folder else None
    synthesizers = [Synthesizer(name, config.sample_rate) for name in soundfonts]
    orchestra = Orchestra(
        library,
        synthesizers,
        config.sample_rate,
        config.samples_probability,
        config.synthesizer_probability,
        config.other_body_probability,
    )
    return PlayedExamples(config, scores, load_bands(Path(bands_file)), orchestra)
