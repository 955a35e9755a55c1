"""What a data set's reader tells about a release: its items, and each item's audio and notes.

A reader lists the items of a release cheaply (`items`), then reads one at a time (`read`), so that builds run
in many processes and go on after a kill. Times are in seconds from the recording's start.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

SAMPLE_RATE = 16000
"""Of all audio in records, in Hz: what MT3's front end reads."""

Report = Callable[[str, str], None]
"""(file, reason): something was left out or mended; the build goes on."""


class DataError(ValueError):
    """An item cannot be used; the message names the file, what is wrong and, if there is one, the fix."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One recording of a release, before it is read.

    Attributes:
      id: unique in the data set, and as stable as the release.
      split: "train", "validation" or "test".
      files: paths relative to the release's folder, in an order that the reader knows.
    """

    id: str
    split: str
    files: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Stem:
    """Audio that is always heard together, and its notes: an instrument, or a whole mix.

    Attributes:
      name: the instrument's name, or "mix".
      samples: float32 [N], mono, `SAMPLE_RATE`.
      notes: `NOTE_DTYPE` [K], valid and sorted, programs set, no note past the audio's end.
    """

    name: str
    samples: np.ndarray
    notes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Recording:
    """One item, read.

    Attributes:
      id, split: the item's.
      stems: at least one, all of one length N.
      mixes: each the stems that are summed in one example, by number; a plain recording has ((0,),).
    """

    id: str
    split: str
    stems: tuple[Stem, ...]
    mixes: tuple[tuple[int, ...], ...] = ((0,),)


class Reader(Protocol):
    """One data set's release on disk.

    Attributes:
      name: the data set's name in MT3's task names, such as "maestrov3".
      splits: those that the release has.
    """

    name: str
    splits: tuple[str, ...]

    def items(self, source: Path, report: Report) -> list[Item]:
        """All items below `source`, in a stable order; files that are missing are reported.

        Raises:
          DataError: this is not the release's folder; says which folder to give.
        """
        ...

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        """One item.

        Raises:
          DataError: the item cannot be used.
        """
        ...
