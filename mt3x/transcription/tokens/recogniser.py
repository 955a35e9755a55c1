"""The recogniser of models that write tokens: the decoding engine, and collectors of its tokens."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mt3x.transcription.recogniser import NOTES_ALONE, Request
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.collector import NoteCollector
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import Engine


class TokenRecogniser:
    """Decodes segments that follow each other without overlap; see `transcription.recogniser.Recogniser`.

    Attributes:
      engine: what decodes them.
    """

    lead_frames = tail_frames = 0
    knows_bends = knows_pedal = False

    def __init__(
        self,
        config: TranscriptionConfig,
        params: Mapping[str, Any],
        batch_size: int | None = None,
        mt3_compatible: bool = False,
        dtype: str | None = None,
    ):
        """Args and errors are those of `Engine`; mt3_compatible is for `NoteCollector`."""
        self.engine = Engine(config, params, batch_size, dtype)
        self._config, self._mt3_compatible = config, mt3_compatible

    def recognise(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, np.ndarray]]:
        """Each segment with its ids, as `Engine.decode`."""
        return self.engine.decode(segments)

    def new_collector(self, request: Request = NOTES_ALONE) -> NoteCollector:
        """A collector for a recording; tokens hold its notes alone, and no second choice of an instrument."""
        return NoteCollector(self._config, self._mt3_compatible)

    def new_tuning_tracker(self) -> None:
        """None: the network reads a recording as it is."""
