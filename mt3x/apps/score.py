"""`mt3x score`: a recording, a MIDI file or notation as notation: MusicXML, pages, or MIDI.

Recordings are transcribed, MIDI files quantised and spelled. MusicXML, MEI and Humdrum go to the page as they
are, with all that a `Score` does not hold (slurs, words); ABC becomes MusicXML before. For MIDI, MusicXML is
read, and Verovio plays MEI and Humdrum.
"""

import argparse
import re
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mt3x.apps.console import model_options
from mt3x.apps.console.messages import complain, shown, why_unwritable
from mt3x.apps.console.progress import Progress
from mt3x.audio.formats import AUDIO_SUFFIXES
from mt3x.music.files import write_whole
from mt3x.music.midi import MIDI_SUFFIXES, read_midi_content

if TYPE_CHECKING:
    from mt3x.score.score import Score

MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")
ABC_SUFFIXES = (".abc",)
VEROVIO_SUFFIXES = (".mei", ".krn", ".kern")
NOTATION_SUFFIXES = (*MUSICXML_SUFFIXES, *ABC_SUFFIXES, *VEROVIO_SUFFIXES)
OUTPUT_SUFFIXES = (".musicxml", ".mxl", ".mid", ".svg", ".pdf", ".png")

_Rendered = TypeVar("_Rendered")

_EPILOG = """\
  mt3x score song.wav -o song.pdf
  mt3x score take.mid -o take.musicxml --time-signature 6/8 --title "The Irish Washerwoman"
  mt3x score quartet.mxl -o quartet.png

MEI and Humdrum (.krn) become pages or MIDI, all others MusicXML, too.
Pages are A4. PDF holds all of them; of more than one, SVG and PNG are files such as song-1.png, song-2.png.

exit codes: 0 all is well, 1 a file cannot be read or written, 2 wrong command line or model, 130 interrupted.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declares the command's options."""
    parser = subparsers.add_parser(
        "score",
        help="turn a recording, MIDI, MusicXML, MEI, Humdrum or ABC into notation",
        description="Writes a recording or a MIDI file as a score, or draws a score that there is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        type=Path,
        metavar="IN",
        help=f"a recording, or a file that ends in one of {', '.join((*MIDI_SUFFIXES, *NOTATION_SUFFIXES))}",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        required=True,
        help=f"a file that ends in one of {', '.join(OUTPUT_SUFFIXES)}",
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="printed above the music")
    parser.add_argument("--composer", default="", metavar="TEXT", help="printed above it on the right")
    parser.add_argument(
        "--time-signature",
        type=_time_signature,
        metavar="N/M",
        help="of the whole piece: N/4, 6/8, 9/8 or 12/8 (found from the notes)",
    )
    parser.add_argument(
        "--tempo", type=float, metavar="QPM", help="quarters per minute, roughly (found from the notes)"
    )
    parser.add_argument(
        "--key", type=_key, metavar="NAME", help="of the whole piece, as Eb or F#m (found from the notes)"
    )
    parser.add_argument("--quiet", action="store_true", help="report nothing but errors")
    model_options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the score that `args` ask for and returns the exit code."""
    suffix = args.output.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        complain(
            f"cannot write {shown(args.output)}: its name must end in one of {', '.join(OUTPUT_SUFFIXES)}"
        )
        return 2
    if refusal := why_unwritable(args.output.parent):
        complain(f"cannot write to {shown(args.output.parent)}: {refusal}")
        return 2
    try:
        contents = _contents(args, suffix)
        if contents is None:
            return 2
        paths = _write(args.output, contents)
    except ImportError as error:
        complain(str(error))
        return 2
    except ValueError as error:  # it names the file
        complain(str(error))
        return 1
    except OSError as error:
        complain(f"cannot write {error.filename}: {error.strerror}")
        return 1
    if not args.quiet:
        print(f"{shown(args.input)} -> {', '.join(shown(path) for path in paths)}", flush=True)
    return 0


def _contents(args: argparse.Namespace, suffix: str) -> list[bytes] | None:
    """What the output's files hold, in order; None where a wrong command line or model was complained of."""
    if args.instruments and args.input.suffix.lower() in (*MIDI_SUFFIXES, *NOTATION_SUFFIXES):
        complain(f"--instruments is for recordings; {shown(args.input)} names its own")
        return None
    if args.input.suffix.lower() in NOTATION_SUFFIXES:
        return _from_notation(args, suffix)
    from mt3x.score.notation.writing import Hints, notate

    try:
        hints = Hints(args.time_signature, args.tempo, args.key)
    except ValueError as error:
        complain(str(error))
        return None
    notes = _notes(args)
    if notes is None:
        return None
    if not len(notes):
        raise ValueError(f"{shown(args.input)}: holds no notes, so there is nothing to write")
    score = notate(notes, hints)
    if suffix == ".mid":
        return [_midi(score)]
    from mt3x.score.io.musicxml import musicxml_bytes
    from mt3x.score.io.rendering import render_pages

    musicxml = musicxml_bytes(score, args.title, args.composer)
    if suffix in MUSICXML_SUFFIXES:
        return [_packed(musicxml, suffix)]
    return _drawn(render_pages(musicxml), suffix)


def _from_notation(args: argparse.Namespace, suffix: str) -> list[bytes] | None:
    """As `_contents`, of files that hold notation."""
    from mt3x.score.io.abc_reading import abc_as_musicxml
    from mt3x.score.io.musicxml_files import musicxml_content
    from mt3x.score.io.musicxml_reading import score_of_musicxml
    from mt3x.score.io.rendering import render_midi, render_pages

    name, source = shown(args.input), args.input.suffix.lower()
    for option in ("title", "composer", "time_signature", "tempo", "key"):
        if getattr(args, option) not in (None, ""):
            complain(f"--{option.replace('_', '-')} is for recordings and MIDI; {name} has its own")
            return None
    if source in VEROVIO_SUFFIXES and suffix in MUSICXML_SUFFIXES:
        others = ", ".join(other for other in OUTPUT_SUFFIXES if other not in MUSICXML_SUFFIXES)
        complain(f"cannot write {shown(args.output)}: {source} can become one of {others}")
        return None
    if source in MUSICXML_SUFFIXES:
        notation = musicxml_content(args.input)
    else:
        notation = _read(args.input)
        if source in ABC_SUFFIXES:
            notation = abc_as_musicxml(notation, name)
    if suffix in MUSICXML_SUFFIXES:
        return [_packed(notation, suffix)]
    if suffix != ".mid":
        return _drawn(_apart(render_pages, notation, name), suffix)
    if source in VEROVIO_SUFFIXES:
        return [_apart(render_midi, notation, name)]
    return [_midi(score_of_musicxml(notation, name))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{shown(path)}: cannot be read ({error.strerror})") from error


def _apart(render: Callable[[bytes], _Rendered], notation: bytes, name: str) -> _Rendered:
    """What Verovio makes of a file, in a process of its own: some that are not sound make it crash."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(render, notation).result()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        except BrokenProcessPool as error:
            raise ValueError(
                f"{name}: Verovio crashed on it; mend what is told above, or write it anew with the program "
                "that it comes from"
            ) from error


def _packed(musicxml: bytes, suffix: str) -> bytes:
    from mt3x.score.io.musicxml import compress_musicxml

    return compress_musicxml(musicxml) if suffix == ".mxl" else musicxml


def _drawn(pages: list[str], suffix: str) -> list[bytes]:
    from mt3x.score.io.rendering import pdf_bytes, png_bytes

    if suffix == ".pdf":
        return [pdf_bytes(pages)]
    return [png_bytes(page) if suffix == ".png" else page.encode() for page in pages]


def _midi(score: "Score") -> bytes:
    from mt3x.music.midi_writing import midi_bytes
    from mt3x.score.io.playing import played_notes, score_tempo_map

    return midi_bytes(played_notes(score), score_tempo_map(score))


def _notes(args: argparse.Namespace) -> np.ndarray | None:
    """The notes of a MIDI file or a recording; None where the model is wrong, and said so."""
    if args.input.suffix.lower() in MIDI_SUFFIXES:
        content = read_midi_content(args.input, apply_sustain=False)
        if content.mending:
            complain(f"{shown(args.input)}: {content.mending}")
        return content.notes
    from mt3x.audio.errors import AudioError

    try:
        transcriber = model_options.load(model_options.load_arguments(args))
    except (ValueError, OSError) as error:
        complain(str(error))
        return None
    with Progress(shown(args.input), sys.stderr) as progress:
        show: Callable[[float, float | None], None] | None = None if args.quiet else progress
        try:
            found = transcriber.transcribe(args.input, progress=show)
        except AudioError as error:
            if args.input.suffix.lower() in AUDIO_SUFFIXES:
                raise
            suffixes = ", ".join((*MIDI_SUFFIXES, *NOTATION_SUFFIXES))
            raise ValueError(f"{error}; for notation, give a file that ends in one of {suffixes}") from error
    for notice in () if args.quiet else found.notices:
        complain(f"{shown(args.input)}: {notice}")
    return found.notes


def _write(output: Path, contents: list[bytes]) -> list[Path]:
    """Writes one file, or numbered ones, and returns their names."""
    numbers = range(1, len(contents) + 1)
    paths = [output] if len(contents) == 1 else [output.with_stem(f"{output.stem}-{n}") for n in numbers]
    output.parent.mkdir(parents=True, exist_ok=True)
    for path, content in zip(paths, contents, strict=True):
        write_whole(path, content)
    return paths


def _key(text: str) -> int:
    """The fifths of a key signature; a minor key ends in m."""
    match = re.fullmatch("([A-G])(#|b|)(m?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no key such as Eb or F#m")
    step, alteration, minor = match.groups()
    return "FCGDAEB".index(step) - 1 + 7 * ("b #".index(alteration or " ") - 1) - 3 * bool(minor)


def _time_signature(text: str) -> tuple[int, int]:
    beats, slash, beat_type = text.partition("/")
    if not (slash and beats.isdecimal() and beat_type.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no time signature such as 3/4")
    return int(beats), int(beat_type)
