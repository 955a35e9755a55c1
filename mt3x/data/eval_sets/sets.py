"""Test sets: seeded excerpts of held-out scores, rendered, with their notes as MIDI; anyone can rebuild them.

A set is a folder with NAME.flac and NAME.mid for each excerpt and `manifest.json`. Audio is mono, 44,100
samples a second, 16 bits, dry (no room), its peak at `PEAK`. Excerpts last 20 s. What they hold depends on
the set, the scores and the seed alone, and fewer of them are the first ones of more. The same soundfont file,
FluidSynth and NumPy give the same files, bit for bit; the manifest holds checksums. Notes that a soundfont
has no sample for are in neither file; the manifest counts them.

`challenge25` follows what the 2025 AMT Challenge (arXiv 2603.27528; ai4musicians.org) tells of its test set:
76 classical excerpts of 20 s for at most three of piano, violin, viola, cello, flute, oboe, bassoon and
trombone, 6 solos, 24 duos and 46 trios, rendered with FluidR3 GM. Its music is not published; here it is
songs, choirs and quartets of OpenScore dealt to these instruments, each piece once.
"""

import hashlib
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mt3x.data.eval_sets.arrangements import EXCERPT_SECONDS, Ensemble, Excerpt, can_play, draw_excerpt
from mt3x.data.eval_sets.pieces import is_test_piece
from mt3x.data.pipeline.sound import RenderedSound
from mt3x.data.synthetic.scores import Piece
from mt3x.music.files import write_whole
from mt3x.music.instruments import program_name
from mt3x.music.midi_writing import midi_bytes
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, Synthesizer, find_soundfont

DEFAULT_SEED = 2025
DEFAULT_SOUNDFONTS = ("FluidR3_GM", TEST_SOUNDFONT)
"""One that models are trained with, and one that they never hear."""

SAMPLE_RATE = 44_100
PEAK = 0.7
MANIFEST_FILE = "manifest.json"

_REDRAWS = 8


@dataclass(frozen=True)
class TestSet:
    """Which ensembles play the excerpts of a set: the number of each; all of them are mixed."""

    __test__ = False  # pytest would take it for tests

    description: str
    counts: Mapping[Ensemble, int]

    @property
    def pieces(self) -> int:
        """The number of excerpts."""
        return sum(self.counts.values())


SETS: Mapping[str, TestSet] = MappingProxyType(
    {
        "challenge25": TestSet(
            "76 classical excerpts for one to three of 8 instruments, as in the 2025 AMT Challenge",
            {Ensemble.SOLO: 6, Ensemble.DUO: 24, Ensemble.TRIO: 46},
        ),
        "piano": TestSet("songs and quartets on a piano", {Ensemble.PIANO: 40}),
        "quartet": TestSet(
            "string quartets and choirs on two violins, viola and cello", {Ensemble.QUARTET: 40}
        ),
        "song": TestSet("songs, a voice with a piano", {Ensemble.SONG: 40}),
        "band": TestSet("songs on guitar, keyboard, bass and drums", {Ensemble.BAND: 40}),
    }
)


@dataclass(frozen=True)
class TestExcerpt:
    """One excerpt of a set; `score` is where it is from."""

    __test__ = False

    name: str
    ensemble: Ensemble
    score: Piece
    excerpt: Excerpt


def draw_test_set(name: str, scores: Sequence[Piece], seed: int = DEFAULT_SEED) -> Iterator[TestExcerpt]:
    """The excerpts of a set in order, drawn one after another: take as many as are needed.

    Every piece that can be played is used before one is used again.

    Args:
      name: of `SETS`.
      scores: test pieces (`eval_sets.pieces.select_test_pieces`).

    Raises:
      ValueError: no such set, a score of training, or none that can be played.
    """
    if name not in SETS:
        raise ValueError(f"there is no test set {name}; the sets are {', '.join(SETS)}")
    for score in scores:
        if not is_test_piece(score.name):
            raise ValueError(f"{score.name} is no test piece, training may hold it; leave it out")
    counts, set_number = SETS[name].counts, zlib.crc32(name.encode())
    rng = np.random.default_rng((seed, set_number))
    ensembles = [ensemble for ensemble, count in counts.items() for _ in range(count)]
    playable = {ensemble: [score for score in scores if can_play(ensemble, score)] for ensemble in counts}
    for ensemble, mine in playable.items():
        if not mine:
            raise ValueError(
                f"none of {len(scores)} scores has parts for {ensemble.value}; give more test pieces"
            )
    waiting: list[Piece] = []
    for number, index in enumerate(rng.permutation(len(ensembles))):
        ensemble = ensembles[int(index)]
        mine = playable[ensemble]
        rng = np.random.default_rng((seed, set_number, number))
        excerpt = None
        for _ in range(_REDRAWS):
            if not any(score in mine for score in waiting):
                waiting += [mine[int(i)] for i in rng.permutation(len(mine))]
            score = next(score for score in waiting if score in mine)
            waiting.remove(score)
            excerpt = draw_excerpt(score, ensemble, rng)
            if excerpt is not None:
                yield TestExcerpt(f"{number:03d}", ensemble, score, excerpt)
                break
        if excerpt is None:
            raise ValueError(f"{_REDRAWS} scores had a silent instrument for {name}; give more test pieces")


def write_test_set(
    name: str,
    scores: Sequence[Piece],
    folder: str | Path,
    soundfont: str | Path = DEFAULT_SOUNDFONTS[0],
    seed: int = DEFAULT_SEED,
    pieces: int | None = None,
    report: Callable[[float, float], None] = lambda done_seconds, total_seconds: None,
) -> dict[str, Any]:
    """Draws and renders a set into a folder, which is made; returns the manifest.

    Args:
      name, scores, seed: as for `draw_test_set`.
      soundfont: a name or a file, as for `find_soundfont`.
      pieces: so many excerpts, the first ones; all without.
      report: called after each excerpt with the seconds of audio done and to do.

    Raises:
      ValueError: as for `draw_test_set`; `pieces` below 1 or more than the set has.
      SynthesisError: audio can't be rendered here.
    """
    folder, count = Path(folder), SETS[name].pieces if name in SETS else 0
    if pieces is not None and name in SETS:
        if not 1 <= pieces <= count:
            raise ValueError(f"pieces is {pieces}; {name} has 1..{count}")
        count = pieces
    excerpts = draw_test_set(name, scores, seed)
    first = next(excerpts)  # a wrong set or score fails before anything is opened or written
    synthesizer = Synthesizer(soundfont, SAMPLE_RATE)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for drawn in itertools.islice(itertools.chain([first], excerpts), count):
        entries.append(_write_excerpt(drawn, synthesizer, folder))
        report(len(entries) * EXCERPT_SECONDS, count * EXCERPT_SECONDS)
    synthesizer.close()
    manifest = {
        "set": name,
        "description": SETS[name].description,
        "seed": seed,
        "soundfont": {"name": Path(soundfont).stem, "sha256": _file_digest(find_soundfont(soundfont))},
        "room": "dry",
        "sample_rate": SAMPLE_RATE,
        "seconds": EXCERPT_SECONDS,
        "numpy": np.__version__,
        "scores": len({entry["score"] for entry in entries}),
        "excerpts": entries,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder / MANIFEST_FILE, text.encode())
    return manifest


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a set that `write_test_set` wrote.

    Raises:
      ValueError: the folder holds none.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["excerpts"][0]["name"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is no manifest of a test set ({error}); write one with mt3x synthesize"
        ) from error
    return manifest


def _write_excerpt(drawn: TestExcerpt, synthesizer: Synthesizer, folder: Path) -> dict[str, Any]:
    """Writes audio and notes; returns the manifest's entry."""
    import soundfile

    notes = drawn.excerpt.notes
    is_sounding = RenderedSound(synthesizer, detune_cents=0.0).sounding(notes)
    left_out, notes = int((~is_sounding).sum()), notes[is_sounding]
    midi = midi_bytes(notes)
    samples = synthesizer.render(notes, EXCERPT_SECONDS)
    loudest = float(np.abs(samples).max()) or 1.0
    samples = np.rint(samples * (PEAK / loudest * 32767)).astype(np.int16)
    soundfile.write(folder / f"{drawn.name}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
    (folder / f"{drawn.name}.mid").write_bytes(midi)
    programs = np.unique(notes["program"][~notes["is_drum"]]).tolist()
    return {
        "name": drawn.name,
        "ensemble": drawn.ensemble.name.lower(),
        "instruments": [*map(program_name, programs), *(["drums"] if notes["is_drum"].any() else [])],
        "score": drawn.score.name,
        "title": drawn.score.title,
        "composer": drawn.score.composer,
        "start_quarters": drawn.excerpt.start_quarters,
        "quarters_per_minute": round(drawn.excerpt.quarters_per_minute, 2),
        "notes": len(notes),
        "notes_without_sample": left_out,
        "samples_sha256": hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest(),
        "midi_sha256": hashlib.sha256(midi).hexdigest(),
    }


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
