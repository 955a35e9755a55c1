"""`mt3x transcribe --live`: the notes of a microphone, or of raw PCM on standard input, while it sounds.

Notes go to standard output, one line each as soon as it is final; all else goes to standard error. Ctrl-C
ends the recording, not the command: what was heard until then is transcribed and written. A second one stops
everything.
"""

import argparse
import dataclasses
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from mt3x.apps.console import model_options
from mt3x.apps.console.messages import complain, shown, summary, why_unwritable
from mt3x.audio.errors import AudioError
from mt3x.audio.live import PCM_ENCODINGS, pcm_blocks
from mt3x.audio.microphone import Microphone
from mt3x.audio.samples import HIGHEST_SAMPLE_RATE, LOWEST_SAMPLE_RATE, MOST_CHANNELS
from mt3x.music.notes import empty_notes, sort_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import FORMATS, Transcription

if TYPE_CHECKING:
    from mt3x.transcription.transcriber import Transcriber

_PIPE = "ffmpeg -i INPUT -f s16le -ac 1 -ar 16000 - | mt3x transcribe --live - --sample-rate 16000"
_PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def run(args: argparse.Namespace) -> int:
    """Listens until the input ends or Ctrl-C, and returns the exit code."""
    if mistake := _mistake(args):
        complain(mistake)
        return 2
    try:
        microphone = None if args.inputs else Microphone(_device(args), args.sample_rate, args.channels or 1)
    except AudioError as error:
        complain(str(error))
        return 1
    # A batch of several segments would keep the first of them waiting for the others.
    try:
        transcriber = model_options.load(model_options.load_arguments(args) | {"batch_size": 1})
    except (ValueError, OSError) as error:
        complain(str(error))
        return 2
    _warm_up(transcriber)
    listener = _Listener(transcriber, args)
    started = time.monotonic()
    with _Ending() as ending:
        if microphone is None:
            _say(args, "listening to standard input; Ctrl-C ends")
            blocks = pcm_blocks(
                lambda size: ending.wait(cast(io.BufferedReader, sys.stdin.buffer).read1, size),
                args.channels or 1,
                args.pcm or "s16le",
            )
            transcription = listener.hear(blocks, args.sample_rate, ending)
        else:
            with microphone:
                _say(args, f"listening to {microphone.name} at {microphone.sample_rate} Hz; Ctrl-C ends")
                blocks = microphone.blocks(lambda: ending.is_wished)
                transcription = listener.hear(blocks, microphone.sample_rate, ending)
            if microphone.num_lost:
                _say(args, f"sound was lost {microphone.num_lost} times: the machine was too busy")
    return _finish(args, transcription, listener.error, time.monotonic() - started)


def _mistake(args: argparse.Namespace) -> str | None:
    """What is wrong with the command line, if anything, in a sentence."""
    if args.inputs not in ([], ["-"]):
        return (
            f"--live takes no file ({args.inputs[0]}): leave it out to record, or say - for raw PCM on "
            "standard input; without --live files are transcribed"
        )
    is_piped = bool(args.inputs)
    if is_piped and args.sample_rate is None:
        return "raw PCM does not tell its sample rate: say it, as in --sample-rate 16000"
    if args.sample_rate is not None and not LOWEST_SAMPLE_RATE <= args.sample_rate <= HIGHEST_SAMPLE_RATE:
        return (
            f"--sample-rate is {args.sample_rate}; it must be within {LOWEST_SAMPLE_RATE} to "
            f"{HIGHEST_SAMPLE_RATE} Hz"
        )
    if args.channels is not None and not 1 <= args.channels <= MOST_CHANNELS:
        return f"--channels is {args.channels}; it must be within 1 to {MOST_CHANNELS}"
    if args.pcm is not None and not is_piped:
        return "--pcm tells what standard input holds; add -, or leave --pcm out to record"
    if args.pcm not in (None, *PCM_ENCODINGS):
        return f"--pcm is {args.pcm!r}; choose from {', '.join(PCM_ENCODINGS)}"
    if args.device is not None and is_piped:
        return "--device chooses a microphone; leave - out to record"
    if args.workers is not None:
        return "--workers reads files ahead; leave it out with --live"
    if args.strict:
        return "--strict is for files; leave it out with --live"
    if args.batch_size is not None:
        return "--batch-size would delay the notes; leave it out with --live"
    if args.format not in (None, ("json",)):
        return "with --live, --format is json or left out; the name of -o says what is written there"
    for option in ("bends", "pedal"):
        if getattr(args, option):
            return f"--{option} is for recordings; record first, then transcribe the file"
    if args.keep_all:
        return "--keep-all is for recordings; live notes keep their instruments as it is"
    if args.beats and (args.output is None or args.output.suffix.lower() != ".mid"):
        return "--beats is for a MIDI file: name one, as in -o take.mid"
    if is_piped and sys.stdin.isatty():
        return f"standard input is a terminal; pipe raw PCM in, as in: {_PIPE}"
    return _output_mistake(args.output, args.overwrite) if args.output is not None else None


def _output_mistake(output: Path, overwrite: bool) -> str | None:
    name = shown(output)
    if output.suffix.lower()[1:] not in FORMATS:
        return f"cannot write {name}: with --live, -o names a file that ends in .{', .'.join(FORMATS)}"
    if output.is_dir():
        return f"cannot write {name}: it is a folder"
    if output.exists() and not overwrite:
        return f"{name} exists; name another file, or add --overwrite"
    if refusal := why_unwritable(output.parent):
        return f"cannot write to {shown(output.parent)}: {refusal}"
    return None


def _device(args: argparse.Namespace) -> str | int | None:
    return int(args.device) if args.device is not None and args.device.isdecimal() else args.device


def _warm_up(transcriber: "Transcriber") -> None:
    """Compiles what segments need, so that the first notes come no later than others."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, transcriber.config.segment_samples)
    for _ in transcriber.stream([noise.astype(np.float32)], transcriber.config.sample_rate):
        pass


class _Ending:
    """Takes Ctrl-C for a wish to end: a wait for input ends at once, all else goes on.

    Attributes:
      is_wished: whether the input is to end.
    """

    def __init__(self) -> None:
        self.is_wished = False
        self._is_waiting = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def wait(self, read: Callable[[int], bytes], size: int) -> bytes:
        """`read(size)`; no bytes once the end is wished."""
        try:
            try:
                self._is_waiting = True
                return b"" if self.is_wished else read(size)
            finally:
                self._is_waiting = False
        except _Wished:
            self._is_waiting = False
            return b""

    def _interrupted(self, _signal: int, _frame: Any) -> None:
        if self.is_wished:
            raise KeyboardInterrupt
        self.is_wished = True
        if self._is_waiting:
            raise _Wished


class _Wished(Exception):
    """Breaks off a wait for input."""


class _Listener:
    """Prints notes as they come and keeps them.

    Attributes:
      error: why the input ended, where it should not have.
    """

    def __init__(self, transcriber: "Transcriber", args: argparse.Namespace):
        self.error: str | None = None
        self._transcriber = transcriber
        self._is_json = args.format is not None
        self._is_quiet = args.quiet

    def hear(self, blocks: Iterable[np.ndarray], sample_rate: int, ending: _Ending) -> Transcription:
        """What the blocks hold, once they have ended."""
        heard = [empty_notes()]
        stream = self._transcriber.stream(self._until_error(blocks, ending), sample_rate)
        while True:
            try:
                notes = next(stream)
            except StopIteration as end:
                return dataclasses.replace(end.value, notes=sort_notes(np.concatenate(heard)))
            heard.append(notes)
            try:
                self._show(notes)
            except BrokenPipeError:  # nobody reads on; standard output is closed again when Python ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                ending.is_wished = self._is_quiet = True

    def _until_error(self, blocks: Iterable[np.ndarray], ending: _Ending) -> Iterator[np.ndarray]:
        """The blocks; an error ends them like any end, so that what was heard is not lost."""
        is_empty = True
        try:
            for block in blocks:
                is_empty = False
                yield block
        except AudioError as error:
            self.error = str(error)
        if is_empty and self.error is None:
            self.error = "no sound came in; look at what should have sent it"
        if ending.is_wished:
            self.error = None

    def _show(self, notes: np.ndarray) -> None:
        if self._is_quiet:
            return
        # The fields of the JSON file.
        for note in Transcription(notes, DecodeReport(0, 0), 0.0, "").to_dict()["notes"]:
            print(json.dumps(note) if self._is_json else _line(note))
        sys.stdout.flush()


def _line(note: dict[str, Any]) -> str:
    """Such as `   12.34 s  C#4  Violin                    0.52 s`; a drum hit shows its key's number."""
    pitch = note["pitch"]
    name = str(pitch) if note["is_drum"] else f"{_PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"
    return f"{note['start']:8.2f} s  {name:<4} {note['instrument']:<24} {note['end'] - note['start']:6.2f} s"


def _finish(
    args: argparse.Namespace, transcription: Transcription, error: str | None, elapsed_seconds: float
) -> int:
    """Writes the file and the summary; returns the exit code."""
    if not transcription.duration_seconds and error is not None:
        complain(error)
        return 1
    written = ""
    if args.output is not None:
        try:
            transcription.save(args.output, beats=args.beats)
        except OSError as failure:
            complain(f"cannot write {failure.filename}: {failure.strerror}")
            return 1
        written = f" -> {shown(args.output)}"
    _say(args, f"{summary(transcription, transcription.duration_seconds, elapsed_seconds)}{written}")
    for notice in transcription.notices:
        _say(args, notice)
    if error is not None:
        complain(error)
        return 1
    return 0


def _say(args: argparse.Namespace, line: str) -> None:
    if not args.quiet:
        print(line, file=sys.stderr, flush=True)
