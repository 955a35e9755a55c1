"""Notes <-> note_seq.NoteSequence, the protocol buffer that MT3's data sets and tools exchange.

Only the message class is loaded, from note-seq's generated file. It is the very class that `import note_seq`
gives, but that import takes 2.7 s for pandas, bokeh, librosa and IPython, and needs, through pydub, the
module `audioop`, which is deprecated in Python 3.11 and gone in 3.13.

Source: MT3 `note_sequences.py` (instrument numbers, ticks per quarter) and `preprocessors.py` (sustain).
Deviation: note-seq holds notes under a pedal that is never lifted to the end of the whole piece, here to the
end of their instrument.
"""

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mt3x.music.notes import (
    SUSTAIN_CONTROL,
    empty_notes,
    make_notes,
    sort_notes,
    total_seconds,
    validate_notes,
)
from mt3x.music.notes import apply_sustain as hold_under_pedal

if TYPE_CHECKING:
    import note_seq

TICKS_PER_QUARTER = 220
DRUM_INSTRUMENT = 9


def to_note_sequence(notes: np.ndarray) -> "note_seq.NoteSequence":
    """Notes as a NoteSequence, in their order.

    Programs get instrument numbers in order of appearance, leaving out 9, which is the drums'. So programs
    never overwrite each other when note-seq writes the sequence as MIDI (they do where all are instrument 0).

    Raises:
      ValueError: the notes are unsound.
      ImportError: note-seq is not installed.
    """
    validate_notes(notes)
    sequence = _message_class()(ticks_per_quarter=TICKS_PER_QUARTER, total_time=total_seconds(notes))
    instruments: dict[int, int] = {}
    for start, end, pitch, velocity, program, is_drum in notes.tolist():
        if is_drum:
            instrument = DRUM_INSTRUMENT
        else:
            number = instruments.setdefault(program, len(instruments))
            instrument = number + (number >= DRUM_INSTRUMENT)
        sequence.notes.add(
            start_time=start,
            end_time=end,
            pitch=pitch,
            velocity=velocity,
            program=program,
            is_drum=is_drum,
            instrument=instrument,
        )
    return sequence


def from_note_sequence(sequence: "note_seq.NoteSequence", apply_sustain: bool = True) -> np.ndarray:
    """The notes of a NoteSequence, sorted. Pitch bends, tempos and annotations are not looked at.

    Args:
      apply_sustain: lengthen notes that are released while their instrument's sustain pedal is down.

    Raises:
      ValueError: a note is unsound, for example without velocity.
    """
    if not sequence.notes:
        return empty_notes()
    rows = [(n.start_time, n.end_time, n.pitch, n.velocity, n.program, n.is_drum) for n in sequence.notes]
    notes = validate_notes(make_notes(*zip(*rows, strict=True)))
    instruments = np.array([note.instrument for note in sequence.notes])
    pedals: dict[int, list[tuple[float, int]]] = {}
    for change in sequence.control_changes:
        if apply_sustain and change.control_number == SUSTAIN_CONTROL:
            pedals.setdefault(change.instrument, []).append((change.time, change.control_value))
    for instrument, pedal in pedals.items():
        mine = instruments == instrument
        notes[mine] = hold_under_pedal(notes[mine], pedal)
    return sort_notes(notes)


def _message_class() -> Any:
    imported = getattr(sys.modules.get("note_seq"), "NoteSequence", None)
    if imported is not None:
        return imported
    package = importlib.util.find_spec("note_seq")
    if package is None or package.origin is None:
        raise ImportError("NoteSequences need note-seq: pip install 'mt3x[noteseq]'")
    path = Path(package.origin).parent / "protobuf" / "music_pb2.py"
    # Under its own name, but not entered among the imported modules: `import note_seq` stays possible.
    spec = importlib.util.spec_from_file_location("note_seq.protobuf.music_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NoteSequence
