"""What data sets that play scores share: which scores, in which split, and how a line of notes sounds.

The source is a folder with MusicXML files at any depth (.mxl, .musicxml, .xml), or an archive that
`mt3x prepare scores` made of one. Splits go by the score's name: held-out scores
(`data.synthetic.scores.is_held_out`, about 6 %) are the test split, and about one in twenty of the others, by
a hash, the validation split.

An item is one take of one score; all that is drawn for it follows from the reader's seed and the item's id.
"""

import functools
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from mt3x.data.records.recordings import SAMPLE_RATE, DataError, Item, Report, Stem
from mt3x.data.synthetic.scores import Piece, is_held_out, load_scores, read_piece, score_name
from mt3x.music.instruments import DRUMS_NAME, program_name
from mt3x.score.io.musicxml_files import SUFFIXES
from mt3x.synthesis.soundfonts import SynthesisError, Synthesizer, find_soundfont

SPLITS = ("train", "validation", "test")
VALIDATION_ONE_IN = 20


def list_takes(source: Path, takes: int, report: Report) -> list[Item]:
    """Items `SCORE/0`, `SCORE/1`, ... in the order of files, or of the archive.

    Raises:
      DataError: `source` is no folder with scores and no archive of them.
    """
    if source.is_file():
        scores = [(name, "") for name in _load_archive(source)]  # "" below an archive is the archive
    elif source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
        files = [path.relative_to(source) for path in paths]
        scores = [((file.parent / score_name(file)).as_posix(), file.as_posix()) for file in files]
    else:
        raise DataError(f"{source}: is no folder of scores and no archive of them")
    counts = Counter(name for name, _ in scores)
    for name, file in scores:
        if counts[name] > 1:
            report(file or name, f"is one of {counts[name]} scores named {name}; left out: keep one")
    scores = [(name, file) for name, file in scores if counts[name] == 1]
    if not scores:
        raise DataError(f"{source}: holds no score to play ({', '.join(SUFFIXES)})")
    return [
        Item(f"{name}/{take}", _split_of(name), (file,)) for name, file in scores for take in range(takes)
    ]


def open_score(source: Path, item: Item) -> Piece:
    """The score of an item.

    Raises:
      DataError: it cannot be read.
    """
    (file,) = item.files
    if not file:
        return _load_archive(source)[item.id.rpartition("/")[0]]
    try:
        return read_piece(source / file)
    except ValueError as error:
        raise DataError(str(error)) from error


def open_rng(seed: int, item: Item) -> np.random.Generator:
    """An item's own random numbers."""
    digest = hashlib.sha256(f"{seed}/{item.id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def check_soundfonts(soundfonts: tuple[str, ...], test_soundfont: str) -> None:
    """Makes sure that there are some, and all are on this machine.

    Raises:
      DataError: one is missing; says how to get it.
    """
    if not soundfonts or isinstance(soundfonts, str):
        raise DataError(f"soundfonts is {soundfonts!r}; name at least one, as in ('FluidR3_GM',)")
    try:
        for soundfont in (*soundfonts, test_soundfont):
            find_soundfont(soundfont)
    except SynthesisError as error:
        raise DataError(str(error)) from error


@functools.cache
def open_synthesizer(soundfont: str) -> Synthesizer:
    """This process's own synthesizer, which stays open: some soundfonts take seconds to load.

    Raises:
      DataError: FluidSynth is missing, or the soundfont cannot be read.
    """
    try:
        return Synthesizer(soundfont, SAMPLE_RATE)
    except SynthesisError as error:
        raise DataError(str(error)) from error


def render_stem(synthesizer: Synthesizer, notes: np.ndarray, seconds: float, detune_cents: float) -> Stem:
    """The notes of one instrument, played; they are cut where the audio ends, after `seconds`."""
    samples = synthesizer.render(notes, seconds, detune_cents)
    cut = notes.copy()
    cut["end"] = np.minimum(cut["end"], len(samples) / SAMPLE_RATE)
    name = DRUMS_NAME if notes["is_drum"][0] else program_name(int(notes["program"][0]))
    return Stem(name, samples, cut)


def keep_sounding(synthesizer: Synthesizer, notes: np.ndarray) -> np.ndarray:
    """The notes that the soundfont has a sample for."""
    from mt3x.data.pipeline.sound import RenderedSound  # brings JAX, which listing items can do without

    return notes[RenderedSound(synthesizer, 0.0).sounding(notes)]


def _split_of(name: str) -> str:
    if is_held_out(name):
        return "test"
    digest = hashlib.sha256(f"validation/{score_name(name)}".encode()).digest()
    return "validation" if int.from_bytes(digest[:4], "big") % VALIDATION_ONE_IN == 0 else "train"


def _load_archive(path: Path) -> dict[str, Piece]:
    """Scores by name; of those with one name, the second is NAME~2."""
    return _load_archive_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _load_archive_of(path: Path, changed_at: int) -> dict[str, Piece]:
    try:
        scores = load_scores(path)
    except ValueError as error:
        raise DataError(str(error)) from error
    counts: Counter[str] = Counter()
    named = {}
    for score in scores:
        counts[score.name] += 1
        number = counts[score.name]
        named[score.name if number == 1 else f"{score.name}~{number}"] = score
    return named
