"""A freshly primed network attends where the prior says."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from mt3x.model.alignment_prior import NUM_CLOCKS, apply_alignment_prior
from mt3x.model.config import TransformerConfig
from mt3x.model.transformer import Transformer

CONFIG = TransformerConfig(
    vocab_size=256,
    emb_dim=160,
    num_heads=3,
    mlp_dim=32,
    num_encoder_layers=2,
    num_decoder_layers=2,
    input_depth=24,
    dropout_rate=0.0,
)
FIRST_SHIFT_ID = 3
SHIFT_FRAMES = np.arange(201) * 0.625  # 10 ms steps, 16 ms frames
NUM_FRAMES = 96
PITCH, VELOCITY = 220, 240

# Start, a note at 0, shift to 0.30 s, a chord, shift to 0.31 s, one note, shift to 1.20 s, a long chord.
IDS = [0, VELOCITY, PITCH, 33, PITCH, PITCH + 4, PITCH + 7, 34, PITCH, 123, *range(PITCH, PITCH + 9)]
NAMED_STEPS = [0] * 3 + [30] * 4 + [31] * 2 + [120] * 10
LATEST_SHIFT = [0] * 3 + [3] * 4 + [7] * 2 + [9] * 10


@pytest.fixture(scope="module")
def fresh():
    inputs, ids = np.zeros((1, 8, CONFIG.input_depth), np.float32), np.zeros((1, 4), np.int32)
    params = jax.jit(Transformer(CONFIG).init)(jax.random.key(0), inputs, ids)["params"]
    return jax.tree.map(np.asarray, params)


@pytest.fixture(scope="module")
def primed(fresh):
    return apply_alignment_prior(fresh, CONFIG, FIRST_SHIFT_ID, SHIFT_FRAMES)


@pytest.fixture(scope="module")
def attention(primed):
    """Attention weights [H, Q, S] as they are computed: two of the encoder, then self and cross by turns.

    The frames are about equally loud: of two frames the quieter draws more attention, by up to a frame's
    distance.
    """
    frames = np.random.default_rng(0).uniform(0.9, 1.1, (1, NUM_FRAMES, CONFIG.input_depth))

    @jax.jit
    def run(params, frames, ids):
        weights = []

        def softmax(scores):
            weights.append(jax.nn.softmax(scores))
            return weights[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nn, "softmax", softmax)
            Transformer(CONFIG).apply({"params": params}, frames, ids)
        return [w[0] for w in weights]

    return [np.asarray(w) for w in run(primed, frames.astype(np.float32), np.array([IDS], np.int32))]


def looked_at(weights):
    """The mean frame that each query attends to, [Q]."""
    return weights @ np.arange(weights.shape[-1])


@pytest.mark.parametrize(
    ("layer", "head", "offset"), [(0, 0, -6), (0, 1, -3), (0, 2, 2), (1, 0, -4), (1, 2, 4)]
)
def test_encoder_heads_look_at_a_fixed_distance(attention, layer, head, offset):
    inner = np.arange(10, NUM_FRAMES - 10)
    seen = looked_at(attention[layer][head])[inner] - inner
    assert np.abs(seen - offset).max() < 0.5


def test_the_first_decoder_head_looks_at_the_latest_shift(attention):
    weights = attention[2][0]
    assert weights[np.arange(len(IDS)), LATEST_SHIFT].min() > 0.8


@pytest.mark.parametrize(("layer", "head", "offset"), [(0, 0, 0), (0, 1, 2), (1, 0, 0), (1, 1, -2)])
def test_cross_attention_looks_at_the_frame_that_the_latest_shift_names(attention, layer, head, offset):
    frames = np.array(NAMED_STEPS) * 0.625 + offset
    seen = looked_at(attention[2 + 2 * layer + 1][head])
    inside = frames >= 0
    # Half a frame, as attention is sharp and shifts name times between frames; the rest is loudness.
    assert np.abs(seen - frames)[inside].max() < 0.75


def test_heads_without_a_task_look_everywhere(attention):
    weights = attention[3][2]  # the third cross-attention head
    assert weights.max() < 0.5


def test_only_weights_change_and_the_fresh_ones_stay(fresh, primed):
    assert jax.tree.structure(fresh) == jax.tree.structure(primed)
    shapes = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, fresh, primed)
    assert jax.tree.all(shapes)
    assert np.abs(fresh["decoder"]["token_embedder"]["embedding"][:, :NUM_CLOCKS]).max() > 0  # not written to
    for name in ("mlp", "pre_mlp_layer_norm"):
        same = jax.tree.map(
            np.array_equal, fresh["decoder"]["layers_0"][name], primed["decoder"]["layers_0"][name]
        )
        assert jax.tree.all(same) == (name != "mlp")
    assert np.array_equal(
        fresh["decoder"]["logits_dense"]["kernel"], primed["decoder"]["logits_dense"]["kernel"]
    )


def test_nothing_in_the_encoder_writes_to_its_clock(primed):
    half = CONFIG.emb_dim // 2
    clock = [*range(NUM_CLOCKS), *range(half, half + NUM_CLOCKS)]
    encoder = primed["encoder"]
    for kernel in (
        encoder["continuous_inputs_projection"]["kernel"],
        *(encoder[f"layers_{n}"]["attention"]["out"]["kernel"] for n in range(2)),
        *(encoder[f"layers_{n}"]["mlp"]["wo"]["kernel"] for n in range(2)),
    ):
        assert not kernel[:, clock].any()
        assert np.delete(kernel, clock, axis=1).all()


@pytest.mark.parametrize("sizes", [{"head_dim": 32}, {"emb_dim": 158}])
def test_a_network_of_other_sizes_is_refused(fresh, sizes):
    config = TransformerConfig(**{"emb_dim": 160, **sizes})
    message = f"head_dim 64 and emb_dim >= 160, got {config.head_dim} and {config.emb_dim}"
    with pytest.raises(ValueError, match=message):
        apply_alignment_prior(fresh, config, FIRST_SHIFT_ID, SHIFT_FRAMES)
