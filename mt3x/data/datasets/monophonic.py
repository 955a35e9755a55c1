"""Single lines, rendered one by one and mixed: what a network can learn instruments from before all else.

A take of a score is up to `max_mixed` lines, each an excerpt of the score at its own place, tempo and key,
reduced to its highest voice and played by an instrument of its own. A line is a stem. There are as many mixes
as lines, each the sum of a random choice of 1 to all of them; with `max_mixed` 1, every line stands alone, to
be mixed by tasks.

Source: MT3 was pretrained on such mixes for its release of ISMIR 2022 (its `ismir2022/pretrain.gin` mixes up
to 8 examples); the data were not published, and neither was how the lines came about.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mt3x.data.datasets import rendered_scores
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.data.synthetic.orchestra import LAST_MELODIC_PROGRAM, fold_into_range, octaves_into_range
from mt3x.data.synthetic.performance import SHORTEST_NOTE_SECONDS, PerformanceSettings, draw_excerpt
from mt3x.data.synthetic.scores import Piece
from mt3x.music.checks import check_positive
from mt3x.music.notes import make_notes, sort_notes
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, TRAINING_SOUNDFONTS, Synthesizer

SAME_ONSET_SECONDS = 0.05
"""Notes that begin within this time after another are of one chord, of which the highest stays."""

_ONE_PART = PerformanceSettings(
    max_parts=1, solo_piano_probability=0.0, solo_other_probability=1.0, drums_probability=0.0
)
_MOST_DRAWS = 20
"""A line in which nothing sounds is drawn again, as often as this."""


@dataclasses.dataclass(frozen=True)
class Monophonic:
    """The reader; every field is an option of `mt3x prepare monophonic --set`.

    Attributes:
      seed: another one gives other lines.
      takes: of each score.
      seconds: of each take.
      max_mixed: lines of a take, and the most that are mixed.
      detune_cents: a line is out of tune by up to this much, up or down.
      soundfonts: names or files; each take is rendered with one of them, drawn at random.
      test_soundfont: that of the test split.

    Raises:
      ValueError: takes or seconds not positive, max_mixed outside 1..8, detune_cents outside 0..200.
    """

    seed: int = 0
    takes: int = 4
    seconds: float = 10.0
    max_mixed: int = 8
    detune_cents: float = 20.0
    soundfonts: tuple[str, ...] = TRAINING_SOUNDFONTS
    test_soundfont: str = TEST_SOUNDFONT
    name = "monophonic"
    splits = rendered_scores.SPLITS

    def __post_init__(self) -> None:
        check_positive(takes=self.takes, seconds=self.seconds)
        if not 1 <= self.max_mixed <= 8:
            raise ValueError(f"max_mixed is {self.max_mixed}; it must be within 1..8")
        if not 0 <= self.detune_cents <= 200:
            raise ValueError(f"detune_cents is {self.detune_cents}; it must be within 0..200")

    def items(self, source: Path, report: Report) -> list[Item]:
        """The takes of all scores.

        Raises:
          DataError: there is no score, or a soundfont is missing.
        """
        rendered_scores.check_soundfonts(self.soundfonts, self.test_soundfont)
        return rendered_scores.list_takes(source, self.takes, report)

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        """A take, one stem a line; no two lines have the same program.

        Raises:
          DataError: the score cannot be read, or no line of it sounds.
        """
        score = rendered_scores.open_score(source, item)
        rng = rendered_scores.open_rng(self.seed, item)
        soundfont = self.soundfonts[int(rng.integers(len(self.soundfonts)))]
        synthesizer = rendered_scores.open_synthesizer(
            self.test_soundfont if item.split == "test" else soundfont
        )
        stems = []
        for program in rng.permutation(LAST_MELODIC_PROGRAM + 1)[: self.max_mixed].tolist():
            detune = float(rng.uniform(-self.detune_cents, self.detune_cents))
            line = self._draw_line(score, program, synthesizer, rng)
            if len(line):
                stems.append(rendered_scores.render_stem(synthesizer, line, self.seconds, detune))
        if not stems:
            raise DataError(f"{item.files[0] or item.id}: nothing sounds in any line of it")
        return Recording(item.id, item.split, tuple(stems), _draw_mixes(rng, len(stems)))

    def _draw_line(
        self, score: Piece, program: int, synthesizer: Synthesizer, rng: np.random.Generator
    ) -> np.ndarray:
        """A line that this soundfont can play; without notes if none could be drawn."""
        for _ in range(_MOST_DRAWS):
            line = reduce_to_line(draw_excerpt([score], rng, self.seconds, _ONE_PART))
            if not len(line):
                continue
            pitch = line["pitch"] + octaves_into_range(line["pitch"], program)
            line["pitch"] = fold_into_range(pitch, np.full(len(line), program))
            line["program"] = program
            line = rendered_scores.keep_sounding(synthesizer, line)
            if len(line):
                return line
        return make_notes([], [], [])


def reduce_to_line(notes: np.ndarray) -> np.ndarray:
    """The highest voice: of each chord the highest note, which lasts no longer than until the next chord.

    >>> notes = make_notes([0.0, 0.01, 0.5, 0.6], [1.0, 0.4, 0.9, 0.61], [60, 67, 64, 40])
    >>> line = reduce_to_line(notes)
    >>> line["pitch"].tolist(), line["start"].tolist(), line["end"].tolist()
    ([67, 64], [0.01, 0.5], [0.4, 0.6])
    """
    ordered = sort_notes(notes)
    chord = np.cumsum(np.diff(ordered["start"], prepend=-np.inf) > SAME_ONSET_SECONDS)
    by_chord = ordered[np.lexsort((-ordered["pitch"], chord))]
    _, first = np.unique(np.sort(chord), return_index=True)
    line = by_chord[first]
    line["end"][:-1] = np.minimum(line["end"][:-1], line["start"][1:])
    return line[line["end"] - line["start"] >= SHORTEST_NOTE_SECONDS]


def _draw_mixes(rng: np.random.Generator, num_lines: int) -> tuple[tuple[int, ...], ...]:
    """As many random choices of lines as there are lines."""
    sizes = rng.integers(1, num_lines + 1, num_lines)
    return tuple(tuple(sorted(rng.permutation(num_lines)[:size].tolist())) for size in sizes)
