"""Segments of stored recordings: where they lie, their samples, and the notes that their tokens need.

A segment is up to `segment_frames` hops of audio, behind a lead-in. Its start is a sample; its tokens count
from the 10 ms step in which that sample lies, as they do in MT3's tasks and in transcription.

As in MT3, segments are drawn from pieces of a recording, 2000 frames each, the last one shorter. On a grid
of 160 samples starts and steps agree; on one of 128, a hop of MT3's front end, segments are those that MT3
draws, each as likely.

Source: T5 `preprocessors.py` (`split_tokens`, `select_random_chunk`), with MT3's arguments.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from mt3x.data.pipeline.pitch_shift import playback_rate, shift_audio, shift_notes
from mt3x.data.records.array_records import StoredRecording
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import Granularity, map_programs
from mt3x.music.timegrid import num_frames

_ROUNDING_SECONDS = 0.02
"""Rounding of the start and of events to steps can bring an event into a segment from this far outside."""


@dataclasses.dataclass(frozen=True)
class SegmentSizes:
    """How segments are cut; all but frames in samples at `SAMPLE_RATE`.

    Attributes:
      segment_frames: frames that the network reads at once; hop_samples: length of one.
      lead_samples: audio before the segment that goes with it, in which notes and rooms already sound.
      grid_samples: starts are multiples of this, or where a piece begins; 160 is a step of the tokens, 10 ms.
      piece_frames: length of the pieces of a recording, from each of which one segment is drawn in an epoch.

    Raises:
      ValueError: a size below 1, or a lead-in below 0.
    """

    segment_frames: int = 256
    hop_samples: int = 128
    lead_samples: int = 0
    grid_samples: int = SAMPLE_RATE // 100
    piece_frames: int = 2000

    def __post_init__(self) -> None:
        check_at_least(
            1,
            segment_frames=self.segment_frames,
            hop_samples=self.hop_samples,
            grid_samples=self.grid_samples,
            piece_frames=self.piece_frames,
        )
        check_at_least(0, lead_samples=self.lead_samples)

    @property
    def segment_samples(self) -> int:
        """N, samples of a segment without its lead-in."""
        return self.segment_frames * self.hop_samples


class Cut(NamedTuple):
    """One segment of some stems of a recording.

    Attributes:
      samples: float32 [L + N], lead-in and segment; zeros after its frames, and where the recording has
        nothing.
      num_frames: frames of the segment that lie in the recording, as transcription counts them.
      notes: `NOTE_DTYPE` [K] in the recording's time: what sounds in the segment, and the earlier notes of
        the same pitches, without which it could not be told which notes are held.
      start_seconds, end_seconds: of the segment.
      is_last: the recording ends within the segment.
    """

    samples: np.ndarray
    num_frames: int
    notes: np.ndarray
    start_seconds: float
    end_seconds: float
    is_last: bool


def count_pieces(lengths: np.ndarray, sizes: SegmentSizes) -> np.ndarray:
    """Pieces of recordings with so many samples: int64 [R] of int64 [R], at least 1 each."""
    return -(-(lengths // sizes.hop_samples + 1) // sizes.piece_frames)


def draw_segment(
    rng: np.random.Generator, num_samples: int, piece: int, sizes: SegmentSizes
) -> tuple[int, int]:
    """A random segment of a piece, by number: its first sample, and how many frames it has.

    What is drawn may begin before the piece or end after it, and is cut off there: every frame is as likely
    to be heard as any other.
    """
    hop, grid = sizes.hop_samples, sizes.grid_samples
    first = piece * sizes.piece_frames * hop
    end = min(first + sizes.piece_frames * hop, num_frames(num_samples, hop) * hop)
    lowest, beyond = first - sizes.segment_samples + 1, min(end, num_samples + 1)
    drawn = grid * int(rng.integers(-(-lowest // grid), -(-beyond // grid)))
    start, stop = max(drawn, first), min(drawn + sizes.segment_samples, end)
    return start, -(-(stop - start) // hop)


def cut(
    stored: StoredRecording,
    stems: tuple[int, ...],
    start: int,
    sizes: SegmentSizes,
    granularity: Granularity = Granularity.FULL,
    semitones: int = 0,
    frames: int | None = None,
) -> Cut:
    """The segment of summed stems that starts at a sample within the recording.

    Args:
      stems: at least one, by number.
      semitones: shifts all stems without drums (`data.pipeline.pitch_shift`), about the segment's start.
      frames: of the segment, if fewer than `segment_frames`.

    Raises:
      ValueError: a note would leave 0..127.
    """
    start_seconds = start / SAMPLE_RATE
    frames = sizes.segment_frames if frames is None else frames
    length = frames * sizes.hop_samples
    samples = np.zeros(sizes.lead_samples + sizes.segment_samples, np.float32)
    notes, remaining = [], 0
    for shift, group in _by_shift(stored, stems, semitones):
        rate = playback_rate(shift)
        begin = start - round(sizes.lead_samples * rate / SAMPLE_RATE)
        end = start + -(-length * rate // SAMPLE_RATE)
        audio = np.sum([padded_samples(stored, stem, begin, end) for stem in group], axis=0)
        heard = shift_audio(audio, shift)[: sizes.lead_samples + length]
        samples[: len(heard)] += heard
        notes += [shift_notes(stored.notes[stem], shift, start_seconds) for stem in group]
        remaining = max(remaining, (stored.num_samples - start) * SAMPLE_RATE // rate)
    end_seconds = (start + length) / SAMPLE_RATE
    return Cut(
        samples,
        min(num_frames(remaining, sizes.hop_samples), frames),
        notes_for_segment(np.concatenate(notes), start_seconds, end_seconds, granularity),
        start_seconds,
        end_seconds,
        remaining < length,
    )


def _by_shift(stored: StoredRecording, stems: tuple[int, ...], semitones: int) -> list[tuple[int, list[int]]]:
    """Stems in groups of one shift each, drums apart."""
    groups: dict[int, list[int]] = {}
    for stem in stems:
        shift = 0 if stored.notes[stem]["is_drum"].any() else semitones
        groups.setdefault(shift, []).append(stem)
    return list(groups.items())


def padded_samples(stored: StoredRecording, stem: int, start: int, stop: int) -> np.ndarray:
    """Samples of a stem, zeros before the recording's beginning and after its end: float32 [stop - start]."""
    samples = np.zeros(stop - start, np.float32)
    first, last = max(start, 0), min(stop, stored.num_samples)
    if first < last:
        samples[first - start : last - start] = stored.samples(stem, first, last)
    return samples


def notes_for_segment(
    notes: np.ndarray, start_seconds: float, end_seconds: float, granularity: Granularity
) -> np.ndarray:
    """Those notes of a recording without which the segment's tokens would not be the same.

    That is every note up to the segment's end whose pitch and instrument (as coarse as `granularity`) sound
    in it: trimming overlaps and telling held notes asks for the earlier ones, too.
    """
    begun = notes[notes["start"] < end_seconds + _ROUNDING_SECONDS]
    instruments = np.where(begun["is_drum"], 128, map_programs(begun["program"], granularity))
    keys = 128 * instruments + begun["pitch"]
    is_wanted = np.zeros(128 * 129, bool)
    is_wanted[keys[begun["end"] > start_seconds - _ROUNDING_SECONDS]] = True
    return begun[is_wanted[keys]]


def is_heard(notes: np.ndarray, start_seconds: float, end_seconds: float) -> np.ndarray:
    """Which notes sound between two times: bool [K]."""
    return (notes["end"] > start_seconds) & (notes["start"] < end_seconds)
