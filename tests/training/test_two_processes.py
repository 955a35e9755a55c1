"""Two processes that find each other by `jax.distributed` train as one; one goes on from their checkpoint."""

import json
import os
import socket
import subprocess
import sys

import pytest

from mt3x.training.log import LOG_FILE

RUN = """
import sys
from pathlib import Path
import jax, numpy as np

directory, total_steps, address, count, index = sys.argv[1:]
count, index = int(count), int(index)
if count > 1:
    from mt3x.training.mesh import join_processes
    join_processes(address, count, index)

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import TransformerConfig
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.training.loop import Feed, train
from mt3x.training.config import OptimizerConfig, TrainConfig

config = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, num_mel_bins=64, log_floor=1e-5),
    network=TransformerConfig(
        emb_dim=32, num_heads=2, head_dim=16, mlp_dim=64, num_encoder_layers=1, num_decoder_layers=1,
        input_depth=64, dropout_rate=0.0,
    ),
    segment_frames=16,
    max_target_length=16,
)
training = TrainConfig(
    total_steps=int(total_steps), log_every=1, checkpoint_seconds=0.0, has_alignment_prior=False,
    average_decay=0.9, model_devices=2,
    optimizer=OptimizerConfig(warmup_steps=1, learning_rate=1e-2, adam_learning_rate=1e-2, decay_from=1.0),
)

class Batches:
    # Of a batch of 8 that depends on its number alone, this process's part.
    def __init__(self):
        self.number = 0

    def __next__(self):
        self.number += 1
        random = np.random.default_rng(self.number)
        targets = (np.arange(12) < random.integers(3, 12, (8, 1))) * random.integers(2, 1500, (8, 12))
        whole = {
            "samples": random.normal(0, 0.1, (8, config.segment_samples)).astype(np.float32),
            "num_frames": np.full(8, 16, np.int32),
            "targets": np.int32(targets),
            "note_start": np.full((8, 1), 0.05, np.float32),
            "note_end": np.full((8, 1), 0.2, np.float32),
            "note_pitch": random.integers(40, 80, (8, 1)).astype(np.int32),
            "note_velocity": np.full((8, 1), 100, np.int32),
            "note_program": np.zeros((8, 1), np.int32),
            "note_is_drum": np.zeros((8, 1), bool),
        }
        part = slice(index * 8 // count, (index + 1) * 8 // count)
        return {name: values[part] for name, values in whole.items()}

    def get_state(self):
        return {"number": self.number}

    def set_state(self, state):
        self.number = state["number"]

feed = Feed(Batches(), lambda key, batch, _: batch["samples"])
# The second process alone is told to stop, after its sixth step: both must.
told = lambda: count > 1 and index == 1 and feed.batches.number == 6
state = train(config, training, feed, Path(directory), should_stop=told)
print(jax.device_count(), int(state.step))
"""
STEPS = 10


def train(directory, processes):
    """Each process has two devices, which share the parameters."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(directory), str(STEPS), address, str(processes), str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for index in range(processes)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert [process.returncode for process in started] == [0] * processes, outputs
    last_lines = [output.splitlines()[-1] for output, _ in outputs]  # Gloo prints lines of its own
    return [[int(word) for word in line.split()] for line in last_lines]


@pytest.mark.slow
def test_two_processes_train_stop_and_go_on_together_with_the_losses_of_one(tmp_path):
    def losses(name):
        lines = (tmp_path / name / LOG_FILE).read_text().splitlines()
        return {line["step"]: line["loss"] for line in map(json.loads, lines)}

    assert train(tmp_path / "one", 1) == [[2, STEPS]]
    assert train(tmp_path / "two", 2) == [[4, 6], [4, 6]]
    assert train(tmp_path / "two", 2) == [[4, STEPS], [4, STEPS]]
    assert list(losses("two")) == list(range(1, STEPS + 1))
    # Sums in another order: float32 differs in the last digits, and Muon lets the difference grow.
    assert losses("two") == pytest.approx(losses("one"), rel=2e-3)
    # What both saved together, one process reads.
    assert train(tmp_path / "two", 1) == [[2, STEPS]]
