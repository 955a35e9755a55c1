"""The event types of music transcription, and the ids that the network sees for them.

Two id spaces, two words: an *index* counts codec events from 0; an *id* is what the network reads and writes:
0 pads, 1 ends a sequence, 2 is unknown, then come the indexes (id = index + 3), then 100 unused extra ids.

Source: MT3 `vocabularies.py` (with seqio's and T5's defaults); arXiv 2111.03017, section 3.2.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from mt3x.music.checks import check_at_least
from mt3x.tokens.codec import Codec, EventRange

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
NUM_SPECIAL_IDS = 3
NUM_EXTRA_IDS = 100
"""T5's sentinels: never used here, but counted, so that embedding tables have T5X's shape."""

DECODED_EOS_ID = -1
DECODED_INVALID_ID = -2

MAX_MIDI_VELOCITY = 127
_EMBEDDING_ROWS_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class VocabularyConfig:
    """What the tokens can say.

    Attributes:
      steps_per_second: time resolution.
      max_shift_seconds: the longest shift of one token.
      num_velocity_bins: 127 keeps MIDI velocities; 1, as in MT3's multi-instrument models, only tells onsets
        from offsets.

    Raises:
      ValueError: a size is not positive, or there are more bins than velocities.
    """

    steps_per_second: int = 100
    max_shift_seconds: int = 10
    num_velocity_bins: int = 1

    def __post_init__(self):
        check_at_least(1, steps_per_second=self.steps_per_second, max_shift_seconds=self.max_shift_seconds)
        if not 1 <= self.num_velocity_bins <= MAX_MIDI_VELOCITY:
            raise ValueError(
                f"num_velocity_bins is {self.num_velocity_bins}; it must be within 1..{MAX_MIDI_VELOCITY}"
            )

    @property
    def abbrev_str(self) -> str:
        """What of this differs from MT3's default (100, 10, 127), for task names: "vb1" here by default."""
        parts = (("ss", self.steps_per_second, 100), ("ms", self.max_shift_seconds, 10))
        parts += (("vb", self.num_velocity_bins, 127),)
        return "".join(f"{letters}{value}" for letters, value, default in parts if value != default)


def build_codec(config: VocabularyConfig) -> Codec:
    """The codec of music transcription: shift, pitch, velocity, tie, program, drum.

    Velocity bin 0 marks offsets. The one "tie" event ends the list of held notes that opens a segment.
    """
    return Codec(
        max_shift_steps=config.steps_per_second * config.max_shift_seconds,
        steps_per_second=config.steps_per_second,
        event_ranges=(
            EventRange("pitch", 0, 127),
            EventRange("velocity", 0, config.num_velocity_bins),
            EventRange("tie", 0, 0),
            EventRange("program", 0, 127),
            EventRange("drum", 0, 127),
        ),
    )


def num_velocity_bins_from_codec(codec: Codec) -> int:
    """Velocity bins other than bin 0."""
    first, last = codec.event_type_range("velocity")
    return last - first


def velocity_to_bin(velocity: npt.ArrayLike, num_velocity_bins: int) -> np.ndarray:
    """Bins of MIDI velocities, rounded up: 0 for 0, else 1..num_velocity_bins. int32, same shape.

    >>> velocity_to_bin([0, 1, 64, 127], 1).tolist()
    [0, 1, 1, 1]
    """
    velocity = np.asarray(velocity, np.int32)
    return -(-num_velocity_bins * velocity // MAX_MIDI_VELOCITY)


def bin_to_velocity(velocity_bin: npt.ArrayLike, num_velocity_bins: int) -> np.ndarray:
    """The greatest MIDI velocity of each bin: int32, same shape."""
    return MAX_MIDI_VELOCITY * np.asarray(velocity_bin, np.int32) // num_velocity_bins


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Indexes to ids and back.

    >>> vocabulary = Vocabulary(num_indexes=1388)
    >>> vocabulary.encode([0, 1387]).tolist(), vocabulary.decode([3, 2, 1, 5]).tolist()
    ([3, 1390], [0, -2, -1, -1])
    """

    num_indexes: int
    num_extra_ids: int = NUM_EXTRA_IDS

    @property
    def vocab_size(self) -> int:
        """Ids in use: special, regular and extra ones."""
        return NUM_SPECIAL_IDS + self.num_indexes + self.num_extra_ids

    def encode(self, indexes: npt.ArrayLike) -> np.ndarray:
        """Ids of codec indexes, without end or padding: int32, same shape.

        Raises:
          ValueError: an index is outside the codec.
        """
        indexes = np.asarray(indexes, np.int32)
        bad = (indexes < 0) | (indexes >= self.num_indexes)
        if bad.any():
            raise ValueError(f"index {indexes[bad][0]} does not exist; indexes are 0..{self.num_indexes - 1}")
        return indexes + np.int32(NUM_SPECIAL_IDS)

    def decode(self, ids: npt.ArrayLike) -> np.ndarray:
        """Codec indexes of ids; never raises on values, which a network may choose freely.

        Args:
          ids: int [..., T].

        Returns:
          int32 [..., T]: `DECODED_EOS_ID` from the first end on, `DECODED_INVALID_ID` for padding, unknown
          and extra ids.
        """
        ids = np.asarray(ids, np.int64)
        regular = (ids >= NUM_SPECIAL_IDS) & (ids < NUM_SPECIAL_IDS + self.num_indexes)
        indexes = np.where(regular, ids - NUM_SPECIAL_IDS, DECODED_INVALID_ID)
        ended = np.logical_or.accumulate(ids == EOS_ID, axis=-1)
        return np.where(ended, DECODED_EOS_ID, indexes).astype(np.int32)


def vocabulary_from_codec(codec: Codec) -> Vocabulary:
    """The vocabulary that holds a codec's indexes."""
    return Vocabulary(codec.num_classes)


def num_embeddings(vocabulary: Vocabulary) -> int:
    """Rows of the embedding table: the vocabulary's size, rounded up to a multiple of 128."""
    return -(-vocabulary.vocab_size // _EMBEDDING_ROWS_MULTIPLE) * _EMBEDDING_ROWS_MULTIPLE


def trim_eos(indexes: npt.ArrayLike) -> np.ndarray:
    """What stands before the first `DECODED_EOS_ID`: int32 [T'] of int [T]."""
    indexes = np.asarray(indexes, np.int32)
    ends = np.flatnonzero(indexes == DECODED_EOS_ID)
    return indexes[: ends[0]] if len(ends) else indexes
