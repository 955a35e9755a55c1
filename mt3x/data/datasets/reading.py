"""What most readers do with a file: find it, read it, and keep of its notes what the audio can hold.

`source` is the release's folder and `file` a path below it, as in `Item.files`; errors and reports name it.

Deviation from MT3: it trims overlapping notes only for the training of Slakh and Cerberus4, and keeps notes
that begin after the audio's end.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from mt3x.audio.errors import AudioError
from mt3x.audio.load import stream_audio
from mt3x.data.records.recordings import SAMPLE_RATE, DataError, Item, Recording, Report, Stem
from mt3x.music.midi import MidiError, read_midi_content
from mt3x.music.notes import trim_overlapping_notes, validate_notes
from mt3x.music.smf.mending import Mending


def check_folder(source: Path, landmark: str) -> None:
    """Makes sure that something in `source` matches the glob pattern `landmark`.

    Raises:
      DataError: nothing does; names the folder one level down, or up, that has it.
    """
    source = source.resolve()
    if not source.is_dir():
        raise DataError(f"{source}: is no folder; give the folder that holds {landmark}")
    if any(source.glob(landmark)):
        return
    nearby = [*sorted(path for path in source.iterdir() if path.is_dir()), *source.parents[:2]]
    for folder in nearby:
        if any(folder.glob(landmark)):
            raise DataError(f"{source}: holds no {landmark}, but {folder} does: give that folder")
    raise DataError(f"{source}: holds no {landmark}; give the folder where the release was unpacked")


def has_all(source: Path, files: Collection[str], report: Report) -> bool:
    """Whether an item's files are all there; those that are not are reported."""
    missing = [file for file in files if not (source / file).is_file()]
    for file in missing:
        report(file, "is missing; the item is left out")
    return not missing


def read_audio(source: Path, file: str, report: Report) -> np.ndarray:
    """A recording: float32 [N], mono, `SAMPLE_RATE`; what is odd about it is reported.

    Raises:
      DataError: it is missing, cut off, damaged, or no audio that can be read.
    """
    stream = stream_audio(source / file, SAMPLE_RATE)
    try:
        samples = np.concatenate(list(stream))
    except AudioError as error:
        raise DataError(str(error)) from error
    for notice in stream.notices:
        report(file, notice)
    return samples


def read_midi_notes(source: Path, file: str, report: Report) -> np.ndarray:
    """The notes of a MIDI file, the sustain pedal applied; what was mended, pitch bends and notes left out
    are reported.

    Raises:
      DataError: it is missing, no MIDI that can be read, or cut short: what it lacks is in the recording.
    """
    try:
        content = read_midi_content(source / file)
    except MidiError as error:
        raise DataError(str(error)) from error
    if Mending.CUT in content.mended:
        raise DataError(f"{source / file}: MIDI file is cut short or damaged; copy it again")
    if content.mending:
        report(file, content.mending)
    if content.num_bends:
        report(file, f"has {content.num_bends} pitch bends; notes keep the pitches of their keys")
    if content.num_doubled:
        report(
            file, f"{content.num_doubled} of {content.num_struck} notes start twice under the pedal: left out"
        )
    return content.notes


def clean_notes(notes: np.ndarray, num_samples: int, file: str, report: Report) -> np.ndarray:
    """Sorted notes that last, do not overlap at one pitch and program, and end with the audio.

    What is dropped or cut is reported with its count.

    Args:
      notes: `NOTE_DTYPE` [K], in any order.
      num_samples: of the audio, at `SAMPLE_RATE`.

    Raises:
      DataError: a time, pitch, velocity or program is impossible.
    """
    seconds = num_samples / SAMPLE_RATE
    lasting = notes[~(notes["end"] <= notes["start"])]  # a time that is no number stays, to be found next
    try:
        inside = validate_notes(lasting)[lasting["start"] < seconds]
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    num_cut = np.count_nonzero(inside["end"] > seconds)
    inside["end"] = np.minimum(inside["end"], seconds)
    cleaned = trim_overlapping_notes(inside)
    num_overlapping = (Counter(inside.tolist()) - Counter(cleaned.tolist())).total()
    for count, what in (
        (len(notes) - len(lasting), "last no time: left out"),
        (len(lasting) - len(inside), f"begin after the audio's end at {seconds:.3f} s: left out"),
        (num_cut, f"end after the audio's end at {seconds:.3f} s: cut there"),
        (num_overlapping, "overlap the next of their pitch and program: cut, or left out"),
    ):
        if count:
            report(file, f"{count} of {len(notes)} notes {what}")
    return cleaned


def read_text(source: Path, file: str) -> str:
    """The contents of a UTF-8 file.

    Raises:
      DataError: it is missing, or no text.
    """
    try:
        return (source / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error}); copy it again") from error


def read_table(source: Path, file: str, columns: Collection[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header line.

    Raises:
      DataError: the file is missing, no text or no table, or lacks a column or a field.
    """
    table = csv.DictReader(io.StringIO(read_text(source, file)))
    try:
        found, rows = table.fieldnames or (), list(table)
    except csv.Error as error:
        raise DataError(f"{file}: cannot be read as a table ({error}); copy it again") from error
    if missing := [column for column in columns if column not in found]:
        raise DataError(f"{file}: has no column {', '.join(missing)}, only {', '.join(found)}; copy it again")
    for row in rows:
        if empty := [column for column in columns if not row[column]]:
            raise DataError(f"{file}: a row has no {', '.join(empty)} ({row}); copy the file again")
    return rows


def parse_numbers(rows: Sequence[Sequence[str | float]], num_columns: int, file: str) -> np.ndarray:
    """Rows of an annotation: float64 [K, num_columns].

    Raises:
      DataError: a row has another length, or a field is no finite number.
    """
    for number, row in enumerate(rows, start=1):
        try:
            is_good = len(row) == num_columns and all(math.isfinite(float(field)) for field in row)
        except (TypeError, ValueError):
            is_good = False
        if not is_good:
            raise DataError(f"{file}: row {number} is {row}, expected {num_columns} numbers; copy it again")
    return np.array(rows, np.float64).reshape(-1, num_columns)


def read_mix(
    source: Path, item: Item, audio_file: str, notes: np.ndarray, notes_file: str, report: Report
) -> Recording:
    """The recording that has one stem, "mix": all of `notes`, cleaned.

    Raises:
      DataError: the audio cannot be read, a note is impossible, or none is left.
    """
    if not len(notes):
        raise DataError(f"{notes_file}: holds no note; if nothing is played in {audio_file}, leave both out")
    samples = read_audio(source, audio_file, report)
    cleaned = clean_notes(notes, len(samples), notes_file, report)
    if not len(cleaned):
        raise DataError(f"{notes_file}: has no note within {audio_file}; do they belong together?")
    return Recording(item.id, item.split, (Stem("mix", samples, cleaned),))
