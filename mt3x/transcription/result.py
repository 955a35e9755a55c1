"""A transcription: the notes of one recording and facts about them, to be saved, converted or plotted.

Times are seconds from the start of the recording. Files are written whole or not at all.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mt3x.music.files import write_whole
from mt3x.music.instruments import DRUMS_NAME, program_name
from mt3x.music.midi_writing import midi_bytes, to_pretty_midi
from mt3x.music.noteseq import to_note_sequence
from mt3x.tokens.report import DecodeReport

if TYPE_CHECKING:
    import matplotlib.axes

JSON_FORMAT = "mt3x-transcription-1"
"""Names the layout of the JSON files; a change of layout changes the number."""


@dataclasses.dataclass(frozen=True)
class Transcription:
    """What `Transcriber.transcribe` returns.

    Attributes:
      notes: `NOTE_DTYPE` [N], sorted by onset.
      report: token events that the network wrote and that could not be used.
      duration_seconds: length of the recording.
      model: name of the model.
      notices: sentences about this recording that a person should read, such as that it is silent.
      tuning_cents: how far the recording lies above 440 Hz; None where the model does not tell.
      bends: how each note bends, where that was asked for: float32 [K, 2], seconds, and cents above its pitch
        in the recording's tuning.
      pedal: when the pianos' sustain pedal is down, where that was asked for and a piano plays: float64 [K,
        2], seconds down and up, in order. Notes' ends are those of the sound, with the pedal in them.
    """

    notes: np.ndarray
    report: DecodeReport
    duration_seconds: float
    model: str
    notices: tuple[str, ...] = ()
    tuning_cents: float | None = None
    bends: tuple[np.ndarray, ...] | None = None
    pedal: np.ndarray | None = None

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments that play, by program, drums last."""
        return tuple(name for name, _ in _by_instrument(self.notes))

    def save(self, path: str | os.PathLike[str], *, beats: bool = False) -> Path:
        """Writes the notes to a file, atomically; an existing one is replaced.

        The name's end says what: `.mid`, `.json`, `.csv`, or `.musicxml`, where they are written as a score
        (`mt3x.score.notation.writing.notate`). Bends go into `.mid`, for the pitch wheel
        (`mt3x.music.bends`), and into `.json`; so does the pedal, in `.mid` as control 64 of the pianos.

        Args:
          beats: find the beats, and give `.mid` their tempos and time signatures, so that its bars lie where
            the music's are heard; the notes keep their times. Without notes there are none.

        Raises:
          ValueError: the name ends in none of these, or not in `.mid` where beats are asked for.
          OSError: the file cannot be written.
        """
        path = Path(path)
        encode = _ENCODERS.get(path.suffix.lower())
        if encode is None:
            choices = ", ".join(_ENCODERS)
            raise ValueError(
                f"cannot save a transcription as {path.name!r}; the name must end in one of {choices}"
            )
        if beats:
            if encode is not _to_midi:
                raise ValueError(
                    f"cannot save {path.name!r} with beats; name a file that ends in .mid, or leave beats out"
                )
            encode = _to_midi_with_beats
        write_whole(path, encode(self))
        return path

    def to_dict(self) -> dict[str, Any]:
        """The content of the JSON file as plain Python values."""
        pedal = {} if self.pedal is None else {"pedal": np.round(self.pedal, 3).tolist()}
        return {
            "format": JSON_FORMAT,
            "model": self.model,
            "duration_seconds": round(self.duration_seconds, 6),
            "report": dataclasses.asdict(self.report),
            "notices": list(self.notices),
            "tuning_cents": None if self.tuning_cents is None else round(self.tuning_cents, 1),
            **pedal,
            "notes": list(self._rows_with_bends()),
        }

    def _rows_with_bends(self) -> Iterator[dict[str, Any]]:
        if self.bends is None:
            yield from _rows(self.notes)
            return
        for row, bend in zip(_rows(self.notes), self.bends, strict=True):
            points = [[round(seconds, 3), round(cents, 1)] for seconds, cents in bend.tolist()]
            yield {**row, "bend": points}

    def to_note_sequence(self) -> Any:
        """The notes as a note_seq.NoteSequence.

        Raises:
          ImportError: note-seq is not installed; the message names the extra that brings it.
        """
        try:
            return to_note_sequence(self.notes)
        except ImportError as error:
            raise ImportError("to_note_sequence needs note-seq: pip install 'mt3x[noteseq]'") from error

    def to_pretty_midi(self) -> Any:
        """The notes as a pretty_midi.PrettyMIDI, one instrument per program, drums separate.

        Raises:
          ImportError: pretty_midi is not installed; the message names the extra that brings it.
        """
        try:
            return to_pretty_midi(self.notes)
        except ImportError as error:
            raise ImportError("to_pretty_midi needs pretty_midi: pip install 'mt3x[midi]'") from error

    def plot(self, ax: "matplotlib.axes.Axes | None" = None) -> "matplotlib.axes.Axes":
        """Draws a piano roll, one colour per instrument, and returns its axes.

        Args:
          ax: where to draw; a new figure by default.

        Raises:
          ImportError: matplotlib is not installed; the message names the extra that brings it.
        """
        try:
            from matplotlib import colormaps
            from matplotlib import pyplot as plt
            from matplotlib.collections import PolyCollection
        except ImportError as error:
            raise ImportError("plot needs matplotlib: pip install 'mt3x[plot]'") from error
        from mt3x.metrics.rolls import note_rectangles

        if ax is None:
            _, ax = plt.subplots(figsize=(12, 4), layout="constrained")
        colours = colormaps["tab20"].colors  # pyright: ignore[reportAttributeAccessIssue]
        for i, (name, notes) in enumerate(_by_instrument(self.notes)):
            ax.add_collection(
                PolyCollection(
                    list(note_rectangles(notes)),
                    facecolors=colours[i % len(colours)],
                    linewidths=0,
                    label=name,
                )
            )
        ax.set_xlim(0, max(self.duration_seconds, 1e-3))
        if len(self.notes):
            ax.set_ylim(self.notes["pitch"].min() - 2, self.notes["pitch"].max() + 2)
            ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        ax.set_xlabel("seconds")
        ax.set_ylabel("MIDI pitch")
        return ax


def _by_instrument(notes: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, its notes) of each program that plays, in order; drum hits last, whatever their program says."""
    pitched = notes[~notes["is_drum"]]
    for program in np.unique(pitched["program"]):
        yield program_name(int(program)), pitched[pitched["program"] == program]
    if len(pitched) < len(notes):
        yield DRUMS_NAME, notes[notes["is_drum"]]


def _rows(notes: np.ndarray) -> Iterator[dict[str, Any]]:
    """One dictionary per note, for JSON and CSV."""
    for start, end, pitch, velocity, program, is_drum in notes.tolist():
        yield {
            "start": round(start, 6),
            "end": round(end, 6),
            "pitch": pitch,
            "velocity": velocity,
            "program": program,
            "is_drum": is_drum,
            "instrument": DRUMS_NAME if is_drum else program_name(program),
        }


def _to_midi(transcription: Transcription) -> bytes:
    return midi_bytes(transcription.notes, bends=transcription.bends, pedal=transcription.pedal)


def _to_midi_with_beats(transcription: Transcription) -> bytes:
    from mt3x.score.rhythm.beats import midi_tempo_map, track_beats

    notes = transcription.notes
    if not len(notes):
        return midi_bytes(notes)
    tempo_map = midi_tempo_map(track_beats(notes))
    return midi_bytes(notes, tempo_map, transcription.bends, transcription.pedal)


def _to_json(transcription: Transcription) -> bytes:
    content = transcription.to_dict()
    # One note to a line, and one row of the pedal: a reader of the file, or of a diff of two, sees notes.
    lists = {name: content.pop(name) for name in ("pedal", "notes") if name in content}
    text = json.dumps(content, indent=1).removesuffix("\n}")
    for name, rows in lists.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        text += f',\n "{name}": [\n{lines}\n ]'
    return f"{text}\n}}\n".encode()


def note_objects(notes: np.ndarray) -> Iterator[dict[str, Any]]:
    """`NOTE_DTYPE` [N] as MT3's lines hold notes; seconds."""
    for start, end, pitch, velocity, program, is_drum in notes.tolist():
        yield {
            "start_time": start,
            "end_time": end,
            "pitch": pitch,
            "velocity": velocity,
            "program": program,
            "is_drum": is_drum,
        }


def _to_csv(transcription: Transcription) -> bytes:
    columns = ["start", "end", "pitch", "velocity", "program", "is_drum", "instrument"]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(transcription.notes))
    return file.getvalue().encode()


def _to_musicxml(transcription: Transcription) -> bytes:
    from mt3x.score.io.musicxml import musicxml_bytes
    from mt3x.score.notation.writing import empty_score, notate

    return musicxml_bytes(notate(transcription.notes) if len(transcription.notes) else empty_score())


_ENCODERS = {".mid": _to_midi, ".json": _to_json, ".csv": _to_csv, ".musicxml": _to_musicxml}

FORMATS = tuple(suffix[1:] for suffix in _ENCODERS)
"""The formats that `Transcription.save` writes: mid, json, csv, musicxml."""
