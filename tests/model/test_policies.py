"""Search against T5X's on stored tables and networks, and against the decoder without a cache."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from mt3x.model.config import TINY
from mt3x.model.policies import Beam, Greedy, Without
from mt3x.model.transformer import Transformer, shift_right
from tests.model.reference_search import search, search_by_step

GOLDEN = Path(__file__).parents[1] / "golden"
MARKOV = dict(np.load(GOLDEN / "beam_markov.npz"))
NETWORKS = json.loads((GOLDEN / "decode_network.json").read_text())["variants"]


@functools.partial(jax.jit, static_argnums=0)
def search_markov(policy, table):
    """Search where the logits depend on the last id only: table float32 [B, V, V]."""

    def step(ids, position, cache):
        return jnp.take_along_axis(table, ids[..., jnp.newaxis], axis=1), cache  # [B, K, V]

    return search_by_step(step, policy, (), len(table), int(MARKOV["max_len"]))


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_beam_search_equals_t5x_on_markov_tables(beams):
    result = search_markov(Beam(beams), MARKOV["table"])
    # T5X lists the best last.
    np.testing.assert_array_equal(result.beam_ids[:, ::-1], MARKOV[f"beam{beams}_tokens"])
    np.testing.assert_allclose(result.beam_scores[:, ::-1], MARKOV[f"beam{beams}_scores"], rtol=1e-6)


def test_greedy_equals_t5x_on_markov_tables():
    result = search_markov(Greedy(), MARKOV["table"])
    np.testing.assert_array_equal(result.beam_ids, MARKOV["greedy_tokens"])


def test_one_beam_is_not_greedy():
    one_beam = search_markov(Beam(1), MARKOV["table"]).ids
    greedy = search_markov(Greedy(), MARKOV["table"]).ids
    assert 0 < int((one_beam != greedy).any(axis=1).sum()) < len(greedy)


@pytest.mark.parametrize("policy", [Greedy(), Beam(1), Beam(3)])
def test_forbidden_ids_are_not_written_and_change_the_rest_as_if_impossible(policy):
    free = search_markov(policy, MARKOV["table"])
    written = np.unique(free.ids)
    forbidden = int(written[written > 1][0])
    limited = search_markov(Without(policy, (forbidden,)), MARKOV["table"])
    impossible = MARKOV["table"].copy()
    impossible[..., forbidden] = -1e9
    np.testing.assert_array_equal(limited.ids, search_markov(policy, impossible).ids)
    assert not (np.asarray(limited.ids) == forbidden).any()


def test_row_of_a_batch_equals_the_row_alone():
    together = search_markov(Beam(2), MARKOV["table"])
    for row in range(4):
        alone = search_markov(Beam(2), MARKOV["table"][row : row + 1])
        np.testing.assert_array_equal(alone.beam_ids[0], together.beam_ids[row])


def test_search_ends_as_soon_as_all_rows_are_done():
    end_after_three = np.full((2, 6, 6), -9.0, np.float32)
    for last, following in ((0, 4), (4, 3), (3, 1), (1, 0)):
        end_after_three[:, last, following] = 9.0
    result = search_markov(Greedy(), end_after_three)
    assert int(result.num_steps) == 3
    np.testing.assert_array_equal(result.ids[:, :5], [[4, 3, 1, 0, 0]] * 2)


@pytest.fixture(scope="module")
def network_of(params):
    """Parameters of a variant of decode_network.json, by the rule in its note."""
    stored = {
        "init": params,
        "step3": unflatten_dict(dict(np.load(GOLDEN / "tiny_params_step3.npz")), sep="/"),
    }

    def make(variant):
        flat = dict(flatten_dict(stored[variant["params"]], sep="/"))
        kernel = flat["decoder/logits_dense/kernel"] * np.float32(variant["logits_scale"])
        kernel[:, 1] *= np.float32(variant["eos_col_scale"])
        return unflatten_dict({**flat, "decoder/logits_dense/kernel": kernel}, sep="/")

    return make


encode = jax.jit(lambda params, inputs: Transformer(TINY).apply({"params": params}, inputs, method="encode"))


@pytest.mark.parametrize(
    ("name", "policy"), [("greedy", Greedy()), ("beam1", Beam(1)), ("beam4", Beam(4))], ids=lambda x: str(x)
)
def test_search_equals_t5x_on_the_tiny_network(model, golden, network_of, name, policy):
    assert len(NETWORKS) == 10
    for variant in NETWORKS:
        params = network_of(variant)
        encoded = encode(params, golden["encoder_input_tokens"])
        result = search(model, params, encoded, policy, 48)
        np.testing.assert_array_equal(result.beam_ids[:, ::-1], variant[name]["tokens"])
        if name != "greedy":  # T5X scores greedy hypotheses 0
            # Sums of 48 log-probabilities in another order of summation.
            np.testing.assert_allclose(result.beam_scores[:, ::-1], variant[name]["scores"], rtol=1e-5)


def test_greedy_ids_and_scores_agree_with_the_decoder_without_cache(model, params, golden):
    result = search(model, params, golden["encoded"], Greedy(), 48)
    decode = jax.jit(functools.partial(model.apply, method=Transformer.decode))
    logits = decode({"params": params}, golden["encoded"], shift_right(result.ids))
    np.testing.assert_array_equal(jnp.argmax(logits, axis=-1), result.ids)
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), result.ids[..., jnp.newaxis], axis=-1)
    np.testing.assert_allclose(result.scores, log_probs[..., 0].sum(axis=1), rtol=1e-5)


def test_bad_beams_are_refused():
    with pytest.raises(ValueError, match="at least one beam"):
        Beam(0)
    with pytest.raises(ValueError, match="no length penalty"):
        Beam(alpha=-0.1)
