"""Pitch spelling: names of notes on the line of fifths, and what `spell` makes of small pieces."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.spelling.scores import load_spelled_scores
from mt3x.data.synthetic.scores import is_held_out
from mt3x.score.spelling.names import LOWEST, Spelling, name_notes, positions_of, spell

GOLDEN = Path(__file__).parents[2] / "golden"


def spell_melody(pitches: list[int]) -> Spelling:
    return spell(np.arange(len(pitches), dtype=float), np.ones(len(pitches)), np.array(pitches))


def names(spelling: Spelling) -> list[str]:
    signs = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
    return [
        step + signs[alter] + str(octave)
        for step, alter, octave in zip(spelling.step, spelling.alter.tolist(), spelling.octave, strict=True)
    ]


def test_octave_is_that_of_the_written_note():
    pitches = np.array([60, 60, 59, 59, 62, 60])
    positions = positions_of(np.array(list("CBBCCD")), np.array([0, 1, 0, -1, 2, -2]))
    spelling = name_notes(pitches, positions, np.zeros(6))
    assert names(spelling) == ["C4", "B#3", "B3", "Cb4", "C##4", "Dbb4"]


@given(st.integers(0, 127), st.integers(0, 2))
def test_a_named_note_sounds_as_its_pitch(pitch, sheet):
    position = LOWEST + (7 * pitch - LOWEST) % 12 + 12 * sheet
    if position > 19:
        position -= 12
    spelling = name_notes(np.array([pitch]), np.array([position]), np.array([0]))
    sounds = "C D EF G A B".index(str(spelling.step[0])) + spelling.alter[0] + 12 * (spelling.octave[0] + 1)
    assert sounds == pitch
    assert positions_of(spelling.step, spelling.alter).tolist() == [position]


def test_scale_of_c_major_has_no_accidentals():
    spelling = spell_melody([60, 62, 64, 65, 67, 69, 71, 72] * 2)
    assert names(spelling)[:8] == ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"]
    assert spelling.fifths.tolist() == [0] * 16


def test_g_sharp_in_a_minor_is_a_flat_in_f_minor():
    a_minor = [69, 71, 72, 74, 76, 77, 80, 81, 80, 81, 76, 72, 69]
    assert "G#5" in names(spell_melody(a_minor * 3))
    f_minor = [65, 67, 68, 70, 72, 73, 76, 77, 80, 79, 77, 72, 68, 65]
    spelled = names(spell_melody(f_minor * 3))
    assert "Ab4" in spelled and "Ab5" in spelled and "E5" in spelled


def test_notes_keep_the_order_in_which_they_are_given():
    rng = np.random.default_rng(0)
    pitch = np.array([60, 62, 64, 66, 67, 69, 71, 72] * 4)
    onset, order = np.arange(32.0), rng.permutation(32)
    sorted_names = names(spell(onset, np.ones(32), pitch))
    assert names(spell(onset[order], np.ones(32), pitch[order])) == [sorted_names[i] for i in order]


def test_no_note_at_all_is_spelled_as_nothing():
    assert len(spell(np.zeros(0), np.zeros(0), np.zeros(0, int)).step) == 0


@pytest.mark.parametrize(
    ("onset", "duration", "pitch", "message"),
    [
        ([0.0], [1.0, 1.0], [60, 62], "one length"),
        ([np.nan], [1.0], [60], "must be finite"),
        ([0.0], [np.inf], [60], "must be finite"),
        ([0.0], [-1.0], [60], "must be 0 or more"),
        ([0.0], [1.0], [128], "give ints in 0 to 127"),
        ([0.0], [1.0], [60.5], "give ints in 0 to 127"),
    ],
)
def test_bad_notes_are_refused(onset, duration, pitch, message):
    with pytest.raises(ValueError, match=message):
        spell(np.array(onset), np.array(duration), np.array(pitch))


def test_bad_names_are_refused():
    with pytest.raises(ValueError, match="must be one of A, B"):
        positions_of(np.array(["H"]), np.array([0]))
    with pytest.raises(ValueError, match="is not pitch 60"):
        name_notes(np.array([60]), np.array([1]), np.array([0]))
    with pytest.raises(ValueError, match="three accidentals"):
        name_notes(np.array([60]), np.array([24]), np.array([0]))


def test_six_sharps_or_flats_are_written_as_six_flats_and_are_consistent():
    spelling = spell_melody([66, 68, 70, 71, 73, 75, 77, 78] * 2)
    assert names(spelling)[:8] == ["Gb4", "Ab4", "Bb4", "Cb5", "Db5", "Eb5", "F5", "Gb5"]
    assert set(spelling.fifths.tolist()) == {-6}


@pytest.mark.parametrize("semitones", [2, 5, 9, 12])
def test_transposed_music_is_spelled_with_the_same_intervals(semitones):
    melody = [60, 64, 67, 66, 67, 70, 69, 65, 62, 61, 62, 65, 64, 68, 69, 72, 71, 67, 60] * 3
    fifths = (7 * semitones + 6) % 12 - 6
    spelled, moved = (spell_melody([pitch + by for pitch in melody]) for by in (0, semitones))
    assert (positions_of(moved.step, moved.alter) - positions_of(spelled.step, spelled.alter) == fifths).all()
    assert (moved.fifths - spelled.fifths == fifths).all()


def test_held_out_songs_are_spelled_well():
    # Six songs of OpenScore Lieder (CC0) that the shipped network was not trained on: 2,903 notes.
    right, right_keys, notes = 0, 0, 0
    for song in load_spelled_scores(GOLDEN / "openscore_spelled.npz"):
        assert is_held_out(song.name)
        wanted = song.notes
        spelling = spell(wanted["onset_quarters"], wanted["duration_quarters"], wanted["pitch"])
        right += (positions_of(spelling.step, spelling.alter) == wanted["position"]).sum()
        right_keys += (spelling.fifths == wanted["fifths"]).sum()
        notes += len(wanted)
    assert notes == 2903
    assert right / notes > 0.95
    assert right_keys / notes > 0.95
