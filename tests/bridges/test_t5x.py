"""The bridge under T5X itself; without t5x, which no package registry has, all of this is skipped."""

import dataclasses
import json
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # T5X's, on what JAX will do away with
    models = pytest.importorskip("t5x.models")
    from t5x import (  # pyright: ignore[reportMissingImports]
        adafactor,
        decoding,
        partitioning,
        train_state,
        trainer,
    )

    from mt3x.bridges.t5x import (
        ContinuousInputsEncoderDecoderModel,
        axes_metadata,
        summarize_config,
    )

from mt3x.model.config import TINY
from mt3x.model.policies import Beam, Greedy
from mt3x.model.transformer import Transformer
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.parameters import parameter_shapes
from tests.model.reference_search import search

GOLDEN = Path(__file__).parents[1] / "golden"
TRAINED = json.loads((GOLDEN / "tiny_train.json").read_text())

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def promotion():
    """T5X adds arrays of different types and ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def model_of(config, **settings):
    optimizer = adafactor.Adafactor(
        decay_rate=0.8, step_offset=0, logical_factor_rules=adafactor.standard_logical_factor_rules()
    )
    return ContinuousInputsEncoderDecoderModel(config, optimizer, z_loss=1e-4, **settings)


@pytest.fixture(scope="module")
def tiny():
    """MT3's tiny network, the parameters and the batch that it was trained on under T5X."""
    params = unflatten_dict(dict(np.load(GOLDEN / "tiny_params.npz")), sep="/")
    batch = dict(np.load(GOLDEN / "tiny_forward.npz"))
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens", "decoder_loss_weights")
    network = dataclasses.replace(TINY, dropout_rate=0.0)
    return TranscriptionConfig(network=network), params, {name: jnp.asarray(batch[name]) for name in names}


def test_three_steps_of_t5x_have_the_losses_that_mt3_had(tiny):
    config, params, batch = tiny
    model = model_of(config)
    variables = {"params": params, "params_axes": axes_metadata(params)}
    state = train_state.FlaxOptimTrainState.create(model.optimizer_def, variables)
    step = jax.jit(
        lambda state: trainer.train_with_lr(
            state, batch, jnp.float32(1e-3), jax.random.PRNGKey(0), model, num_microbatches=None
        )
    )
    losses, measured = [], {}
    for _ in TRAINED["losses"]:
        state, measured = step(state)
        losses.append(float(measured["loss"].total))
    np.testing.assert_allclose(losses, TRAINED["losses"], rtol=1e-6)
    for name in ("effective_batch_size/encoder_input_tokens", "non_padding_fraction/decoder_target_tokens"):
        assert float(measured[name].compute()) == pytest.approx(TRAINED["mets"][name])


def test_frames_of_zeros_are_padding(tiny):
    config, params, batch = tiny
    frames = batch["encoder_input_tokens"].at[1:, 4:].set(0.0)
    _, measured = model_of(config).loss_fn(params, {**batch, "encoder_input_tokens": frames}, None)
    assert float(measured["effective_batch_size/encoder_input_tokens"].compute()) == len(frames)
    there = (frames.shape[1] + (len(frames) - 1) * 4) / (frames.shape[0] * frames.shape[1])
    assert float(measured["non_padding_fraction/encoder_input_tokens"].compute()) == pytest.approx(there)


def test_every_parameter_has_axes_that_t5x_knows():
    config = TranscriptionConfig(network=TINY)
    variables = model_of(config).get_initial_variables(jax.random.PRNGKey(0), {})
    assert {"/".join(path): leaf.shape for path, leaf in flatten_dict(variables["params"]).items()} == (
        parameter_shapes(TINY)
    )
    known = {name for name, _ in partitioning.standard_logical_axis_rules()}
    known &= set(adafactor.standard_logical_factor_rules())
    axes = {"/".join(path): leaf.names for path, leaf in flatten_dict(variables["params_axes"]).items()}
    assert set(axes) == {f"{name}_axes" for name in parameter_shapes(TINY)}
    for name, shape in parameter_shapes(TINY).items():
        assert len(axes[f"{name}_axes"]) == len(shape) and set(axes[f"{name}_axes"]) <= known, name


@pytest.mark.parametrize(
    ("policy", "decode_fn", "settings"),
    [
        (Beam(1), decoding.beam_search, {}),
        (Beam(3), decoding.beam_search, {}),
        (Greedy(), decoding.temperature_sample, {"temperature": 0.0}),
    ],
    ids=["beam 1", "beam 3", "greedy"],
)
def test_t5x_decodes_what_our_own_search_finds(small_model, policy, decode_fn, settings):
    config, params = small_model
    random = np.random.default_rng(1)
    frames = jnp.asarray(random.standard_normal((3, 32, config.network.input_depth)), jnp.float32)
    batch = {"encoder_input_tokens": frames, "decoder_input_tokens": jnp.zeros((3, 16), jnp.int32)}
    model = model_of(config, decode_fn=decode_fn)
    found, aux = jax.jit(
        lambda params, batch: model.predict_batch_with_aux(
            params, batch, jax.random.PRNGKey(0), dict(settings), num_decodes=policy.num_beams
        )
    )(params, batch)
    network = Transformer(config.network)
    encoded = network.apply({"params": params}, frames, method=Transformer.encode)
    expected = search(network, params, encoded, policy, 16)
    assert len({tuple(row) for row in expected.ids.tolist()}) > 1
    np.testing.assert_array_equal(found[:, :16], expected.ids)
    assert aux["scores"].shape == (3,)


def test_all_beams_come_back_on_demand(small_model):
    config, params = small_model
    model = model_of(config, default_decoder_params=models.DecoderParams(True, 2))
    frames = jnp.ones((1, 32, config.network.input_depth))
    batch = {"encoder_input_tokens": frames, "decoder_input_tokens": jnp.zeros((1, 4), jnp.int32)}
    found, aux = model.predict_batch_with_aux(params, batch)
    assert found.shape[:2] == aux["scores"].shape == (1, 2)


def test_prompts_are_refused(tiny):
    config, params, batch = tiny
    with pytest.raises(ValueError, match="prompt_with_targets is True; decoding starts from nothing"):
        model_of(config).predict_batch_with_aux(params, batch, prompt_with_targets=True)


def test_a_run_leaves_the_settings_that_transcribing_needs(tmp_path):
    config = TranscriptionConfig(network=TINY, segment_frames=32)
    summarize_config(str(tmp_path), None, 0, config=config)
    assert TranscriptionConfig.from_json((tmp_path / "config.json").read_text()) == config
    assert (tmp_path / "config.gin").exists()
