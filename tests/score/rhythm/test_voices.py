import numpy as np

from mt3x.score.rhythm.voices import has_one_voice, has_two_staves, is_melody, split_hands, split_voices


def columns(notes):
    """(onset, end, pitch) in divs from (onset, duration, pitch) in quarters."""
    onset, duration, pitch = np.array(notes).T
    return onset * 24, (onset + duration) * 24, pitch.astype(int)


def test_the_left_hand_goes_above_middle_c_with_the_music():
    alberti = [(i / 2, 0.5, pitch) for i, pitch in enumerate([60, 67, 64, 67] * 4)]
    melody = [(float(i), 1.0, pitch) for i, pitch in enumerate([79, 81, 83, 84, 83, 81, 79, 76])]
    staff = split_hands(*columns(alberti + melody))
    assert staff.tolist() == [2] * len(alberti) + [1] * len(melody)


def test_a_low_melody_stays_in_the_right_hand_above_a_bass():
    melody = [(float(i), 1.0, pitch) for i, pitch in enumerate([67, 64, 62, 59, 57, 59, 60, 64])]
    bass = [(float(i), 1.0, pitch) for i, pitch in enumerate([48, 45, 43, 43, 41, 43, 36, 40])]
    assert split_hands(*columns(melody + bass)).tolist() == [1] * 8 + [2] * 8


def test_a_chord_too_wide_for_a_hand_is_shared():
    assert split_hands(*columns([(0, 1, 60), (0, 1, 64), (0, 1, 72), (0, 1, 79)])).max() == 2


def test_notes_one_after_another_are_a_melody_and_others_are_not():
    melody = [(float(i), 1.1, pitch) for i, pitch in enumerate([55, 62, 67, 64, 72, 79, 76, 67, 60, 62])]
    for notes in (melody, melody[:1], melody[::-1]):
        assert is_melody(*columns(notes))
    together, far_below = [*melody, (0.0, 1.0, 60)], [*melody, (10.0, 1.0, 40)]
    broken_chord = [(onset, 2.0, pitch) for onset, _, pitch in melody]
    for notes in (together, far_below, broken_chord):
        assert not is_melody(*columns(notes))


def test_one_voice_is_enough_for_chords():
    notes = [(float(i), 1.0, pitch + up) for i, pitch in enumerate([60, 62, 64]) for up in (0, 4, 7)]
    assert split_voices(*columns(notes), ends_are_exact=True).tolist() == [1] * 9


def test_a_held_note_below_moving_ones_is_a_second_voice():
    notes = [(0.0, 4.0, 60), (4.0, 4.0, 59)] + [(float(i), 1.0, 72 + i % 3) for i in range(8)]
    for is_exact in (True, False):
        assert split_voices(*columns(notes), ends_are_exact=is_exact).tolist() == [2, 2] + [1] * 8


def test_a_held_note_above_moving_ones_is_the_first_voice():
    notes = [(0.0, 4.0, 79)] + [(float(i), 1.0, 64 + i % 3) for i in range(4)]
    assert split_voices(*columns(notes), ends_are_exact=True).tolist() == [1] + [2] * 4


def test_notes_that_overlap_a_little_are_one_voice():
    notes = [(float(i), 1.15, 60 + i) for i in range(6)]
    assert split_voices(*columns(notes), ends_are_exact=False).tolist() == [1] * 6


def test_no_notes_have_no_voices():
    nothing = np.zeros(0)
    assert (
        len(split_voices(nothing, nothing, nothing, True)) == len(split_hands(nothing, nothing, nothing)) == 0
    )


def test_programs_know_their_staves():
    assert has_two_staves(0) and has_two_staves(46) and not has_two_staves(40)
    assert has_one_voice(73) and not has_one_voice(24)
