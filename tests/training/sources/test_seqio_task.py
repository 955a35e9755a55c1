"""Seqio tasks as a run's source: which models they are for."""

import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.training.sources.seqio_task import SeqioTask
from mt3x.transcription.tokens.config import TranscriptionConfig

pytest.importorskip("seqio")


def test_a_model_of_another_sample_rate_is_refused():
    model = TranscriptionConfig(spectrogram=SpectrogramConfig(sample_rate=22050))
    message = "reads 22050 samples a second, but data sets hold 16000; set sample_rate .* to 16000"
    with pytest.raises(ValueError, match=message), SeqioTask("mine", "records", batch_size=6).open(model):
        pass
