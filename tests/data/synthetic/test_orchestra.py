"""Instruments for roles, and their ranges."""

import numpy as np

from mt3x.data.synthetic.orchestra import (
    HIGHEST_PITCH,
    LAST_MELODIC_PROGRAM,
    LOWEST_PITCH,
    Role,
    draw_choir,
    draw_program,
    fold_into_range,
    octaves_into_range,
)


def test_every_melodic_class_is_drawn_and_no_other() -> None:
    rng = np.random.default_rng(1)
    for roles in ((Role.ANY,), (Role.CHORDS, Role.MELODY, Role.BASS)):
        programs = [draw_program(rng, role) for role in roles for _ in range(3000)]
        assert {program // 8 for program in programs} == set(range(14))
        assert max(programs) <= LAST_MELODIC_PROGRAM


def test_the_piano_role_is_a_piano_and_grand_most_often() -> None:
    rng = np.random.default_rng(2)
    drawn = np.array([draw_program(rng, Role.PIANO) for _ in range(2000)])
    assert drawn.max() <= 7
    assert 0.55 < (drawn == 0).mean() < 0.65


def test_ranges_hold_an_octave_within_midi() -> None:
    assert LOWEST_PITCH.min() >= 0 and HIGHEST_PITCH.max() <= 127
    assert (HIGHEST_PITCH - LOWEST_PITCH >= 12).all()
    assert (LOWEST_PITCH[0], HIGHEST_PITCH[0]) == (21, 108)


def test_folding_moves_by_octaves_into_the_range() -> None:
    rng = np.random.default_rng(3)
    pitch, program = rng.integers(-12, 140, 5000), rng.integers(0, 128, 5000)
    folded = fold_into_range(pitch, program)
    assert ((folded - pitch) % 12 == 0).all()
    assert (folded >= LOWEST_PITCH[program]).all() and (folded <= HIGHEST_PITCH[program]).all()
    inside = (pitch >= LOWEST_PITCH[program]) & (pitch <= HIGHEST_PITCH[program])
    assert (folded[inside] == pitch[inside]).all()


def test_a_line_moves_as_a_whole_and_only_if_it_must() -> None:
    assert octaves_into_range(np.array([60, 72]), 40) == 0
    assert octaves_into_range(np.array([30, 42]), 40) == 48  # a bass line for the violin
    assert octaves_into_range(np.array([90, 100]), 42) == -36  # a flute line for the cello


def test_choirs_seat_high_instruments_first() -> None:
    rng = np.random.default_rng(4)
    seen = set()
    for num_lines in (1, 2, 4, 7):
        for _ in range(100):
            programs = draw_choir(rng, num_lines)
            assert programs.shape == (num_lines,)
            seen.add(tuple(programs.tolist()))
    assert (40, 40, 41, 42) in seen and (56, 56, 60, 57) in seen
