"""The same tokens on one device and on eight, each of which decodes its part of every batch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mt3x.runtime.engine import Engine, Segment
from mt3x.runtime.models import resolve_model

RUN = """
import json, sys
from types import SimpleNamespace
import numpy as np
sys.path.insert(0, sys.argv[2])
from mt3x.runtime import engine
from test_engine_on_devices import decode

folder, shapes, encode = sys.argv[1], [], engine._encode

def note(array):
    shapes.append([len(array), len(array.addressable_shards[0].data)])
    return array

engine._encode = lambda *arguments: note(encode(*arguments))
num_devices, ids = decode(folder, 8, count=11)
found = {"devices": num_devices, "ids": ids, "shapes": list(shapes)}
# How batches are shared, without a network.
engine._encode = lambda model, config, params, samples, num_frames: note(samples)
engine.search = lambda model, params, encoded, *_: SimpleNamespace(ids=np.zeros((len(encoded), 2), np.int32))
for batch_size in (16, 6, 1):
    shapes.clear()
    found[f"batches of {batch_size}"] = [decode(folder, batch_size, count=3)[0], *shapes]
print(json.dumps(found))
"""


def decode(folder, batch_size, count):
    """How many devices decode `count` segments, and their ids."""
    config, params, _ = resolve_model(folder)
    random = np.random.default_rng(5)
    samples = random.standard_normal((count, config.segment_samples)).astype(np.float32)
    samples *= np.exp(random.uniform(-4, 0, (count, 1))).astype(np.float32)
    engine = Engine(config, params, batch_size)
    segments = [Segment(row, config.segment_frames, 0) for row in samples]
    return engine.num_devices, [ids.tolist() for _, ids in engine.decode(segments)]


@pytest.fixture(scope="module")
def on_eight(small_model_folder):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    arguments = [str(small_model_folder), os.path.dirname(__file__)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_eight_devices_write_the_tokens_of_one(on_eight, small_model_folder):
    num_devices, expected = decode(small_model_folder, 8, count=11)
    assert num_devices == 1 and all(expected)
    assert on_eight["devices"] == 8
    assert on_eight["ids"] == expected
    # The second batch, of three, is filled up: one segment on each device.
    assert on_eight["shapes"] == [[8, 1], [8, 1]]


def test_batches_are_shared_by_as_many_devices_as_divide_them(on_eight):
    assert on_eight["batches of 16"] == [8, [8, 1]]
    assert on_eight["batches of 6"] == [6, [6, 1]]


def test_one_segment_at_a_time_needs_one_device(on_eight):
    assert on_eight["batches of 1"] == [1, [1, 1], [1, 1], [1, 1]]
