"""Muon, AdamW and Adafactor on a few parameters, some of them frozen, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.config import OptimizerConfig, RunConfig, TrainConfig
from mt3x.training.optimizer import make_optimizer, without_frozen
from mt3x.training.state import apply_gradients, new_state


def some_params():
    random = np.random.default_rng(0)

    def kernel(*shape):
        return {"kernel": jnp.asarray(random.standard_normal(shape), jnp.float32)}

    return {
        "network": {
            "encoder": {
                "continuous_inputs_projection": kernel(12, 8),
                "layers_0": {"attention": {"query": kernel(8, 16)}, "norm": {"scale": jnp.ones(8)}},
            },
            "decoder": {
                "token_embedder": {"embedding": jnp.ones((20, 8))},
                "layers_11": {"mlp": {"wo": kernel(16, 8)}},
                "logits_dense": kernel(8, 20),
            },
        },
        "frame_head": {"onset": {**kernel(8, 128), "bias": jnp.zeros(128)}},
    }


def first_update(optimizer, params, gradients):
    with jax.numpy_dtype_promotion("standard"):  # as `apply_gradients`
        return jax.jit(optimizer.update)(gradients, optimizer.init(params), params)


def test_muon_moves_only_the_matrices_of_layers():
    """Adam's first step has one size everywhere; Muon's is a matrix of nearly equal singular values."""
    params = some_params()
    random = np.random.default_rng(1)
    gradients = jax.tree.map(lambda p: jnp.asarray(random.standard_normal(p.shape), jnp.float32), params)
    config = OptimizerConfig(warmup_steps=0, learning_rate=1.0, adam_learning_rate=1.0, clip_norm=1e6)
    updates, _ = first_update(
        make_optimizer(TrainConfig(total_steps=100, optimizer=config)), params, gradients
    )
    by_muon = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, update in jax.tree_util.tree_leaves_with_path(updates)
        if np.ptp(np.abs(update)) > 1e-3
    }
    assert by_muon == {
        "network/encoder/layers_0/attention/query/kernel",
        "network/decoder/layers_11/mlp/wo/kernel",
    }
    update = np.asarray(updates["network"]["decoder"]["layers_11"]["mlp"]["wo"]["kernel"])
    singular = np.linalg.svd(update, compute_uv=False)
    assert singular.max() / singular.min() < 1.8
    # An RMS of 0.2 if all were equal: 0.2 * sqrt(16) for each of the 8.
    assert np.median(singular) == pytest.approx(0.8, rel=0.15)
    kernel_gradient = gradients["network"]["decoder"]["layers_11"]["mlp"]["wo"]["kernel"]
    assert np.sum(update * np.asarray(kernel_gradient)) < 0  # downhill


def test_gradients_are_clipped_by_their_global_norm():
    params = {"network": {"layers_0": {"kernel": jnp.ones((1, 2))}}, "frame_head": {"bias": jnp.zeros(1)}}
    gradients = {
        "network": {"layers_0": {"kernel": jnp.array([[3.0, 0.0]])}},
        "frame_head": {"bias": jnp.array([4.0])},
    }
    _, state = first_update(
        make_optimizer(TrainConfig(total_steps=10, optimizer=OptimizerConfig(clip_norm=0.5))),
        params,
        gradients,
    )
    momenta = [
        np.asarray(leaf).ravel()
        for _, mu in optax.tree.get_all_with_path(state, "mu")
        for leaf in jax.tree.leaves(mu)
    ]
    # 3 and 4 have norm 5, scaled to 0.5; momentum begins with 5 % (Muon) and 10 % (Adam) of them.
    assert np.allclose(sorted(np.concatenate(momenta)), [0.0, 0.05 * 0.3, 0.1 * 0.4])


OPTIMIZERS = {
    "muon": OptimizerConfig(warmup_steps=0),
    "adamw": OptimizerConfig(name="adamw", warmup_steps=0, weight_decay=0.1),
    "adafactor": AdafactorConfig(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parameters_stay_and_no_optimizer_keeps_anything_of_them(name):
    params, frozen = some_params(), ("encoder/.*", "frame_head/onset/bias")
    training = TrainConfig(total_steps=100, optimizer=OPTIMIZERS[name], average_decay=0.9, frozen=frozen)
    optimizer = make_optimizer(training)
    state = new_state(params, optimizer)
    kept = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(state.optimizer_state)
    }
    assert any("frame_head/onset/kernel" in place for place in kept)
    assert not any("encoder/layers_0" in place or "onset/bias" in place for place in kept)
    gradients = without_frozen(jax.tree.map(jnp.ones_like, params), frozen)
    step = jax.jit(lambda state: apply_gradients(state, gradients, optimizer, training.average_decay))
    found = step(step(state))
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), params, found.params)
    assert not any(jax.tree.leaves(changed["network"]["encoder"]))
    assert all(jax.tree.leaves(changed["network"]["decoder"]))
    assert changed["frame_head"]["onset"] == {"kernel": True, "bias": False}
    same = jax.tree.map(np.array_equal, found.average["encoder"], params["network"]["encoder"])
    assert all(jax.tree.leaves(same))


def test_b2_is_how_long_adamw_remembers_squares():
    params, one = {"w": jnp.ones(1)}, {"w": jnp.ones(1)}
    config = OptimizerConfig("adamw", learning_rate=1.0, warmup_steps=0, decay_from=1.0, b2=0.5)
    optimizer = make_optimizer(RunConfig(total_steps=10, optimizer=config))
    with jax.numpy_dtype_promotion("standard"):
        _, state = optimizer.update(one, optimizer.init(params), params)
        updates, _ = optimizer.update({"w": jnp.zeros(1)}, state, params)
    # After gradients 1 and 0: mean 0.9 * 0.1 / (1 - 0.9 ** 2), of squares 0.5 * 0.5 / (1 - 0.5 ** 2).
    assert -float(updates["w"][0]) == pytest.approx(0.09 / 0.19 / (0.25 / 0.75) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimizerConfig(b2=1.0), r"b2 is 1.0; it must be in \[0, 1\)"),
        (lambda: RunConfig(average_decay=-0.1), r"average_decay is -0.1; it must be in \[0, 1\)"),
        (lambda: RunConfig(frozen="encoder/.*"), "frozen is the text 'encoder/.*'; give a tuple"),  # type: ignore
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_frozen_parameters_have_no_share_in_the_norm_that_is_clipped():
    params = {"network": {"encoder": {"w": jnp.ones(1)}, "decoder": {"w": jnp.ones(1)}}}
    gradients = {"network": {"encoder": {"w": jnp.array([4.0])}, "decoder": {"w": jnp.array([3.0])}}}
    config = OptimizerConfig(name="adamw", clip_norm=0.5)
    optimizer = make_optimizer(TrainConfig(total_steps=10, optimizer=config, frozen=("encoder/.*",)))
    updates, state = first_update(optimizer, params, gradients)
    (momentum,) = jax.tree.leaves(optax.tree.get(state, "mu"))
    assert momentum == pytest.approx(0.1 * 0.5)  # 3 is scaled to 0.5; with the 4 it would be to 0.3
    assert updates["network"]["encoder"]["w"] == 0
    left = without_frozen(gradients, ("encoder/.*",))
    assert float(optax.tree.norm(left)) == 3.0
    assert without_frozen(gradients, ()) is gradients


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (
            ("encoder/.*", "encoder"),
            r"frozen: 'encoder' matches no parameter; it must match whole names, as 'encoder/\.\*' does, "
            r"such as frame_head/onset/bias, .*decoder/token_embedder/embedding",
        ),
        (("network/.*",), r"frozen: 'network/\.\*' matches no parameter"),
        ((".*",), r"frozen: \('\.\*',\) match all parameters; leave some to train"),
    ],
)
def test_expressions_that_match_nothing_or_everything_are_refused(frozen, message):
    optimizer = make_optimizer(TrainConfig(total_steps=10, frozen=frozen))
    with pytest.raises(ValueError, match=message):
        new_state(some_params(), optimizer)


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        ("encoder/.*", r"frozen is the text 'encoder/\.\*'; give a tuple: \('encoder/\.\*',\)"),
        (("encoder/(",), r"frozen: 'encoder/\(' is no regular expression: missing \)"),
    ],
)
def test_what_is_no_tuple_of_expressions_is_refused(frozen, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(frozen=frozen)
