"""Sizes: presets are MT3's, bad sizes are named."""

import dataclasses

import pytest

from mt3x.model.config import BASE, PRESETS, SMALL, TINY, TransformerConfig


def test_small_preset_is_mt3s_and_the_default():
    assert TransformerConfig() == SMALL == PRESETS["small"]
    assert (SMALL.emb_dim, SMALL.num_heads, SMALL.mlp_dim, SMALL.num_decoder_layers) == (512, 6, 1024, 8)


def test_base_preset_has_t5_base_sizes():
    assert (BASE.emb_dim, BASE.num_heads, BASE.mlp_dim, BASE.num_encoder_layers) == (768, 12, 2048, 12)


def test_config_survives_json_lists():
    config = TransformerConfig(**{**dataclasses.asdict(TINY), "mlp_activations": ["gelu", "linear"]})
    assert config == TINY and hash(config) == hash(TINY)


@pytest.mark.parametrize(
    ("field", "value", "fix"),
    [
        ("num_heads", 0, "num_heads is 0; it must be at least 1"),
        ("emb_dim", 2, "at least 4"),
        ("emb_dim", 65, "even width"),
        ("dropout_rate", 1.0, r"rate in \[0, 1\)"),
        ("dtype", "float16", "float32, bfloat16"),
        ("attention", "flash", "plain, fused"),
        ("mlp_activations", ("tanh",), "one or more of gelu"),
        ("mlp_activations", (), "one or more of gelu"),
    ],
)
def test_bad_size_is_named_with_its_limit(field, value, fix):
    with pytest.raises(ValueError, match=fix):
        TransformerConfig(**{field: value})
