"""Sustain pedals drawn at random: where they change, what they hold, and how a segment tells them."""

import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.synthesis.pedal import draw_pedal, pedal_within, under_pedal

SECONDS = 8.0


def quarters(first=0.0, program=0):
    """Notes on every half second, of a quarter of a second."""
    starts = np.arange(first, SECONDS, 0.5)
    return make_notes(starts, starts + 0.25, 60 + np.arange(len(starts)) % 12, 80, program)


def drawn(count, notes):
    rng = np.random.default_rng(4)
    return [draw_pedal(rng, notes, SECONDS) for _ in range(count)]


def test_a_pedal_goes_down_and_up_in_turn():
    for pedal in drawn(200, quarters()):
        assert pedal.shape[1:] == (2,) and pedal.dtype == np.float64
        assert (np.diff(pedal.ravel()) > 0).all() and (pedal >= 0).all()
        assert (pedal[:, 0] < SECONDS).all()


def test_it_is_lifted_about_onsets_and_pressed_again_soon():
    lifts = np.concatenate([pedal[:-1, 1] for pedal in drawn(200, quarters())])
    late = (lifts + 0.03) % 0.5
    assert late.max() <= 0.15 + 1e-9 and np.ptp(late) > 0.1
    rests = np.concatenate([pedal[1:, 0] - pedal[:-1, 1] for pedal in drawn(200, quarters())])
    soon = rests[rests < 0.32]
    assert len(soon) > 0.5 * len(rests) and soon.min() >= 0.05 - 1e-9


def test_changes_are_from_a_beat_to_four_seconds_apart_and_some_stretches_have_none():
    pedals = drawn(300, quarters())
    lengths = np.concatenate([np.diff(pedal[:-1], axis=1)[:, 0] for pedal in pedals])
    assert lengths.min() < 0.5 and 3.0 < lengths.max() < 6.0
    shares = [np.clip(pedal, 0, SECONDS).ravel()[1::2].sum() - pedal[:, 0].sum() for pedal in pedals]
    assert min(shares) < 0.4 * SECONDS and max(shares) > 0.85 * SECONDS


def test_it_is_up_before_the_music_begins_and_may_be_down_where_it_goes_on():
    assert all((pedal >= 1.0).all() for pedal in drawn(50, quarters(first=1.0)))
    assert 10 < sum(len(pedal) and pedal[0, 0] == 0 for pedal in drawn(50, quarters())) < 50
    assert len(draw_pedal(np.random.default_rng(0), quarters()[:0], SECONDS)) == 0


def test_notes_of_pianos_alone_are_held_until_it_is_lifted_or_they_are_struck_again():
    # A piano's C is struck at 0 and 2, its E at 0.5; a flute and a drum are released under the pedal, too.
    piano = make_notes([0.0, 0.5, 2.0], [0.25, 0.75, 3.5], [60, 64, 60], 80, 0)
    electric = make_notes([0.1], [0.4], 60, 80, 4)
    others = np.concatenate(
        [make_notes([0.0], [0.25], 60, 80, 73), make_notes([0.0], [0.01], 36, 80, 0, is_drum=True)]
    )
    held = under_pedal(np.concatenate([others, piano, electric]), np.array([[0.1, 2.5], [3.0, 3.25]]))
    ends = {(n["program"], n["pitch"], n["is_drum"], n["start"]): n["end"] for n in held}
    assert ends == {
        (0, 60, False, 0.0): 2.0,
        (0, 64, False, 0.5): 2.5,
        (0, 60, False, 2.0): 3.5,  # its key is down for longer
        (4, 60, False, 0.1): 2.5,
        (73, 60, False, 0.0): 0.25,
        (0, 36, True, 0.0): 0.01,
    }


def test_without_a_pedal_notes_stay():
    assert np.array_equal(under_pedal(quarters(), np.zeros((0, 2))), quarters())


def test_a_segment_tells_what_lies_within_it_from_its_start():
    pedal = np.array([[0.0, 0.5], [0.5625, 1.0], [1.25, 2.0], [2.25, 9.0], [9.5, 10.0]])
    label = pedal_within(pedal, 0.75, 2.5)
    assert label.dtype == np.float32
    expected = [[0.0, 0.25], [0.5, 1.25], [1.5, 1.75]]
    assert label[:3].tolist() == expected and not label[3:].any()
    assert label.shape == pedal_within(pedal[:0], 0.75, 2.5).shape  # examples of a batch are alike


@pytest.mark.parametrize("seconds", [0.1, 2.048, 20.0])
def test_there_is_room_for_all_changes_of_a_segment(seconds):
    starts = np.arange(0, seconds + 1, 0.01)
    busy = make_notes(starts, starts + 0.01, 60, 80, 0)
    rng = np.random.default_rng(6)
    for _ in range(200):
        pedal = draw_pedal(rng, busy, seconds + 1)
        inside = (pedal[:, 1] > 0.5) & (pedal[:, 0] < 0.5 + seconds)
        label = pedal_within(pedal, 0.5, 0.5 + seconds)
        assert (label[:, 1] > 0).sum() == inside.sum()
