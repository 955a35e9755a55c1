"""What each of several processes takes of a batch."""

import pytest

from mt3x.data.pipeline.grain_pipeline import PipelineConfig
from mt3x.training.sources import sharing
from mt3x.training.sources.built import BuiltDatasets
from mt3x.transcription.tokens.config import TranscriptionConfig

MODEL = TranscriptionConfig(segment_frames=64, max_target_length=256)


def test_a_batch_that_cannot_be_divided_is_told(monkeypatch):
    monkeypatch.setattr(sharing, "this_process", lambda: (0, 4))
    source = BuiltDatasets("records", ("mine",), PipelineConfig(batch_size=6))
    message = "batch of 6 cannot be divided among 4 processes"
    with pytest.raises(ValueError, match=message), source.open(MODEL):
        pass
