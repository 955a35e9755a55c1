"""Segments: what is heard, and what their tokens say."""

import dataclasses

import numpy as np
import pytest

from mt3x.data.pipeline.cut import (
    SegmentSizes,
    count_pieces,
    cut,
    draw_segment,
    is_heard,
    notes_for_segment,
    padded_samples,
)
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.music.timegrid import num_frames, segment_start_seconds
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segment, encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CODEC, TIES = build_codec(VocabularyConfig()), NoteSpec.NOTES_WITH_TIES


@dataclasses.dataclass(frozen=True)
class Stems:
    """A recording in memory."""

    audio: tuple[np.ndarray, ...]
    notes: tuple[np.ndarray, ...]

    @property
    def num_samples(self):
        return len(self.audio[0])

    @property
    def mixes(self):
        return (tuple(range(len(self.audio))),)

    def samples(self, stem, start=0, stop=None):
        assert 0 <= start < (self.num_samples if stop is None else stop) <= self.num_samples
        return self.audio[stem][start:stop]


def random_notes(seed: int, count: int = 60, seconds: float = 6.0, trim: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, seconds - 0.5, count)
    notes = make_notes(
        start,
        np.minimum(start + 0.02 + rng.exponential(0.6, count), seconds),
        rng.integers(58, 66, count),
        program=rng.choice([0, 3, 40], count),
        is_drum=rng.random(count) < 0.2,
    )
    return trim_overlapping_notes(notes) if trim else notes


def ramp(seconds: float, step: float = 1.0) -> np.ndarray:
    """Samples that tell their own place."""
    return (step * np.arange(int(seconds * SAMPLE_RATE))).astype(np.float32)


SMALL = SegmentSizes(segment_frames=50, hop_samples=128, lead_samples=160)  # 0.4 s behind 10 ms


def test_samples_are_those_of_lead_in_and_segment_with_zeros_around_the_recording():
    stems = Stems((ramp(1.0), ramp(1.0, 2.0)), (make_notes([], [], []),) * 2)
    middle = cut(stems, (0, 1), 3200, SMALL)
    assert middle.samples.dtype == np.float32
    assert np.array_equal(middle.samples, 3 * np.arange(3040, 9600, dtype=np.float32))
    assert (middle.start_seconds, middle.num_frames, middle.is_last) == (0.2, 50, False)
    assert middle.end_seconds == 0.6
    first = cut(stems, (0,), 0, SMALL)
    assert not first.samples[:160].any() and np.array_equal(first.samples[160:], np.arange(6400))
    last = cut(stems, (1,), 12800, SMALL)
    assert np.array_equal(last.samples[:3360], 2 * np.arange(12640, 16000)) and not last.samples[3360:].any()
    assert (last.num_frames, last.is_last) == (3200 // 128 + 1, True)
    assert not padded_samples(stems, 0, 17000, 17010).any()


def test_notes_are_those_that_the_tokens_of_the_segment_need():
    notes = make_notes(
        [0.0, 0.0, 0.5, 0.9, 1.0, 1.9, 2.5],
        [3.0, 0.4, 0.6, 1.5, 1.2, 2.5, 3.0],
        [60, 61, 60, 62, 60, 63, 60],
    )
    near = notes_for_segment(notes, 1.0, 2.0, Granularity.FULL)
    # Pitch 61 is over, and 2.5 s has not come; 0.5 s tells that the first note is not held.
    assert near["start"].tolist() == [0.0, 0.5, 0.9, 1.0, 1.9]
    assert is_heard(near, 1.0, 2.0).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("seed", range(5))
def test_the_notes_of_a_cut_say_the_same_tokens_as_all_notes(seed, granularity):
    notes = random_notes(seed, trim=False)
    written = trim_overlapping_notes(notes)
    for start in np.arange(0.0, 5.5, 0.13):
        near = trim_overlapping_notes(notes_for_segment(notes, start, start + 0.5, granularity))
        tokens = encode_segment(near, start, start + 0.5, CODEC, TIES, granularity)
        assert np.array_equal(tokens, encode_segment(written, start, start + 0.5, CODEC, TIES, granularity))


@pytest.mark.parametrize("seed", range(5))
def test_cuts_side_by_side_decode_to_the_notes_of_the_recording(seed):
    notes = random_notes(seed)
    for name in ("start", "end"):  # on the grid of tokens, so that nothing is rounded
        notes[name] = np.rint(notes[name] * 100) / 100
    notes = trim_overlapping_notes(notes)
    stems = Stems((ramp(6.1),), (notes,))
    sizes = SegmentSizes(segment_frames=75, hop_samples=128)  # 0.6 s
    cuts = [cut(stems, (0,), start, sizes) for start in range(0, stems.num_samples, sizes.segment_samples)]
    tokens = [
        encode_segments(
            part.notes,
            [part.start_seconds],
            CODEC,
            TIES,
            end_seconds=None if part.is_last else part.end_seconds,
        )[0]
        for part in cuts
    ]
    decoded, report = decode_segments(tokens, [part.start_seconds for part in cuts], CODEC, TIES)
    assert report.invalid_events == report.dropped_events == 0
    drums = notes["is_drum"]
    for name in ("start", "pitch", "is_drum"):
        assert np.allclose(decoded[name].astype(float), notes[name].astype(float), atol=1e-9), name
    for name in ("end", "program"):  # drum hits have neither
        assert np.allclose(decoded[name][~drums], notes[name][~drums], atol=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_on_the_grid_of_frames_a_cut_is_the_segment_that_mt3_draws(seed):
    notes, hop = random_notes(seed), 128
    stems = Stems((ramp(6.0),), (notes,))
    sizes = SegmentSizes(segment_frames=64, hop_samples=hop, grid_samples=hop)
    total = num_frames(stems.num_samples, hop)
    for first in range(0, total - 1, 7):
        part = cut(stems, (0,), first * hop, sizes)
        count = min(64, total - first)
        assert part.num_frames == count
        starts = segment_start_seconds([first, first + count], hop, SAMPLE_RATE, 100)
        end = None if first + count == total else starts[1]
        wanted = encode_segments(notes, starts[:1], CODEC, TIES, end_seconds=end)[0]
        end = None if part.is_last else part.end_seconds
        found = encode_segments(part.notes, [part.start_seconds], CODEC, TIES, end_seconds=end)[0]
        assert np.array_equal(found, wanted)


def test_shifted_stems_keep_the_segments_start_and_drums_stay():
    clicks = np.zeros(2 * SAMPLE_RATE, np.float32)
    clicks[[8000, 9600]] = 1.0
    pitched, drums = (
        make_notes([0.5, 0.6], [0.6, 0.7], 60),
        make_notes([0.5, 0.6], [0.51, 0.61], 36, is_drum=True),
    )
    stems = Stems((clicks, clicks), (pitched, drums))
    part = cut(stems, (0,), 8000, SMALL, semitones=12)
    assert part.notes["start"].tolist() == [0.5, 0.55] and part.notes["pitch"].tolist() == [72, 72]
    assert abs(int(part.samples[300:].argmax()) + 300 - (160 + 800)) <= 1
    assert abs(int(part.samples[:300].argmax()) - 160) <= 1
    unshifted = cut(stems, (1,), 8000, SMALL, semitones=12)
    assert np.array_equal(unshifted.notes, drums)
    assert np.flatnonzero(unshifted.samples).tolist() == [160, 1760]
    both = cut(stems, (0, 1), 8000, SMALL, semitones=12)
    assert np.allclose(both.samples, part.samples + unshifted.samples, atol=1e-6)
    assert len(both.notes) == 4


def test_a_shifted_recording_ends_earlier_or_later():
    stems = Stems((ramp(1.0),), (make_notes([], [], []),))
    counts = [cut(stems, (0,), 12800, SMALL, semitones=semitones).num_frames for semitones in (-12, 0, 12)]
    assert counts == [50, 26, 13]  # 0.4, 0.2 and 0.1 s are left
    assert [cut(stems, (0,), 12800, SMALL, semitones=semitones).is_last for semitones in (-12, 12)] == [
        False,
        True,
    ]


def test_a_segment_of_few_frames_holds_no_more_than_these():
    stems = Stems((ramp(1.0) + 1,), (make_notes([0.1, 0.35], [0.9, 0.4], [60, 62]),))
    part = cut(stems, (0,), 3200, SMALL, frames=20)  # 0.2 to 0.36 s
    assert np.array_equal(part.samples[:2720], np.arange(3041, 5761)) and not part.samples[2720:].any()
    assert (part.num_frames, part.end_seconds, part.is_last) == (20, 0.36, False)
    tokens = encode_segment(part.notes, part.start_seconds, part.end_seconds, CODEC, TIES)
    wanted = encode_segment(stems.notes[0], 0.2, 0.36, CODEC, TIES)
    assert np.array_equal(tokens, wanted)
    shifted = cut(stems, (0,), 3200, SMALL, semitones=12, frames=20)
    assert (shifted.num_frames, shifted.is_last) == (20, False) and not shifted.samples[2720:].any()
    assert cut(stems, (0,), 14000, SMALL, frames=20).is_last


class Drawn:
    """Draws a given number, and remembers from which."""

    def __init__(self, number=None):
        self.number = number

    def integers(self, low, high):
        self.range = range(low, high)
        return low if self.number is None else self.number


def all_segments(num_samples, piece, sizes):
    first = Drawn()
    draw_segment(first, num_samples, piece, sizes)
    return [draw_segment(Drawn(number), num_samples, piece, sizes) for number in first.range]


@pytest.mark.parametrize("num_samples", [300 * 128 - 5, 300 * 128, 127])
def test_on_the_grid_of_frames_segments_are_drawn_as_t5_draws_chunks(num_samples):
    sizes = SegmentSizes(segment_frames=50, grid_samples=128, piece_frames=120)
    total = num_frames(num_samples, 128)
    for piece, first in enumerate(range(0, total, 120)):
        length = min(120, total - first)
        chunks = [(max(start, 0), min(start + 50, length)) for start in range(1 - 50, length)]
        wanted = [((first + start) * 128, stop - start) for start, stop in chunks]
        assert all_segments(num_samples, piece, sizes) == wanted


def test_a_recording_has_a_piece_for_every_2000_frames_begun():
    # 2000 frames are 256,000 samples, of which the last gains a frame of its own.
    lengths = np.array([1, 255_999, 256_000, 511_999, 600_000])
    assert count_pieces(lengths, SegmentSizes()).tolist() == [1, 1, 2, 2, 3]


def test_segments_lie_in_their_piece_and_on_the_grid():
    sizes = SegmentSizes(segment_frames=50, piece_frames=100)  # 80 steps of 10 ms
    segments = all_segments(32_000, 1, sizes)
    assert min(segments)[0] == 12_800 and max(segments)[0] == 25_440
    for start, frames in segments:
        assert start % 160 == 0 and 1 <= frames <= 50 and start + 128 * frames < 25_600 + 128


def test_every_frame_is_heard_equally_often():
    sizes = SegmentSizes(segment_frames=50, grid_samples=128, piece_frames=100)
    segments = [segment for piece in range(3) for segment in all_segments(250 * 128 - 1, piece, sizes)]
    heard = [
        sum(start <= at < start + 128 * frames for start, frames in segments) for at in range(0, 32_000, 128)
    ]
    assert heard == [50] * 250


def test_short_recordings_have_a_segment_too():
    assert set(all_segments(1, 0, SMALL)) == {(0, 1)}
    assert set(all_segments(400, 0, SMALL)) == {(0, 2), (0, 3), (0, 4), (160, 3), (320, 2)}


@pytest.mark.parametrize(
    ("name", "low"),
    [
        ("segment_frames", 1),
        ("hop_samples", 1),
        ("grid_samples", 1),
        ("piece_frames", 1),
        ("lead_samples", 0),
    ],
)
def test_sizes_that_cannot_be_are_refused(name, low):
    with pytest.raises(ValueError, match=f"{name} is {low - 1}; it must be at least {low}"):
        SegmentSizes(**{name: low - 1})
