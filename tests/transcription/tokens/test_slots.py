"""Slots against T5X's search on stored networks, rows begun at different times."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from mt3x.model.config import TINY
from mt3x.model.decoding import decoding_weights
from mt3x.model.policies import Beam, Greedy
from mt3x.model.transformer import Transformer
from mt3x.transcription.devices import share_segments
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.slots import STEPS, Search, advance, best_ids, empty_slots, fill, resized

GOLDEN = Path(__file__).parents[2] / "golden"
NETWORKS = json.loads((GOLDEN / "decode_network.json").read_text())["variants"]
CONFIG = TranscriptionConfig(network=TINY, max_target_length=48)
SLOTS = (4, 0, 2)


def parameters(variant):
    """Of a variant of decode_network.json, by the rule in its note."""
    file = {"init": "tiny_params.npz", "step3": "tiny_params_step3.npz"}[variant["params"]]
    flat = dict(np.load(GOLDEN / file))
    kernel = flat["decoder/logits_dense/kernel"] * np.float32(variant["logits_scale"])
    kernel[:, 1] *= np.float32(variant["eos_col_scale"])
    return unflatten_dict({**flat, "decoder/logits_dense/kernel": kernel}, sep="/")


@jax.jit
def encode(params, frames):
    def project(model, frames):
        return model.project_memory(model.encode(frames)).layers

    return Transformer(TINY).apply({"params": params}, frames, method=project)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        pytest.param("greedy", Greedy(), marks=pytest.mark.slow),
        ("beam1", Beam(1)),
        pytest.param("beam4", Beam(4), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_slots_equal_t5x_on_the_tiny_network(name, policy):
    assert len(NETWORKS) == 10
    search = Search(CONFIG, policy, share_segments(1, 1, 1)[1])
    frames = np.load(GOLDEN / "tiny_forward.npz")["encoder_input_tokens"]
    for variant in NETWORKS:
        params = parameters(variant)
        memory = encode(params, frames)
        weights = decoding_weights(TINY, params["decoder"], CONFIG.max_target_length)
        slots = empty_slots(search, 5, 16)
        is_active, found, length = np.zeros(5, bool), {}, 16
        for look in range(60):
            if look < 3:  # one segment begins at each of the first looks
                slots = fill(search, slots, memory, np.array([look]), np.array([SLOTS[look]]))
                is_active[SLOTS[look]] = True
            if is_active.any() and np.asarray(slots.positions)[is_active].max() >= length:
                length = 48
                slots = slots._replace(cache=resized(length, slots.cache))
            slots, is_done, num_steps = advance(search, weights, slots, is_active)
            assert 0 <= int(num_steps[0]) <= STEPS
            for slot in np.flatnonzero(is_done).tolist():
                found[slot] = np.asarray(best_ids(search, slots))[slot]
                is_active[slot] = False
        expected = np.array(variant[name]["tokens"])[:, -1]  # T5X lists the best last
        np.testing.assert_array_equal([found[slot] for slot in SLOTS], expected)
