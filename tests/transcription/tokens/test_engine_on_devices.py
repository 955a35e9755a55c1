"""The same tokens on one device and on eight, each of which decodes a part of the slots."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mt3x.transcription.models import resolve_model
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.engine import Engine

RUN = """
import json, sys
sys.path.insert(0, sys.argv[2])
from mt3x.transcription.tokens import engine
from test_engine_on_devices import decode

groups, fill = [], engine._BatchGroup.fill

def note(group, encoded):
    fill(group, encoded)
    shards = group._slots.ids.addressable_shards
    groups.append([len(group._slots.ids), len(shards), len(shards[0].data)])

engine._BatchGroup.fill = note
found = {}
for batch_size, count in ((32, 40), (6, 3), (1, 3)):
    groups.clear()
    num_devices, ids = decode(sys.argv[1], batch_size, count)
    shapes = sorted(map(list, set(map(tuple, groups))))
    found[batch_size] = {"devices": num_devices, "ids": ids, "groups": shapes}
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


@pytest.mark.parametrize(("batch_size", "count"), [(32, 40), (6, 3), (1, 3)])
def test_several_devices_write_the_tokens_of_one(on_eight, small_model_folder, batch_size, count):
    num_devices, expected = decode(small_model_folder, batch_size, count)
    assert num_devices == 1 and any(expected)
    assert on_eight[str(batch_size)]["ids"] == expected


def test_slots_are_shared_by_as_many_devices_as_divide_them(on_eight):
    found = {size: (values["devices"], values["groups"]) for size, values in on_eight.items()}
    # Slots of a group, devices, slots of each.
    assert found == {"32": (8, [[32, 8, 4]]), "6": (6, [[6, 6, 1]]), "1": (1, [[1, 1, 1]])}
