import numpy as np
import pytest

from mt3x.score.rhythm.beat_decoding import FRAMES_PER_SECOND, DecodingSettings, decode_beats


def activations(frames, size, num_frames):
    beat, downbeat = np.full(num_frames, 0.02), np.full(num_frames, 0.2)
    beat[frames] = 0.8
    downbeat[frames[::size]] = 0.8
    return beat, downbeat


@pytest.mark.parametrize("size", [2, 3, 4])
def test_clear_beats_are_found_with_their_bars(size):
    frames = np.arange(10, 600, 25)
    found, position, beats_in_bar = decode_beats(*activations(frames, size, 610))
    assert found.tolist() == frames.tolist()
    assert beats_in_bar == size
    assert position.tolist() == [i % size for i in range(len(frames))]


def test_a_missing_beat_is_filled_in_and_a_stray_one_left_out():
    frames = np.arange(10, 600, 25)
    beat, downbeat = activations(frames, 4, 610)
    beat[frames[7]], beat[frames[9] + 12] = 0.02, 0.7
    assert decode_beats(beat, downbeat)[0].tolist() == frames.tolist()


def test_beats_follow_a_slowly_changing_tempo():
    frames = np.rint(np.cumsum(np.geomspace(20, 40, 24))).astype(int)
    found, _, _ = decode_beats(*activations(frames, 4, int(frames[-1]) + 5))
    assert found.tolist() == frames.tolist()


def test_too_few_frames_hold_no_beats():
    shortest = int(DecodingSettings().shortest_seconds * FRAMES_PER_SECOND)
    frames, position, size = decode_beats(np.full(shortest, 0.5), np.full(shortest, 0.5))
    assert len(frames) == len(position) == size == 0
