"""What a data set's reader tells about a release: its items, and each item's audio and notes.

A reader lists the items of a release cheaply (`items`), then reads one at a time (`read`), so that builds run
in many processes and go on after a kill. Times are in seconds from the recording's start.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from mt3x.music.notes import validate_notes

SAMPLE_RATE = 16000
"""Of all audio in records, in Hz: what MT3's front end reads."""

Report = Callable[[str, str], None]
"""(file, reason): something was left out or mended; the build goes on."""


class DataError(ValueError):
    """An item cannot be used; the message names the file, what is wrong and, if there is one, the fix."""


def check_sample_rate(sample_rate: int) -> None:
    """Raises ValueError if a model with this sample rate cannot read records as they are."""
    if sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"the model reads {sample_rate} samples a second, but data sets hold {SAMPLE_RATE}; set "
            f"sample_rate of its front end (SpectrogramConfig or SpectraConfig) to {SAMPLE_RATE}"
        )


@dataclasses.dataclass(frozen=True)
class Item:
    """One recording of a release, before it is read.

    Attributes:
      id: unique in the data set, and as stable as the release.
      split: "train", "validation" or "test".
      files: paths relative to the release's folder, in an order that the reader knows; "" is the source
        itself, where that is a file.
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

    A frozen dataclass, whose fields are its options: `repr` shows them, and a build that was made with others
    is made again.
    """

    @property
    def name(self) -> str:
        """The data set's name in MT3's task names, such as "maestrov3"."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that the release has."""
        ...

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


def check_recording(recording: Recording, item: Item) -> Recording:
    """The same recording, if it is what `read` promises of `item`.

    Raises:
      DataError: it is not; says how.
    """
    found, wanted = (recording.id, recording.split), (item.id, item.split)
    if found != wanted:
        raise DataError(f"{item.id}: was read as {found}; it must be {wanted}")
    if not recording.stems:
        raise DataError(f"{item.id}: has no stems; at least one is needed")
    lengths = {len(stem.samples) for stem in recording.stems}
    if len(lengths) > 1 or 0 in lengths:
        raise DataError(f"{item.id}: stems have {sorted(lengths)} samples; all must have one length above 0")
    for stem in recording.stems:
        _check_stem(stem, item.id)
    stem_numbers = set(range(len(recording.stems)))
    if not recording.mixes or not all(mix and set(mix) <= stem_numbers for mix in recording.mixes):
        raise DataError(
            f"{item.id}: mixes are {recording.mixes}; each must name some of {len(recording.stems)} stems"
        )
    return recording


def _check_stem(stem: Stem, item_id: str) -> None:
    where = f"{item_id}, stem {stem.name!r}"
    if stem.samples.dtype != np.float32 or stem.samples.ndim != 1:
        found = f"{stem.samples.dtype} {list(stem.samples.shape)}"
        raise DataError(f"{where}: samples are {found}; they must be float32 [N]")
    if not np.isfinite(stem.samples).all():
        raise DataError(f"{where}: some samples are not finite; all must be")
    try:
        validate_notes(stem.notes)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    if (np.diff(stem.notes["start"]) < 0).any():
        raise DataError(f"{where}: notes are not sorted by their start; use sort_notes")
    seconds = len(stem.samples) / SAMPLE_RATE
    if len(stem.notes) and (last := stem.notes["end"].max()) > seconds:
        raise DataError(f"{where}: a note ends at {last} s, after the audio's {seconds} s; cut it there")
