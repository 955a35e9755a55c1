import subprocess
import sys

import numpy as np
import pytest

from mt3x.music.notes import NOTE_DTYPE, empty_notes, make_notes, sort_notes
from mt3x.music.noteseq import from_note_sequence, to_note_sequence


def random_notes(seed: int, count: int = 100) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 20, count)
    is_drum = rng.random(count) < 0.2
    pitch, velocity, program = rng.integers([0, 1, 0], [128, 128, 30], (count, 3)).T
    return make_notes(start, start + rng.uniform(0, 1, count), pitch, velocity, program, is_drum)


def test_notes_survive_a_round_trip_exactly():
    notes = random_notes(seed=0)
    np.testing.assert_array_equal(from_note_sequence(to_note_sequence(notes)), sort_notes(notes))


def test_no_notes_survive_a_round_trip():
    sequence = to_note_sequence(empty_notes())
    assert sequence.total_time == 0.0
    notes = from_note_sequence(sequence)
    assert (notes.dtype, len(notes)) == (NOTE_DTYPE, 0)


def test_hand_worked_sequence():
    notes = make_notes([0.5, 0.0], [1.0, 3.0], [60, 36], [70, 80], [40, 0], [False, True])
    sequence = to_note_sequence(notes)
    assert (sequence.total_time, sequence.ticks_per_quarter) == (3.0, 220)
    violin, drum = sequence.notes
    assert (violin.start_time, violin.end_time, violin.pitch, violin.velocity) == (0.5, 1.0, 60, 70)
    assert (violin.program, violin.is_drum, violin.instrument) == (40, False, 0)
    assert (drum.is_drum, drum.instrument) == (True, 9)


def test_programs_get_instruments_in_order_of_appearance_around_the_drums():
    programs = [50, 3, 50, *range(60, 70)]
    sequence = to_note_sequence(make_notes(0.0, 1.0, 60, program=programs))
    numbers = [note.instrument for note in sequence.notes]
    assert numbers == [0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]


def test_pedal_holds_the_notes_of_its_instrument_only():
    sequence = to_note_sequence(make_notes(0.0, 1.0, 60, program=[0, 40]))
    for time, value in ((0.5, 127), (2.0, 0)):
        sequence.control_changes.add(time=time, control_number=64, control_value=value, instrument=1)
    sequence.control_changes.add(time=0.5, control_number=1, control_value=127, instrument=0)
    assert from_note_sequence(sequence)["end"].tolist() == [1.0, 2.0]
    assert from_note_sequence(sequence, apply_sustain=False)["end"].tolist() == [1.0, 1.0]


def test_note_without_velocity_is_refused():
    sequence = to_note_sequence(make_notes(0.0, 1.0, 60))
    sequence.notes[0].velocity = 0
    with pytest.raises(ValueError, match="note 0 has velocity 0"):
        from_note_sequence(sequence)


def test_unsound_notes_are_refused():
    with pytest.raises(ValueError, match="note 0 has pitch 128"):
        to_note_sequence(make_notes(0.0, 1.0, 128))


def test_missing_note_seq_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "note_seq", None)
    with pytest.raises(ImportError, match=r"pip install 'mt3x\[noteseq\]'"):
        to_note_sequence(empty_notes())


def test_the_message_is_note_seqs_own_without_its_heavy_import():
    # In a process of its own, for importing note_seq warns and cannot be undone.
    program = """
import sys, warnings
from mt3x.music.noteseq import to_note_sequence
from mt3x.music.notes import make_notes
sequence = to_note_sequence(make_notes(0.0, 1.0, 60))
assert "note_seq" not in sys.modules and "pandas" not in sys.modules
warnings.simplefilter("ignore")
import note_seq
assert type(sequence) is note_seq.NoteSequence
assert type(to_note_sequence(make_notes(0.0, 1.0, 60))) is note_seq.NoteSequence
assert note_seq.apply_sustain_control_changes(sequence).notes[0].pitch == 60
"""
    subprocess.run([sys.executable, "-c", program], check=True)
