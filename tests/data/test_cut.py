"""Segments: what is heard, and what their tokens say."""

import dataclasses

import numpy as np
import pytest

from mt3x.data.cut import SegmentSizes, cut, draw_start, is_heard, notes_for_segment, padded_samples
from mt3x.data.recordings import SAMPLE_RATE
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


def test_starts_cover_the_recording_evenly_and_lie_on_the_grid():
    rng = np.random.default_rng(0)
    starts = np.array([draw_start(rng, 32000, SMALL) for _ in range(4000)])
    assert not (starts % 160).any() and starts.min() == 0 and 31000 < starts.max() < 32000
    assert abs(np.mean(starts == 0) - 40 / 239) < 0.02  # 39 before the beginning, and 0 itself
    covering = [np.mean((starts <= at) & (at < starts + 6400)) for at in (100, 16000, 31000)]
    assert max(covering) - min(covering) < 0.05


def test_short_recordings_have_a_start_too():
    rng = np.random.default_rng(0)
    assert {draw_start(rng, 1, SMALL) for _ in range(50)} == {0}
    assert {draw_start(rng, 400, SMALL) for _ in range(400)} == {0, 160, 320}


@pytest.mark.parametrize(
    "name, low", [("segment_frames", 1), ("hop_samples", 1), ("grid_samples", 1), ("lead_samples", 0)]
)
def test_sizes_that_cannot_be_are_refused(name, low):
    with pytest.raises(ValueError, match=f"{name} is {low - 1}; it must be at least {low}"):
        SegmentSizes(**{name: low - 1})
