"""What a file of sound consists of: one part, or several that were joined, and what each is known to lack."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Samples:
    """How plain samples are written, in libsndfile's words."""

    sample_rate: int
    num_channels: int
    subtype: str
    endian: Literal["LITTLE", "BIG"]


@dataclasses.dataclass(frozen=True)
class Part:
    """Bytes that one decoder reads from their beginning to their end.

    Attributes:
      start, end: the first byte, and the one after the last.
      samples: how they are to be read where they are plain samples without a header that can be trusted.
      is_regular: whether libsndfile may try them; else FFmpeg reads them.
      missing: in words, what they are known to lack.
      num_frames: sample frames in them, where they were counted.
    """

    start: int
    end: int
    samples: Samples | None = None
    is_regular: bool = True
    missing: str | None = None
    num_frames: int | None = None
