"""An evaluation as one page to look at and listen to: a single HTML file that needs nothing else.

Figures and audio are inside it (data URIs); it holds no address of the network, and works from a disk. Audio
is mono at 16 kHz, in Ogg Vorbis: 4 to 5 kB a second, where FLAC takes 18; every browser of 2025 and later
plays it. A piece of 20 s with a recording and both renderings takes about 0.55 MB, so 100 of them 55 MB;
without audio 0.17 MB. Beyond `audio_seconds` only the roll grows, by some 3 kB a second.
"""

import base64
import contextlib
import dataclasses
import html
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mt3x.audio.arrays import from_array
from mt3x.metrics.confusions import CONFUSION_CLASSES
from mt3x.metrics.plots import figure_bytes, plot_class_scores, plot_confusions, plot_tolerances
from mt3x.metrics.report import EXTRA, MISSED, SCORES, EvaluatedPiece
from mt3x.metrics.rolls import plot_rolls
from mt3x.music.files import whole_file
from mt3x.music.notes import total_seconds
from mt3x.synthesis.soundfonts import SynthesisError, Synthesizer

SAMPLE_RATE = 16000
_TAIL_SECONDS = 1.0  # after the last note: its release
_PEAK = 0.9
_VORBIS_BLOCK = 1 << 14  # samples; libvorbis takes what it is given at once onto the stack
_PIXELS_PER_INCH = 150
_DASH = "–"
_PARTS = ("precision", "recall", "f1")
_OVERVIEW = ("onset", "onset_offset", "drum_onset", "program_midi_class", "program_full", "multi_onset")

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto;
       padding: 0 1em }
h1, h2, h3 { line-height: 1.2 } h2 { margin: 2.5em 0 .4em; border-top: 1px solid #ccc; padding-top: .8em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #e4e4e4; vertical-align: bottom }
th { max-width: 8em } th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere }
.sortable thead th { cursor: pointer } caption { text-align: left; color: #666; padding-bottom: .3em }
small, .facts { color: #666 } img { max-width: 100%; height: auto; vertical-align: top }
figure { display: inline-block; margin: 0 1em .6em 0 } audio { display: block; width: 320px }
section { content-visibility: auto; contain-intrinsic-size: auto 1000px } .wide { overflow-x: auto }
"""

# Playing one sound stops the others; within a piece the new one goes on where the old one was. A click on a
# heading of the list of pieces sorts it.
_SCRIPT = """
document.addEventListener("play", event => {
  for (const other of document.querySelectorAll("audio")) {
    if (other === event.target || other.paused) continue;
    if (other.closest("section") === event.target.closest("section"))
      event.target.currentTime = other.currentTime;
    other.pause();
  }
}, true);
for (const head of document.querySelectorAll(".sortable thead th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const text = row => row.cells[column].textContent, number = row => parseFloat(text(row));
  const compare = column ? (a, b) => (number(b) || 0) - (number(a) || 0)
                         : (a, b) => text(a).localeCompare(text(b));
  body.append(...[...body.rows].sort(compare));
};
"""


def write_page(
    path: str | os.PathLike[str],
    pieces: Sequence[EvaluatedPiece],
    summary: Mapping[str, Any],
    title: str,
    audio_seconds: float = 30.0,
    soundfont: str | Path = "FluidR3_GM",
) -> None:
    """Writes the page, whole or not at all; an existing file is replaced.

    Where FluidSynth or the soundfont is missing, the page says what to install in place of the renderings.

    Args:
      pieces: in the order of the page.
      summary: of `metrics.summary.summarize`, over the same pieces.
      audio_seconds: what is heard of each piece, from its beginning.
      soundfont: renders both reference and estimate; a name or a path, see
        `synthesis.soundfonts.find_soundfont`.

    Raises:
      ValueError: there are no pieces, or `audio_seconds` is not above 0.
      ImportError: matplotlib is not installed.
      OSError: the file cannot be written.
    """
    if not pieces:
        raise ValueError("0 pieces; a page needs at least 1")
    if not (np.isfinite(audio_seconds) and audio_seconds > 0):
        raise ValueError(f"audio_seconds is {audio_seconds}; it must be above 0, such as 30")
    with (
        _open_sound(audio_seconds, soundfont) as sound,
        whole_file(path) as unfinished,
        # A file name that is not text in its encoding has characters that UTF-8 does not write.
        unfinished.open("w", encoding="utf-8", errors="replace") as file,
    ):
        file.writelines(_page(pieces, summary, title, sound))


@dataclasses.dataclass(frozen=True)
class _Sound:
    """What there is to be heard.

    Attributes:
      seconds: at most, of each piece.
      soundfont: its name.
      synthesizer: None if it cannot be had.
      problem: why it cannot be had.
    """

    seconds: float
    soundfont: str
    synthesizer: Synthesizer | None = None
    problem: str = ""


@contextlib.contextmanager
def _open_sound(seconds: float, soundfont: str | Path) -> Iterator[_Sound]:
    name = Path(soundfont).name
    try:
        synthesizer = Synthesizer(soundfont, SAMPLE_RATE)
    except SynthesisError as error:
        yield _Sound(seconds, name, problem=str(error))
        return
    with contextlib.closing(synthesizer):
        yield _Sound(seconds, name, synthesizer)


def _page(
    pieces: Sequence[EvaluatedPiece], summary: Mapping[str, Any], title: str, sound: _Sound
) -> Iterator[str]:
    """The file in parts, so that 100 pieces are never in memory together."""
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    yield f"<style>{_STYLE}</style></head>\n<body>"
    yield f"<h1>{_text(title)}</h1>\n"
    yield from _summary_parts(summary)
    yield _overview(pieces)
    yield f"<p class=facts>{_text(_describe_sound(sound))}</p>\n"
    for number, piece in enumerate(pieces):
        yield from _piece_parts(number, piece, sound)
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _summary_parts(summary: Mapping[str, Any]) -> Iterator[str]:
    notes, settings = summary["notes"], summary["settings"]
    facts = [
        f"Pieces: {summary['pieces']}; notes: {notes['reference']}, {notes['estimate']} estimated",
        f"Onsets count within {1000 * settings['tolerance_seconds']:g} ms",
        "Instruments in the estimate for each in the reference (leakage ratio): "
        + _interval_text(summary["instruments"]["leakage_ratio"]),
    ]
    if summary["events"]:
        facts.append(f"Useless events a minute: {_interval_text(summary['events']['per_minute'])}")
    yield f"<p class=facts>{'.<br>'.join(facts)}.</p>\n"
    rows = [
        [_text(SCORES[name]), *(_interval_text(entry[part]) for part in _PARTS), str(entry["f1"]["pieces"])]
        for name, entry in summary["scores"].items()
        if entry
    ]
    confidence = f"{100 * settings['confidence']:g} %"
    caption = f"Means over the pieces that have the score, with {confidence} bootstrap intervals over pieces"
    yield _table(["Score", "Precision", "Recall", "F1", "Pieces"], rows, caption)
    sweep = {float(key): entry["f1"] for key, entry in summary["tolerances"].items() if entry}
    if sweep:
        curve = {tolerance: entry["value"] for tolerance, entry in sweep.items()}
        band = {tolerance: (entry["low"], entry["high"]) for tolerance, entry in sweep.items()}
        yield _figure(plot_tolerances({"mean": curve}, {"mean": band}), "F1 by tolerance, mean over pieces")
    classes = {f"{name} ({entry['reference']})": entry["f1"] for name, entry in summary["classes"].items()}
    yield _bars_figure(classes, "F1 (onset, offset and class)", "Class (reference notes)")
    levels = {f"{key} ({entry['reference']})": entry["recall"] for key, entry in summary["polyphony"].items()}
    yield _bars_figure(levels, "Recall (onset)", "Notes at once (reference notes)")
    yield _confusion_figure(summary["confusions"], "all pieces")


def _overview(pieces: Sequence[EvaluatedPiece]) -> str:
    """The list of pieces, whose headings sort it."""
    rows = []
    for number, piece in enumerate(pieces):
        notes, scores = piece.report["notes"], piece.report["scores"]
        rows.append(
            [
                f'<a href="#piece-{number}">{_text(piece.name)}</a>',
                str(notes["reference"]),
                str(notes["estimate"]),
                *(_score_text(scores[name] and scores[name]["f1"]) for name in _OVERVIEW),
                _score_text(piece.report["instruments"]["leakage_ratio"]),
            ]
        )
    head = ["Piece", "Notes", "Estimated", *(f"{SCORES[name]} F1" for name in _OVERVIEW), "Leakage ratio"]
    return "<h2>Pieces</h2>" + _table(head, rows, "A click on a heading sorts", "sortable")


def _piece_parts(number: int, piece: EvaluatedPiece, sound: _Sound) -> Iterator[str]:
    report = piece.report
    yield f'<section id="piece-{number}"><h2>{_text(piece.name)}</h2>\n'
    facts = [
        f"{name}: {report[name]['reference']}, {report[name]['estimate']} estimated"
        for name in ("notes", "instruments")
    ]
    if report["events"]:
        facts.append("events: {invalid} invalid, {dropped} dropped".format(**report["events"]))
    yield f"<p class=facts>{'; '.join(facts)}</p>\n"
    yield from (_player(label, samples) for label, samples in _sounds(piece, sound))
    tolerance = report["settings"]["tolerance_seconds"]
    rolls = plot_rolls(
        piece.reference, piece.estimate, piece.segment_edges_seconds, onset_tolerance_seconds=tolerance
    )
    for page, figure in enumerate(rolls, 1):
        alternative = f"Piano roll of {piece.name}, {page} of {len(rolls)}: found, missed and extra notes"
        yield f"<div>{_figure(figure, alternative, 'png')}</div>"
    curve = {float(key): entry["f1"] for key, entry in report["tolerances"].items() if entry}
    if curve:
        yield _figure(plot_tolerances({"this piece": curve}), f"F1 by tolerance of {piece.name}")
    yield _confusion_figure(report["confusions"], piece.name)
    rows = [
        [_text(SCORES[name]), *(_score_text(entry[part]) for part in _PARTS)]
        for name, entry in report["scores"].items()
        if entry
    ]
    table = _table(["Score", "Precision", "Recall", "F1"], rows)
    yield f"<details><summary>All scores</summary>{table}</details></section>\n"


def _bars_figure(entries: Mapping[str, Mapping[str, float] | None], score_name: str, group_name: str) -> str:
    """A figure of those entries of a summary that have a score, if there are any."""
    scores = {name: entry for name, entry in entries.items() if entry}
    if not scores:
        return ""
    values = {name: entry["value"] for name, entry in scores.items()}
    intervals = {name: (entry["low"], entry["high"]) for name, entry in scores.items()}
    return _figure(
        plot_class_scores(values, intervals, score_name, group_name), f"{score_name}: {group_name}"
    )


def _confusion_figure(named: Mapping[str, Mapping[str, int]], of: str) -> str:
    """A figure of a report's confusions, if there are any."""
    rows, columns = [*CONFUSION_CLASSES, EXTRA], [*CONFUSION_CLASSES, MISSED]
    counts = np.array([[named.get(row, {}).get(column, 0) for column in columns] for row in rows])
    if not counts.any():
        return ""
    return _figure(plot_confusions(counts), f"Classes of instruments taken for one another, {of}")


def _describe_sound(sound: _Sound) -> str:
    limit = f"Audio: the first {sound.seconds:g} s of each piece, mono, {SAMPLE_RATE / 1000:g} kHz"
    if sound.synthesizer is None:
        return f"{limit}. Reference and estimate cannot be heard: {sound.problem}."
    return (
        f"{limit}; reference and estimate are rendered with {sound.soundfont}, equally loud as their notes."
    )


def _sounds(piece: EvaluatedPiece, sound: _Sound) -> Iterator[tuple[str, np.ndarray]]:
    """(label, float32 [N]) of what there is."""
    if piece.audio is not None:
        samples, rate = piece.audio
        recording = from_array(samples[: round(sound.seconds * rate)], rate, SAMPLE_RATE)
        yield "Recording", _scale(recording)[0]
    sides = piece.reference, piece.estimate
    length = max(map(total_seconds, sides))
    if sound.synthesizer is not None and length:
        length = min(length + _TAIL_SECONDS, sound.seconds)
        renderings = [sound.synthesizer.render(notes, length) for notes in sides]
        # One factor for both, so that an estimate that is too quiet is heard as such.
        yield from zip(("Reference", "Estimate"), _scale(*renderings), strict=True)


def _scale(*sounds: np.ndarray) -> list[np.ndarray]:
    """The sounds, all by one factor, with the highest peak where players do not clip."""
    peak = max(float(np.abs(samples).max(initial=0.0)) for samples in sounds)
    return [samples * np.float32(_PEAK / peak if peak else 1.0) for samples in sounds]


def _player(label: str, samples: np.ndarray) -> str:
    source = f"data:audio/ogg;base64,{_base64(_vorbis(samples))}"
    return (
        f"<figure><figcaption>{label}, {len(samples) / SAMPLE_RATE:.1f} s</figcaption>"
        f'<audio controls preload="none" src="{source}"></audio></figure>\n'
    )


def _vorbis(samples: np.ndarray) -> bytes:
    """float32 [N] as an Ogg Vorbis file."""
    import soundfile

    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", SAMPLE_RATE, 1, "VORBIS", format="OGG") as file:
        for first in range(0, len(samples), _VORBIS_BLOCK):
            file.write(samples[first : first + _VORBIS_BLOCK])
    return content.getvalue()


def _figure(figure: Any, alternative: str, kind: Literal["svg", "png"] = "svg") -> str:
    """A matplotlib figure as an image that is named for those who do not see it."""
    width, height = (round(_PIXELS_PER_INCH * inches) for inches in figure.get_size_inches())
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    content = _base64(figure_bytes(figure, kind, _PIXELS_PER_INCH))
    size = f'width="{width}" height="{height}"'
    return f'<img alt="{_text(alternative)}" {size} loading="lazy" src="data:{media};base64,{content}">\n'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """Head and caption are text, rows are HTML."""
    headings = "".join(f"<th scope=col>{_text(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    named = f"<caption>{_text(caption)}</caption>" if caption else ""
    return (
        f'<div class=wide><table class="{kind}">{named}<thead><tr>{headings}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>\n"
    )


def _score_text(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f}"


def _interval_text(entry: Mapping[str, float] | None) -> str:
    """HTML of a summary's entry."""
    if entry is None:
        return _DASH
    return f"{entry['value']:.3f} <small>{entry['low']:.3f}{_DASH}{entry['high']:.3f}</small>"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _text(text: str) -> str:
    return html.escape(text)
