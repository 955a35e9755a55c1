"""What the transcriber asks of a recogniser, of whichever kind.

A recogniser predicts, segment by segment; a collector makes the notes of one recording from the predictions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from mt3x.audio.tuning import TuningTracker
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.segment import Segment


@dataclass(frozen=True)
class Request:
    """What is asked for of a recording, beside its notes.

    Attributes:
      bends: how each note bends.
      pedal: when the sustain pedal is down.
      keep_all: that instruments are kept with a few notes that another one explains.
    """

    bends: bool = False
    pedal: bool = False
    keep_all: bool = True


NOTES_ALONE = Request()


class Collected(NamedTuple):
    """What a recording's predictions came to.

    Attributes:
      notes: `NOTE_DTYPE` [N], sorted, those that were not taken before.
      report: tokens that could not be used; none of a recogniser that writes none.
      bends: of the notes, float32 [K, 2] each (`Transcription.bends`); None where they are not followed.
      pedal: float64 [K, 2] (`Transcription.pedal`); None where it is not followed, or no piano plays.
      num_cut: segments whose prediction ended before it was complete.
    """

    notes: np.ndarray
    report: DecodeReport
    bends: tuple[np.ndarray, ...] | None = None
    pedal: np.ndarray | None = None
    num_cut: int = 0


class Collector(Protocol):
    """Makes notes from what is predicted of one recording's segments, in order."""

    def add(self, segment: Segment, predicted: Any, /) -> None:
        """Adds the next segment."""
        ...

    def take_final(self) -> np.ndarray:
        """The notes that have become final since the last call, sorted; more segments may follow."""
        ...

    def finish(self) -> Collected:
        """Everything else; no segment may follow."""
        ...


class Recogniser(Protocol):
    """A network that is ready to predict.

    Attributes:
      lead_frames, tail_frames: of each segment, frames at its beginning and its end that its neighbours
        decide on; neighbours overlap by both.
      knows_bends, knows_pedal: whether its collectors can follow bends, and the sustain pedal.
    """

    @property
    def lead_frames(self) -> int: ...

    @property
    def tail_frames(self) -> int: ...

    @property
    def knows_bends(self) -> bool: ...

    @property
    def knows_pedal(self) -> bool: ...

    def recognise(self, segments: Iterable[Segment], /) -> Iterator[tuple[Segment, Any]]:
        """Each segment with what is predicted of it, for the collector of its recording; in order."""
        ...

    def new_collector(self, request: Request, /) -> Collector:
        """A collector for a recording; nothing is asked for that it does not know."""
        ...

    def new_tuning_tracker(self) -> TuningTracker | None:
        """What follows a recording's tuning, where the network reads it."""
        ...
