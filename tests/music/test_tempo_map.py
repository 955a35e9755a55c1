import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.tempo_map import TempoMap, seconds_to_ticks, signatures_of_bars, ticks_to_seconds


def test_two_tempos_hand_worked():
    # Two quarters at 120 per minute last 1 s, every one after them 1.5 s.
    tempo_map = TempoMap(((0, 120), (2, 40)))
    assert tempo_map.seconds_at([0, 1, 2, 3, 5]).tolist() == [0, 0.5, 1, 2.5, 5.5]
    assert tempo_map.tempo_ticks(960) == [(0, 500_000), (1920, 1_500_000)]


def test_times_are_those_that_the_file_stores():
    assert TempoMap(((0, 70),)).tempo_ticks(960) == [(0, 857143)]  # 60e6 / 70 is 857142.86
    assert TempoMap(((0, 70),)).seconds_at(1000.0) == pytest.approx(857.143, abs=1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 0xFFFFFF)), max_size=30),
    st.lists(st.integers(0, 2 * 10**6), min_size=1, max_size=30),
)
def test_ticks_survive_a_way_through_seconds(tempos, ticks):
    ticks = np.array(ticks)
    seconds = ticks_to_seconds(ticks, tempos, 960)
    np.testing.assert_array_equal(seconds_to_ticks(seconds, tempos, 960), ticks)


def test_bars_of_other_lengths_have_signatures_of_their_own():
    bars = [
        (0, 0.5, 4, 4),
        (0.5, 4, 4, 4),
        (4.5, 4, 4, 4),
        (8.5, 2, 4, 4),
        (10.5, 3, 6, 8),
        (13.5, 1.5, 6, 8),
    ]
    expected = ((0, 1, 8), (0.5, 4, 4), (8.5, 2, 4), (10.5, 6, 8), (13.5, 3, 8))
    assert signatures_of_bars(bars) == expected


def test_a_bar_that_no_beat_type_divides_keeps_the_signature():
    assert signatures_of_bars([(0, 4, 4, 4), (4, 1 / 3, 4, 4)]) == ((0, 4, 4),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tempos": ()}, "the first must be at 0 quarters"),
        ({"tempos": ((1, 90),)}, r"tempos are \(\(1, 90\),\).*must be at 0"),
        ({"tempos": ((0, 90), (2, 80), (2, 70))}, "tempos must increase; after 2 quarters comes 2"),
        ({"tempos": ((0, 90), (2, 80), (1, 70))}, "tempos must increase; after 2 quarters comes 1"),
        ({"tempos": ((0, 90), (float("nan"), 80))}, "tempos must be finite"),
        ({"tempos": ((0, 3.57),)}, "tempo is 3.57; MIDI can store 3.58 to 60000000"),
        ({"tempos": ((0, 90), (1, 2e8))}, "tempo is 200000000.0; MIDI can store"),
        ({"time_signatures": ((4, 3, 4), (0, 4, 4))}, "time_signatures must increase"),
        ({"time_signatures": ((-1, 3, 4),)}, "0 quarters or later"),
        ({"time_signatures": ((0, 3, 6),)}, "time signature is 3/6; .*power of two"),
        ({"time_signatures": ((0, 0, 4),)}, "time signature is 0/4; .*1 to 255 beats"),
        ({"time_signatures": ((0, 256, 4),)}, "time signature is 256/4"),
        ({"key_signatures": ((0, 8),)}, "key signature has 8 fifths"),
        ({"key_signatures": ((0, 1), (0, 2))}, "key_signatures must increase"),
    ],
)
def test_what_midi_cannot_store_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TempoMap(**changes)
