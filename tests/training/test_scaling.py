"""The same run on one device, on eight that share the batch, and on four times two that share parameters."""

import json
import os
import subprocess
import sys

import pytest

RUN = """
import json, sys
import jax, numpy as np
from mt3x.audio.logfrequency import SpectraConfig
from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import TransformerConfig
from mt3x.model.trunk import TrunkConfig
from mt3x.transcription.frames.config import FrameConfig
from mt3x.training.frame_loss import FrameLossConfig
from mt3x.training.mesh import make_mesh, replicate, split_batch, state_shardings
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.training.initialization import fresh_start
from mt3x.training.optimizer import make_optimizer
from mt3x.training.state import new_state
from mt3x.training.step import make_train_step
from mt3x.training.config import LossConfig, OptimizerConfig, TrainConfig

model_devices, num_microbatches, has_remat, is_frames = json.loads(sys.argv[1])
config = FrameConfig(
    spectra=SpectraConfig(drum_bands=16),
    network=TrunkConfig(4, 1, 4, 3, 4, 8, drum_channels=(2, 3), drum_width=8),
    segment_frames=16, lead_frames=2, tail_frames=2, num_candidates=6,
) if is_frames else TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, num_mel_bins=64, log_floor=1e-5),
    network=TransformerConfig(
        emb_dim=32, num_heads=2, head_dim=16, mlp_dim=64, num_encoder_layers=1, num_decoder_layers=1,
        input_depth=64, dropout_rate=0.0,
    ),
    segment_frames=16,
    max_target_length=16,
)
training = TrainConfig(
    total_steps=10, has_alignment_prior=False, model_devices=model_devices,
    num_microbatches=num_microbatches, has_remat=has_remat,
    loss=FrameLossConfig() if is_frames else LossConfig(),
    optimizer=OptimizerConfig(warmup_steps=1, learning_rate=1e-2, adam_learning_rate=1e-2),
)
random = np.random.default_rng(0)
batch = {
    "samples": random.normal(0, 0.1, (16, config.segment_samples)).astype(np.float32),
    "num_frames": np.full(16, 16, np.int32),
    "targets": np.int32(
        (np.arange(12) < random.integers(3, 12, (16, 1))) * random.integers(2, 1500, (16, 12))
    ),
    "note_start": np.full((16, 1), 0.05, np.float32),
    "note_end": np.full((16, 1), 0.2, np.float32),
    "note_pitch": random.integers(40, 80, (16, 1)).astype(np.int32),
    "note_velocity": np.full((16, 1), 100, np.int32),
    "note_program": np.zeros((16, 1), np.int32),
    "note_is_drum": np.zeros((16, 1), bool),
}
mesh, optimizer = make_mesh(model_devices), make_optimizer(training)
params = fresh_start(config, training).params
state = new_state(params, optimizer)
placement = state_shardings(state, params, mesh)
state = jax.device_put(state, placement)
step = make_train_step(config, training, optimizer, lambda key, batch, _: batch["samples"], mesh, placement)
key, lines = replicate(jax.random.key(0), mesh), []
for _ in range(5):
    state, measured = step(state, split_batch(batch, mesh), key, None)
    lines.append({name: float(value) for name, value in measured.items()})
network = state.params["network"]
if is_frames:
    kernel = network["trunk"]["block_0"]["first"]
else:
    kernel = network["encoder"]["layers_0"]["mlp"]["wi_0"]["kernel"]
momenta = [
    leaf for leaf in jax.tree.leaves(state.optimizer_state) if leaf.shape == kernel.shape
]
parts = sorted({str(leaf.sharding.spec) for leaf in (kernel, *momenta)})
print(json.dumps({"lines": lines, "shard": kernel.addressable_shards[0].data.shape, "parts": parts}))
"""


def run(devices, model_devices=1, num_microbatches=1, has_remat=False, is_frames=False):
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    arguments = json.dumps([model_devices, num_microbatches, has_remat, is_frames])
    done = subprocess.run(
        [sys.executable, "-c", RUN, arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone():
    return run(1)


def assert_same_losses(result, alone):
    for line, expected in zip(result["lines"], alone["lines"], strict=True):
        # Sums in another order: float32 differs in the last digits, and Muon lets the difference grow.
        assert line == pytest.approx(expected, rel=2e-3)
    assert result["lines"][0] == pytest.approx(alone["lines"][0], rel=1e-5)


@pytest.mark.slow
def test_one_device_learns(alone):
    assert alone["lines"][-1]["loss"] < alone["lines"][0]["loss"]
    assert alone["shard"] == [32, 64]


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "model_devices", "shard"), [(8, 1, [32, 64]), (8, 2, [32, 32])])
def test_eight_devices_have_the_losses_of_one(alone, devices, model_devices, shard):
    result = run(devices, model_devices)
    assert_same_losses(result, alone)
    assert result["shard"] == shard
    assert len(result["parts"]) == 1  # what the optimizer keeps of a kernel lies as the kernel does


@pytest.mark.slow
def test_microbatches_and_remat_have_the_losses_of_one_batch(alone):
    assert_same_losses(run(2, num_microbatches=4, has_remat=True), alone)


@pytest.mark.slow
def test_four_devices_that_share_a_frame_recogniser_s_batch_have_the_losses_of_one():
    alone, shared = run(1, is_frames=True), run(4, is_frames=True)
    assert alone["lines"][-1]["loss"] < alone["lines"][0]["loss"]
    assert_same_losses(shared, alone)
