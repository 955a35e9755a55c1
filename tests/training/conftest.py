"""A training run so small that it takes a second, and the one compilation of its step."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import TransformerConfig
from mt3x.training.config import OptimizerConfig, TrainConfig
from mt3x.training.initialization import fresh_start
from mt3x.training.mesh import make_mesh, state_shardings
from mt3x.training.optimizer import make_optimizer
from mt3x.training.state import new_state
from mt3x.training.step import make_train_step
from mt3x.transcription.tokens.config import TranscriptionConfig


@dataclasses.dataclass(frozen=True)
class TinyRun:
    """Two segments to learn by heart in 20 steps; `step` is the jitted update, `params` where it starts."""

    config: TranscriptionConfig
    train_config: TrainConfig
    batch: dict[str, np.ndarray]
    prepare: Callable
    step: Callable
    params: dict


@pytest.fixture(scope="session")
def tiny_run() -> TinyRun:
    config = TranscriptionConfig(
        spectrogram=SpectrogramConfig(
            hop_width=256, num_mel_bins=64, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3
        ),
        network=TransformerConfig(
            emb_dim=160,
            num_heads=2,
            mlp_dim=64,
            num_encoder_layers=1,
            num_decoder_layers=1,
            input_depth=64,
            dropout_rate=0.1,
        ),
        segment_frames=32,
        max_target_length=32,
    )
    train_config = TrainConfig(
        total_steps=20,
        log_every=3,
        checkpoint_seconds=1e9,
        average_decay=0.9,
        optimizer=OptimizerConfig(learning_rate=1e-2, adam_learning_rate=1e-2, warmup_steps=3),
    )
    params = jax.tree.map(np.asarray, fresh_start(config, train_config).params)
    optimizer, mesh = make_optimizer(train_config), make_mesh()
    placement = state_shardings(jax.eval_shape(lambda: new_state(params, optimizer)), params, mesh)
    step = make_train_step(config, train_config, optimizer, add_noise, mesh, placement)
    return TinyRun(config, train_config, tones(config), add_noise, step, params)


def add_noise(key, batch, resources):
    return batch["samples"] + 1e-4 * jax.random.normal(key, batch["samples"].shape)


def tones(config: TranscriptionConfig) -> dict[str, np.ndarray]:
    """A batch of two segments with a tone each."""
    seconds = np.arange(config.segment_samples) / config.spectrogram.sample_rate
    return {
        "samples": 0.1 * np.stack([np.sin(2 * np.pi * hz * seconds) for hz in (440, 466)]).astype(np.float32),
        "num_frames": np.full(2, config.segment_frames, np.int32),
        "targets": np.array(
            [[1134, 13, 1133, 1072, 1, 0, 0, 0], [1134, 13, 1133, 1073, 43, 1, 0, 0]], np.int32
        ),
        "note_start": np.full((2, 1), 0.1, np.float32),
        "note_end": np.full((2, 1), 0.4, np.float32),
        "note_pitch": np.array([[69], [70]], np.int32),
        "note_velocity": np.full((2, 1), 100, np.int32),
        "note_program": np.zeros((2, 1), np.int32),
        "note_is_drum": np.zeros((2, 1), bool),
    }
