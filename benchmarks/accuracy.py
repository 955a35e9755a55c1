"""How well a model transcribes test sets that training never saw.

    python benchmarks/accuracy.py --scores openscore.npz [--sets challenge25,piano] [--soundfonts FluidR3_GM]
                                  [--real FOLDER] [--clips FOLDER] [--model FOLDER]
                                  [--search NAME] [--dtype NAME] [--pieces N] [--work FOLDER] [--json FILE]
                                  [--known_instruments]

Every set of `mt3x synthesize` with a soundfont that training hears (FluidR3_GM) and one that it never does
(TimGM6mb), as many excerpts of each as `--pieces` says; `--pieces 0` is all of them. `--work` keeps the sets.
`--real` names a folder of recordings with notes beside them: NAME.flac or NAME.wav and NAME.tsv, with columns
onset_seconds, offset_seconds, pitch, velocity. `--clips` names a folder of short real recordings of which
often only a part is labelled; `clips.py` says what it holds, and what the rows of the second table are. That
table also counts how often the first note of a recording is found.

The table has the columns of `COLUMNS`, all of `mt3x.metrics`: means over excerpts, two of them with a 95 %
interval (bootstrap over excerpts; those of `quartet` are five from each of eight pieces, so its interval is
too narrow). CPU time includes reading the audio; the first excerpt of a set is transcribed once before, as
then programs are compiled. With `--known_instruments` each excerpt's model is told what plays in it
(`mt3x transcribe --instruments`), and CPU time includes loading and compiling that; of `--clips` the model is
never told, as their labels do not name all that plays.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from clips import clips_entry, first_note, read_clips, score_clip, table_rows

from mt3x.data.eval_sets.pieces import select_test_pieces
from mt3x.data.eval_sets.sets import DEFAULT_SEED, DEFAULT_SOUNDFONTS, SETS, read_manifest, write_test_set
from mt3x.data.synthetic.scores import load_scores
from mt3x.metrics.instruments import multi_onset_scores
from mt3x.metrics.report import Decoding, report
from mt3x.metrics.summary import summarize
from mt3x.metrics.tables import FoundCounts
from mt3x.music.instruments import DRUMS, Granularity
from mt3x.music.midi import read_midi
from mt3x.music.notes import make_notes

if TYPE_CHECKING:
    from mt3x.transcription.transcriber import Transcriber


class Clip(NamedTuple):
    """A recording and the notes that it holds."""

    name: str
    audio: Path
    notes: np.ndarray


class Column(NamedTuple):
    """Of the table: where a summary has it, and whether its interval is printed."""

    path: tuple[str, ...]
    with_interval: bool = False


COLUMNS: Mapping[str, Column] = {
    "onset F1": Column(("scores", "onset", "f1"), True),
    "onset+offset F1": Column(("scores", "onset_offset", "f1")),
    "MIDI class F1": Column(("scores", "pitched_program_midi_class", "f1")),
    "drum onset F1": Column(("scores", "drum_onset", "f1")),
    "multi-onset F1": Column(("scores", "multi_onset", "f1"), True),
    "by class": Column(("scores", "multi_onset_midi_class", "f1")),
    "leakage": Column(("instruments", "leakage_ratio")),
    "detection F1": Column(("scores", "instruments", "f1")),
    "invalid/min": Column(("events", "per_minute")),
}
"""Onset F1 and onset and offset F1 are blind to instruments and of pitched notes only; MIDI class F1 is of
onset, offset and class of eight programs; multi-onset F1 is that of the 2025 AMT Challenge (program, pitch,
onset), beside it the same by class of eight programs; leakage and detection F1 are of programs (MR-MT3)."""


def add_set_options(parser: argparse.ArgumentParser, pieces: int) -> None:
    """Options that say what is transcribed."""
    parser.add_argument(
        "--scores", type=Path, help="packed by mt3x prepare scores; not needed with --sets none"
    )
    parser.add_argument("--sets", default=",".join(SETS), help=f"of {', '.join(SETS)}, or none; all without")
    parser.add_argument("--soundfonts", default=",".join(DEFAULT_SOUNDFONTS), help="names or files")
    parser.add_argument("--real", type=Path, help="folder of recordings with tables of notes")
    parser.add_argument("--clips", type=Path, help="folder of labelled clips with a manifest")
    parser.add_argument("--pieces", type=int, default=pieces, help=f"of each set; 0: all ({pieces})")
    parser.add_argument("--json", type=Path, help="write all scores of all pieces to this file")


def prepare_clips(args: argparse.Namespace, work: Path) -> dict[str, list[Clip]]:
    """The clips of each set asked for, by the set's name; sets that `work` lacks are made there."""
    names = [name for name in args.sets.split(",") if name and name != "none"]
    unknown = set(names) - set(SETS)
    if unknown:
        raise ValueError(f"there is no test set {min(unknown)}; the sets are {', '.join(SETS)}")
    if names and args.scores is None:
        raise ValueError(f"the sets {', '.join(names)} are made of scores; give --scores or --sets none")
    scores = select_test_pieces(load_scores(args.scores)) if names else []
    clips = {}
    for name, soundfont in itertools.product(names, args.soundfonts.split(",")):
        folder = work / f"{name}-{Path(soundfont).stem}"
        count = min(args.pieces or SETS[name].pieces, SETS[name].pieces)
        if not _has(folder, count):
            print(f"making {folder.name}", file=sys.stderr)
            write_test_set(name, scores, folder, soundfont, pieces=count)
        excerpts = [f"{entry['name']}" for entry in read_manifest(folder)["excerpts"][:count]]
        clips[folder.name] = [
            Clip(excerpt, folder / f"{excerpt}.flac", read_midi(folder / f"{excerpt}.mid"))
            for excerpt in excerpts
        ]
    if args.real:
        clips["real"] = list(real_clips(args.real))
    return clips


def _has(folder: Path, count: int) -> bool:
    try:
        manifest = read_manifest(folder)
    except ValueError:
        return False
    return manifest["seed"] == DEFAULT_SEED and len(manifest["excerpts"]) >= count


def real_clips(folder: Path) -> Iterator[Clip]:
    """Recordings of one piano with the notes in a table beside each."""
    tables = sorted(folder.glob("*.tsv"))
    if not tables:
        raise ValueError(f"{folder} has no .tsv file; it needs one beside each recording")
    for table in tables:
        onset, offset, pitch, velocity = np.loadtxt(table, skiprows=1, ndmin=2).T[:4]
        recording = next(
            path for path in (table.with_suffix(".flac"), table.with_suffix(".wav")) if path.exists()
        )
        yield Clip(table.stem, recording, make_notes(onset, offset, pitch, np.maximum(velocity, 1)))


def instruments_of(notes: np.ndarray) -> list[int]:
    """The programs that play, and `DRUMS`."""
    programs = np.unique(notes["program"][~notes["is_drum"]]).tolist()
    return [*programs, DRUMS] if notes["is_drum"].any() else programs


def score(reference: np.ndarray, estimate: np.ndarray, decoding: Decoding | None = None) -> dict[str, Any]:
    """The report of one piece, with the multi-onset scores by class and `first_note` beside it."""
    scores = report(reference, estimate, decoding)
    by_class = multi_onset_scores(reference, estimate, Granularity.MIDI_CLASS)
    scores["scores"]["multi_onset_midi_class"] = dataclasses.asdict(by_class)
    scores["first_note"] = dataclasses.asdict(first_note(reference, estimate))
    return scores


def cells(summary: Mapping[str, Any]) -> list[str]:
    """A row of the table: one cell for each of `COLUMNS`."""
    row = []
    for column in COLUMNS.values():
        value: Any = summary
        for key in column.path:
            value = value and value[key]
        if value is None:
            row.append("-")
        else:
            interval = f" [{value['low']:.3f}, {value['high']:.3f}]" if column.with_interval else ""
            row.append(f"{value['value']:.3f}{interval}")
    return row


def markdown(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def print_head(first: Sequence[str], last: Sequence[str]) -> None:
    """The head of a table with `COLUMNS` in its middle."""
    titles = [*first, *COLUMNS, *last]
    print(markdown(titles))
    print(markdown(["---"] * len(titles)), flush=True)


def measure_set(
    clips: Sequence[Clip], whole: "Transcriber", transcriber_of: Callable[[Clip], "Transcriber"]
) -> dict[str, Any]:
    """The summary, the reports and the times of a set; `whole` transcribes its first clip before, untimed."""
    whole.transcribe(clips[0].audio)
    cpu, wall = -time.process_time(), -time.perf_counter()
    found = {clip.name: transcriber_of(clip).transcribe(clip.audio) for clip in clips}
    cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
    reports, seconds = {}, 0.0
    for clip in clips:
        result = found[clip.name]
        decoding = Decoding(
            result.report.invalid_events, result.report.dropped_events, result.duration_seconds
        )
        reports[clip.name] = score(clip.notes, result.notes, decoding)
        seconds += result.duration_seconds
    return {
        "summary": summarize(list(reports.values())),
        "pieces": reports,
        "audio_seconds": seconds,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
    }


def real_first_notes(entry: Mapping[str, Any] | None) -> list[FoundCounts]:
    """First notes of the recordings of `--real`, from what a table has of that set; none without it."""
    reports = entry.get("pieces", {}) if entry else {}
    return [FoundCounts(**report["first_note"]) for report in reports.values()]


def print_clip_table(columns: Mapping[str, Mapping[str, tuple[int, str]]]) -> None:
    """The second table: a column for each of the rows of `table_rows`; nothing where there are no rows."""
    titles = dict.fromkeys(title for rows in columns.values() for title in rows)
    if not titles:
        return
    print(f"\n{markdown(['quantity', 'recordings', *columns])}")
    print(markdown(["---"] * (2 + len(columns))))
    for title in titles:
        found = [rows.get(title, (0, "-")) for rows in columns.values()]
        print(markdown([title, str(max(number for number, _ in found)), *(text for _, text in found)]))


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options that say what transcribes, and how."""
    parser.add_argument("--model", help="folder of a checkpoint; the default model without")
    parser.add_argument("--search", help="greedy, grammar or beam; the model's own without")
    parser.add_argument("--dtype", help="float32, bfloat16 or int8; what suits the device without")
    parser.add_argument("--keep_restrikes", action="store_true", help="do not merge quickly repeated notes")
    parser.add_argument("--known_instruments", action="store_true", help="tell the model what plays")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures a model on held-out music.")
    add_set_options(parser, pieces=20)
    parser.add_argument("--work", type=Path, help="folder to keep the sets in; a temporary one without")
    add_model_options(parser)
    args = parser.parse_args()

    import mt3x

    load = functools.partial(
        mt3x.load,
        args.model,
        search=args.search,
        dtype=args.dtype,
        merge_restrikes_seconds=0.0 if args.keep_restrikes else None,
    )
    whole = load()

    def transcriber_of(clip: Clip) -> "Transcriber":
        return load(instruments=instruments_of(clip.notes)) if args.known_instruments else whole

    table: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        try:
            sets = prepare_clips(args, args.work or Path(temporary))
            labelled = read_clips(args.clips) if args.clips else []
        except ValueError as error:
            parser.error(str(error))
        if sets:
            print_head(["set", "pieces"], ["CPU s / audio s", "x real time"])
        for name, clips in sets.items():
            entry = table[name] = measure_set(clips, whole, transcriber_of)
            seconds = entry["audio_seconds"]
            speed = [f"{entry['cpu_seconds'] / seconds:.4f}", f"{seconds / entry['wall_seconds']:.1f}"]
            print(markdown([name, str(len(clips)), *cells(entry["summary"]), *speed]), flush=True)
    scores = {clip.name: score_clip(clip, whole.transcribe(clip.audio).notes) for clip in labelled}
    print_clip_table({"value": table_rows(list(scores.values()), real_first_notes(table.get("real")))})
    if scores:
        table["clips"] = clips_entry(scores)
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
