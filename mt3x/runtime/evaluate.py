"""How well weights transcribe whole pieces: the transcription path, then the project's metrics.

Scores are means over pieces. Onset: 50 ms; offset: within 50 ms or 20 % of the duration; both blind to
instruments and for pitched notes only. Multi-instrument: program, onset and offset, by the model's own
granularity.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mt3x.metrics.instruments import program_scores
from mt3x.metrics.notes import note_scores
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.transcriber import Transcriber


class Piece(NamedTuple):
    """A recording, float32 [N], and the notes that it holds."""

    samples: np.ndarray
    sample_rate: int
    notes: np.ndarray


def evaluate_pieces(
    config: TranscriptionConfig, params: Mapping[str, Any], pieces: Iterable[Piece]
) -> dict[str, float]:
    """Means over the pieces of `onset_f1`, `onset_offset_f1` and `multi_instrument_f1`; nothing for none."""
    transcriber = Transcriber(config, params)
    lines = []
    for piece in pieces:
        notes = transcriber.transcribe(piece.samples, piece.sample_rate).notes
        pitched, heard = piece.notes[~piece.notes["is_drum"]], notes[~notes["is_drum"]]
        lines.append(
            {
                "onset_f1": note_scores(pitched, heard).f1,
                "onset_offset_f1": note_scores(pitched, heard, use_offsets=True).f1,
                "multi_instrument_f1": program_scores(piece.notes, notes, config.granularity).pooled.f1,
            }
        )
    return {name: float(np.mean([line[name] for line in lines])) for name in lines[0]} if lines else {}
