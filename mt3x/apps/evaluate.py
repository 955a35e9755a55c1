"""`mt3x evaluate`: scores of transcriptions, from files of notes, or from recordings that it transcribes.

Tables go to standard output, errors and progress to standard error. A piece that cannot be read is named in
one line and the rest goes on. Files that were asked for are written when all pieces are scored, each whole or
not at all. docs/evaluation.md says what the numbers mean.
"""

import argparse
import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mt3x.apps.console import model_options
from mt3x.apps.console.messages import complain, shown, why_unwritable
from mt3x.apps.console.progress import Progress
from mt3x.apps.results.evaluation_files import NothingToCompare, Pair, find_pairs, read_notes
from mt3x.music.files import write_whole

if TYPE_CHECKING:
    from mt3x.metrics.report import Decoding, EvaluatedPiece
    from mt3x.transcription.transcriber import Transcriber

JSON_FORMAT = "mt3x-evaluation-1"

_EPILOG = """\
  mt3x evaluate references estimates --html page.html
  mt3x evaluate reference.mid estimate.mid
  mt3x evaluate --audio recordings --reference references --model runs/mine --json scores.json

Notes are MIDI files, or tables NAME.tsv of onset and offset in seconds, pitch and velocity. Pieces of two
folders, searched to any depth, are matched by name: a/b.mid goes with a/b.midi, a/b.tsv, a/b.flac.

exit codes: 0 all is well, 1 some pieces or files failed, 2 wrong command line or model, or no pieces at all,
130 interrupted.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declares the command's options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score transcriptions",
        description="Compares notes with references, or transcribes recordings and compares those notes.",
        usage="mt3x evaluate [options] REFERENCE ESTIMATE\n       "
        "mt3x evaluate [options] --audio RECORDINGS --reference REFERENCE",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "notes", nargs="*", type=Path, metavar="REFERENCE ESTIMATE", help="two folders of notes, or two files"
    )
    parser.add_argument(
        "--audio", type=Path, metavar="PATH", help="recordings to transcribe; with --reference"
    )
    parser.add_argument("--reference", type=Path, metavar="PATH", help="what was played; with --audio")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all numbers, of each piece and of all"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line of scores for each piece")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at and listen to")
    parser.add_argument(
        "--tolerance",
        type=_positive_seconds,
        default=0.05,
        metavar="SECONDS",
        help="how far onsets, and offsets of short notes, may be apart (0.05)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws behind the intervals (0)")
    parser.set_defaults(refuse=parser.error)
    model_options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Scores what `args` names and returns the exit code."""
    reference, other = _sides(args)
    outputs = [path for path in (args.json, args.csv, args.html) if path is not None]
    for path in outputs:
        if path.is_dir():
            complain(f"cannot write {shown(path)}: it is a folder; name a file in it")
            return 2
        if refusal := why_unwritable(path.parent):
            complain(f"cannot write to {shown(path.parent)}: {refusal}")
            return 2
    try:
        pairs, complaints = find_pairs(reference, other, are_recordings=args.audio is not None)
    except NothingToCompare as error:
        complain(str(error))
        return 2
    for complaint in complaints:
        complain(complaint)
    played, failed = _read_references(pairs)
    if args.audio is None:
        pieces = _read_estimates(played, args)
    else:
        try:
            transcriber = model_options.load(model_options.load_arguments(args))
        except (ValueError, OSError) as error:
            complain(str(error))
            return 2
        pieces = _transcribe(played, transcriber, args)
    failed += len(played) - len(pieces)
    if not pieces:
        complain(f"none of {len(pairs)} pieces could be scored; nothing is written")
        return 1
    are_written = _show_and_write(pieces, f"{other} against {reference}", args)
    return 1 if failed or complaints or not are_written else 0


def _sides(args: argparse.Namespace) -> tuple[Path, Path]:
    """The reference, and what is compared with it; ends the process where the words make no sense."""
    sides = args.notes if args.audio is None else [args.reference, args.audio]
    if args.audio is None:
        if len(args.notes) != 2 or args.reference is not None:
            args.refuse("give REFERENCE and ESTIMATE, or --audio RECORDINGS --reference REFERENCE")
        if model_options.load_arguments(args).keys() - {"mt3_compatible"}:
            args.refuse("options of a model are for --audio; without it nothing is transcribed")
    elif args.notes or args.reference is None:
        args.refuse("--audio RECORDINGS needs --reference REFERENCE, and no other files")
    return sides[0], sides[1]


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, such as 0.05")
    return seconds


def _read_references(pairs: Sequence[Pair]) -> tuple[list[tuple[Pair, np.ndarray]], int]:
    """Pieces with the notes of their references, and how many could not be read."""
    played = []
    for pair in pairs:
        with _complaining():
            played.append((pair, read_notes(pair.reference, complain)))
    return played, len(pairs) - len(played)


def _read_estimates(
    played: Sequence[tuple[Pair, np.ndarray]], args: argparse.Namespace
) -> "list[EvaluatedPiece]":
    """The pieces whose estimates can be read."""
    pieces = []
    for pair, reference in played:
        with _complaining():
            pieces.append(_score(pair.name, reference, read_notes(pair.other, complain), args))
    return pieces


def _transcribe(
    played: Sequence[tuple[Pair, np.ndarray]], transcriber: "Transcriber", args: argparse.Namespace
) -> "list[EvaluatedPiece]":
    """The pieces whose recordings can be transcribed."""
    from mt3x.audio.errors import AudioError
    from mt3x.audio.load import load_audio
    from mt3x.metrics.report import Decoding
    from mt3x.transcription.devices import default_num_workers

    config = transcriber.config
    segment_seconds = config.segment_seconds
    pieces, number_shown = [], None
    with Progress("", sys.stderr) as progress:

        def show(number: int, done_seconds: float, total_seconds: float | None) -> None:
            nonlocal number_shown
            if number != number_shown:
                number_shown = number
                progress.begin(played[number][0].name)
            progress(done_seconds, total_seconds)

        recordings = [pair.other for pair, _ in played]
        found = transcriber.transcribe_all(recordings, default_num_workers(), show, strict=True)
        for (pair, reference), transcription in zip(played, found, strict=True):
            progress.clear()
            if isinstance(transcription, AudioError):  # names the file itself
                complain(str(transcription))
                continue
            for notice in transcription.notices:
                complain(f"{shown(pair.other)}: {notice}")
            report, seconds = transcription.report, transcription.duration_seconds
            sample_rate = config.sample_rate
            pieces.append(
                _score(
                    pair.name,
                    reference,
                    transcription.notes,
                    args,
                    Decoding(report.invalid_events, report.dropped_events, seconds),
                    np.arange(segment_seconds, seconds, segment_seconds),
                    (load_audio(pair.other, sample_rate), sample_rate) if args.html else None,
                )
            )
    return pieces


@contextlib.contextmanager
def _complaining() -> Iterator[None]:
    """Says what is wrong with a piece, instead of raising it."""
    try:
        yield
    except ValueError as error:  # it names the file
        complain(str(error))


def _score(
    name: str,
    reference: np.ndarray,
    estimate: np.ndarray,
    args: argparse.Namespace,
    decoding: "Decoding | None" = None,
    segment_edges_seconds: npt.ArrayLike = (),
    audio: tuple[np.ndarray, int] | None = None,
) -> "EvaluatedPiece":
    from mt3x.metrics.report import EvaluatedPiece, report

    scores = report(reference, estimate, decoding, args.tolerance, args.mt3_compatible)
    edges = np.asarray(segment_edges_seconds, np.float64)
    return EvaluatedPiece(name, reference, estimate, scores, edges, audio)


def _show_and_write(pieces: "Sequence[EvaluatedPiece]", title: str, args: argparse.Namespace) -> bool:
    """Prints the tables and writes the files that were asked for; False where one could not be written."""
    from mt3x.metrics.report_text import format_pieces, format_summary
    from mt3x.metrics.summary import summarize

    summary = summarize([piece.report for piece in pieces], args.seed)
    if len(pieces) > 1:
        print(format_pieces([piece.name for piece in pieces], [piece.report for piece in pieces]))
    print(format_summary(summary), end="", flush=True)
    are_written = True
    for path, write in ((args.json, _write_json), (args.csv, _write_csv), (args.html, _write_page)):
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, pieces, summary, title)
            except ImportError as error:
                complain(f"cannot write {shown(path)}: {error}")
                are_written = False
            except OSError as error:
                complain(f"cannot write {shown(path)}: {error.strerror or error}")
                are_written = False
    return are_written


def _write_json(
    path: Path, pieces: "Sequence[EvaluatedPiece]", summary: Mapping[str, Any], title: str
) -> None:
    content = {
        "format": JSON_FORMAT,
        "title": title,
        "summary": summary,
        "pieces": {piece.name: piece.report for piece in pieces},
    }
    _write_text(path, json.dumps(content, indent=1) + "\n")


def _write_csv(
    path: Path, pieces: "Sequence[EvaluatedPiece]", _summary: Mapping[str, Any], _title: str
) -> None:
    text = io.StringIO(newline="")
    rows = [_csv_row(piece) for piece in pieces]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write_text(path, text.getvalue())


def _csv_row(piece: "EvaluatedPiece") -> dict[str, Any]:
    """Scores of a piece by column; a score that it does not have is an empty cell."""
    report = piece.report
    row: dict[str, Any] = {"name": piece.name}
    row |= {f"{side}_notes": count for side, count in report["notes"].items()}
    for name, entry in report["scores"].items():
        row |= {f"{name}_{part}": entry[part] if entry else None for part in ("precision", "recall", "f1")}
    row["leakage_ratio"] = report["instruments"]["leakage_ratio"]
    row["useless_events_per_minute"] = report["events"] and report["events"]["per_minute"]
    return row


def _write_page(
    path: Path, pieces: "Sequence[EvaluatedPiece]", summary: Mapping[str, Any], title: str
) -> None:
    from mt3x.apps.results.evaluation_page import write_page

    write_page(path, pieces, summary, title)


def _write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    # A name of a file that is no text in its encoding has characters that UTF-8 cannot write.
    write_whole(path, text.encode("utf-8", "backslashreplace"))
