"""`mt3x transcribe`: recordings to MIDI, JSON, CSV or MusicXML files.

Errors and progress go to standard error, one summary line per file to standard output. A file that cannot be
read or written is named in one line and the rest goes on. The model is loaded when a recording needs it.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mt3x.apps.console import model_options
from mt3x.apps.console.batch import Job, plan, read_formats
from mt3x.apps.console.messages import complain, near, shown, summary, why_unwritable
from mt3x.apps.console.progress import Progress

if TYPE_CHECKING:
    from mt3x.transcription.result import Transcription
    from mt3x.transcription.transcriber import Transcriber

_EPILOG = """\
song.wav becomes song.mid, beside it or below the folder given by -o; there the folders of the recordings
are mirrored from the deepest one that holds them all. Recordings of a folder that differ only in their
suffix keep it: song.wav.mid, song.mp3.mid.

--live prints each note as soon as it is final: time, pitch, instrument, length. That is at most one segment
(2 s with the models known) after its end, 0.1 s more where notes struck again are seen as one, and the time
that decoding takes. It records from the microphone (pip install 'mt3x[live]'), or reads raw PCM:

  mt3x transcribe --live -o take.mid
  ffmpeg -i INPUT -f s16le -ac 1 -ar 16000 - | mt3x transcribe --live - --sample-rate 16000

Ctrl-C ends the recording; then -o, if given, is written.

exit codes: 0 all is well, 1 some files failed, 2 wrong command line or model, 130 interrupted.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declares the command's options."""
    parser = subparsers.add_parser(
        "transcribe",
        help="turn recordings into MIDI, JSON, CSV or MusicXML",
        description="Transcribes recordings. What is done (outputs newer than the recording) is skipped.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="FILE", help="a recording, a folder of them, or a pattern"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where the outputs go; with --live, the file"
    )
    parser.add_argument(
        "--format",
        type=read_formats,
        metavar="LIST",
        help="mid, json, csv, musicxml, by commas (mid); with --live, json prints notes as JSON lines",
    )
    parser.add_argument(
        "--beats",
        action="store_true",
        help="find the beats, and give .mid their tempos and time signatures: a sequencer's bars fit the "
        "notes, whose times stay",
    )
    parser.add_argument(
        "--bends",
        action="store_true",
        help="write how notes bend: vibrato, slides, strings. .mid gets a pitch wheel, chords on channels of "
        "their own (MPE); .json a list of cents for each note",
    )
    parser.add_argument(
        "--pedal",
        action="store_true",
        help="write when a piano's sustain pedal is down: .mid gets control 64, .json a list of seconds; "
        "notes still end where their sound does",
    )
    parser.add_argument(
        "--keep-all",
        action="store_true",
        help="keep instruments with a few notes that another one explains; without, the other one plays them",
    )
    parser.add_argument(
        "--workers",
        type=_number_of_workers,
        metavar="N",
        help="processes that read recordings ahead (0 on a CPU, up to 4 with an accelerator)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse files that are cut off or damaged; else what there is is transcribed, with a notice",
    )
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")
    parser.add_argument("--quiet", action="store_true", help="report nothing but errors")
    parser.set_defaults(refuse=parser.error)
    live = parser.add_argument_group("live")
    live.add_argument(
        "--live", action="store_true", help="record, or read raw PCM from standard input if FILE is -"
    )
    live.add_argument("--sample-rate", type=int, metavar="HZ", help="needed with -; else the microphone's")
    live.add_argument("--channels", type=int, metavar="N", help="how many there are, interleaved (1)")
    live.add_argument("--pcm", metavar="s16le|f32le", help="what - holds, in FFmpeg's words (s16le)")
    live.add_argument("--device", metavar="NAME", help="which microphone: its number, or a part of its name")
    model_options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Transcribes what `args` names and returns the exit code."""
    if args.live:
        from mt3x.apps import live

        return live.run(args)
    if not args.inputs:
        args.refuse("the following arguments are required: FILE")
    if args.beats and "mid" not in (args.format or ("mid",)):
        complain("--beats is for --format mid")
        return 2
    for option in ("bends", "pedal"):
        if getattr(args, option) and not {"mid", "json"} & set(args.format or ("mid",)):
            complain(f"--{option} is for --format mid and json")
            return 2
    for option in ("sample_rate", "channels", "pcm", "device"):
        if getattr(args, option) is not None:
            complain(f"--{option.replace('_', '-')} is for --live; a file knows its own")
            return 2
    jobs, complaints = plan(args.inputs, args.format or ("mid",), args.output)
    if args.output is not None and (refusal := why_unwritable(args.output)):
        complain(f"cannot write to {args.output}: {refusal}")
        return 2
    for complaint in complaints:
        complain(complaint)
    failed, skipped = len(complaints), 0
    todo = []
    for job in jobs:
        if job.is_done() and not args.overwrite:
            skipped += 1
            reason = f"{shown(job.outputs[0])} is up to date (--overwrite does it again)"
            _say(args, f"{shown(job.recording)}: skipped, {reason}")
        elif refusal := why_unwritable(job.outputs[0].parent):
            failed += 1
            complain(f"{shown(job.recording)}: cannot write to {shown(job.outputs[0].parent)}: {refusal}")
        else:
            todo.append(job)
    if todo:
        try:
            transcriber = model_options.load(model_options.load_arguments(args))
        except (ValueError, OSError) as error:
            complain(str(error))
            return 2
        if args.bends and not transcriber.knows_bends:
            complain(f"--bends: {transcriber.name} writes tokens, which hold no bends; leave it out")
            return 2
        if args.pedal and not transcriber.knows_pedal:
            complain(f"--pedal: {transcriber.name} has not learned the sustain pedal; leave it out")
            return 2
        failed += _transcribe(todo, transcriber, args)
    if len(jobs) + len(complaints) > 1:
        done = len(jobs) + len(complaints) - failed - skipped
        _say(args, f"{done} transcribed, {skipped} skipped, {failed} failed")
    return 1 if failed else 0


def _number_of_workers(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


def _transcribe(jobs: list[Job], transcriber: "Transcriber", args: argparse.Namespace) -> int:
    """Transcribes recordings and reports each, with the speed so far; returns how many failed."""
    from mt3x.audio.errors import AudioError
    from mt3x.transcription.devices import default_num_workers

    num_workers = default_num_workers() if args.workers is None else args.workers
    failed, number_shown = 0, None
    with Progress("", sys.stderr) as progress:

        def show(number: int, done_seconds: float, total_seconds: float | None) -> None:
            nonlocal number_shown
            if number != number_shown:
                number_shown = number
                progress.begin(shown(jobs[number].recording))
            progress(done_seconds, total_seconds)

        started, audio_seconds = time.monotonic(), 0.0
        recordings = [near(job.recording) for job in jobs]
        reported = None if args.quiet else show
        found = transcriber.transcribe_all(
            recordings,
            num_workers,
            reported,
            bends=args.bends,
            pedal=args.pedal,
            keep_all=args.keep_all,
            strict=args.strict,
        )
        for job, transcription in zip(jobs, found, strict=True):
            progress.clear()
            if isinstance(transcription, AudioError):  # names the file itself
                complain(str(transcription))
                failed += 1
            else:
                audio_seconds += transcription.duration_seconds
                line = summary(transcription, audio_seconds, time.monotonic() - started)
                failed += not _write(job, transcription, line, args)
    return failed


def _write(job: Job, transcription: "Transcription", line: str, args: argparse.Namespace) -> bool:
    """Writes the outputs of one recording and reports it by a line; False where that failed."""
    name = shown(job.recording)
    try:
        job.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        for output in job.outputs:
            transcription.save(output, beats=args.beats and output.suffix == ".mid")
    except OSError as error:
        complain(f"{name}: cannot write {error.filename}: {error.strerror}")
        return False
    _say(args, f"{name}: {line} -> {shown(job.outputs[0])}")
    for notice in transcription.notices:
        _say(args, f"{name}: {notice}")
    return True


def _say(args: argparse.Namespace, line: str) -> None:
    if not args.quiet:
        print(line, flush=True)
