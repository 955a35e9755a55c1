"""How well weights transcribe: whole pieces by the transcription path, then the project's metrics.

Scores are means over pieces, so that a short piece counts as much as a long one. Onset: 50 ms; offset:
within 50 ms or 20 % of the duration; both blind to instruments and for pitched notes only. Multi-instrument:
program, onset and offset.

Source: MT3 `metrics.py`, for the names.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mt3x.metrics.instruments import evaluate, mean_scores
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, PAD_ID
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.result import Transcription
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import Engine
from mt3x.transcription.transcriber import Transcriber


class Piece(NamedTuple):
    """A recording, float32 [N], the notes that it holds, and its name in the data set."""

    samples: np.ndarray
    sample_rate: int
    notes: np.ndarray
    id: str = ""


def evaluate_pieces(
    config: ModelConfig, params: Mapping[str, Any], pieces: Iterable[Piece]
) -> dict[str, float]:
    """Means over the pieces of `onset_f1`, `onset_offset_f1` (not of a model of bare onsets) and
    `multi_instrument_f1` by the model's own granularity; nothing for no piece.
    """
    transcriber = Transcriber(config, params)
    scores = mean_scores(
        [
            piece_scores(piece, transcriber.transcribe(piece.samples, piece.sample_rate), config.spec)
            for piece in pieces
        ]
    )
    short = {
        "onset_f1": "Onset F1",
        "onset_offset_f1": "Onset + offset F1",
        "multi_instrument_f1": f"Onset + offset + program F1 ({config.granularity.value})",
    }
    return {name: scores[mt3_name] for name, mt3_name in short.items() if mt3_name in scores}


def piece_scores(piece: Piece, found: Transcription, spec: NoteSpec) -> dict[str, float]:
    """One piece's scores under MT3's names: those of `metrics.instruments.evaluate`, and how many tokens
    could not be used, "Invalid events" and "Dropped events".
    """
    return {
        "Invalid events": found.report.invalid_events,
        "Dropped events": found.report.dropped_events,
        **evaluate(piece.notes, found.notes, onsets_only=spec is NoteSpec.ONSETS),
    }


def make_predict_fn(
    config: TranscriptionConfig, params: Mapping[str, Any], batch_size: int | None = None
) -> Callable[..., list[tuple[int, np.ndarray]]]:
    """What `seqio.Evaluator.evaluate` wants as `predict_fn`, for evaluation tasks.

    It takes a dataset of (number, example), of which `raw_inputs` float32 [n], the samples of one segment,
    are looked at, and returns the numbers with ids int32 [T], zeros after the end token. Every segment is
    shown to the network, silence too, as T5X does.

    Raises:
      ValueError: batch_size is less than 1; in the call, a segment is longer than what the network reads.
    """
    engine = Engine(config, params, batch_size)
    hop_samples = config.spectrogram.hop_width

    def segment(samples: np.ndarray) -> Segment:
        num_frames = -(-len(samples) // hop_samples)
        if num_frames > config.segment_frames:
            raise ValueError(
                f"a segment has {num_frames} frames of {hop_samples} samples; the network reads "
                f"{config.segment_frames}: give this many as sequence_length['inputs']"
            )
        return Segment(np.pad(samples, (0, config.segment_samples - len(samples))), num_frames, 0)

    def padded(ids: np.ndarray) -> np.ndarray:
        filled = np.full(config.max_target_length, PAD_ID, np.int32)
        filled[: len(ids)] = ids
        filled[len(ids) : len(ids) + 1] = EOS_ID
        return filled

    def predict(dataset: Any, model_feature_shapes: Any = None) -> list[tuple[int, np.ndarray]]:
        numbers: list[int] = []

        def segments() -> Iterable[Segment]:
            for number, example in dataset.as_numpy_iterator():
                numbers.append(int(number))
                yield segment(example["raw_inputs"])

        found = [padded(ids) for _, ids in engine.decode(segments())]
        return list(zip(numbers, found, strict=True))

    return predict
