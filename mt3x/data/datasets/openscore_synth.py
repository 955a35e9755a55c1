"""Scores, performed and rendered: training data whose notes are known exactly, from nothing but MusicXML.

Each take of a score is an excerpt of `seconds`, performed by `data.synthetic.performance` (tempo,
instruments, timing, dynamics and pedal drawn at random) and rendered with one of the soundfonts, as a whole a
little out of tune. Every instrument is a stem; the one example of a take sums them all. Test takes are
rendered with a soundfont that training never hears.

Source: any scores; OpenScore's songs and string quartets (CC0 1.0) gave the data set its name. MT3 has
nothing like it.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mt3x.data.datasets import rendered_scores
from mt3x.data.records.recordings import DataError, Item, Recording, Report
from mt3x.data.synthetic.performance import PerformanceSettings, draw_excerpt
from mt3x.music.checks import check_positive
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, TRAINING_SOUNDFONTS

_MOST_DRAWS = 20
"""An excerpt in which nothing sounds is drawn again, as often as this."""


@dataclasses.dataclass(frozen=True)
class OpenScoreSynth:
    """The reader; every field is an option of `mt3x prepare openscore_synth --set`.

    Attributes:
      seed: another one gives other performances.
      takes: of each score.
      seconds: of each take.
      max_parts: the most instruments in a take, drums included.
      detune_cents: a take is out of tune by up to this much, up or down; drums never are.
      soundfonts: names or files; each take is rendered with one of them, drawn at random.
      test_soundfont: that of the test split.

    Raises:
      ValueError: takes, seconds or max_parts not positive; detune_cents outside 0..200.
    """

    seed: int = 0
    takes: int = 4
    seconds: float = 30.0
    max_parts: int = 6
    detune_cents: float = 20.0
    soundfonts: tuple[str, ...] = TRAINING_SOUNDFONTS
    test_soundfont: str = TEST_SOUNDFONT
    name = "openscore_synth"
    splits = rendered_scores.SPLITS

    def __post_init__(self) -> None:
        check_positive(takes=self.takes, seconds=self.seconds, max_parts=self.max_parts)
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
        """A take, one stem an instrument.

        Raises:
          DataError: the score cannot be read, or nothing of it sounds.
        """
        score = rendered_scores.open_score(source, item)
        rng = rendered_scores.open_rng(self.seed, item)
        soundfont = self.soundfonts[int(rng.integers(len(self.soundfonts)))]
        synthesizer = rendered_scores.open_synthesizer(
            self.test_soundfont if item.split == "test" else soundfont
        )
        detune = float(rng.uniform(-self.detune_cents, self.detune_cents))
        settings = PerformanceSettings(max_parts=self.max_parts)
        for _ in range(_MOST_DRAWS):
            notes = draw_excerpt([score], rng, self.seconds, settings)
            notes = rendered_scores.keep_sounding(synthesizer, notes)
            if len(notes):
                break
        else:
            raise DataError(f"{item.files[0] or item.id}: nothing sounds in {_MOST_DRAWS} excerpts of it")
        stems = [
            rendered_scores.render_stem(synthesizer, part, self.seconds, detune)
            for part in _split_instruments(notes)
        ]
        return Recording(item.id, item.split, tuple(stems), (tuple(range(len(stems))),))


def _split_instruments(notes: np.ndarray) -> list[np.ndarray]:
    """Notes by program, lowest first; drums last."""
    programs = np.where(notes["is_drum"], 128, notes["program"])
    return [notes[programs == program] for program in np.unique(programs)]
