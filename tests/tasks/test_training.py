"""Every train task feeds the network's loss, end to end."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.data.datasets import READERS
from mt3x.model.config import TINY
from mt3x.model.transformer import Transformer, shift_right
from mt3x.tokens.vocabulary import num_embeddings
from mt3x.training.token_loss import token_loss

BATCH, FRAMES, TARGETS = 2, 32, 128
LENGTHS = {"inputs": FRAMES, "targets": TARGETS}


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, registered, FrontEnd, TaskOptions, DATASETS
    import seqio
    from mt3x.tasks import registered

    from mt3x.data.seqio.tasks import FrontEnd, TaskOptions

    DATASETS = {dataset.CONFIG.name: dataset for dataset in registered.DATASETS}


@functools.cache
def loss_and_gradient(vocab_size):
    network = Transformer(dataclasses.replace(TINY, vocab_size=vocab_size))
    frames, ids = jnp.zeros((1, FRAMES, 512)), jnp.zeros((1, TARGETS), jnp.int32)
    params = jax.jit(network.init)(jax.random.key(0, impl="rbg"), frames, ids)["params"]

    def loss(params, mels, targets):
        logits = network.apply({"params": params}, mels, shift_right(targets))
        total, _, weight = token_loss(logits, targets, targets > 0)
        return total / weight

    return jax.jit(jax.value_and_grad(loss)), params


def feed(task, num_batches):
    """Batches of a task into loss and gradient, which must be finite."""
    step, params = loss_and_gradient(num_embeddings(task.output_features["targets"].vocabulary))
    dataset = task.get_dataset(LENGTHS, split="train", seed=0, num_epochs=None)
    dataset = seqio.utils.trim_and_pad_dataset(dataset, LENGTHS).batch(BATCH, drop_remainder=True)
    seen = 0
    for batch in itertools.islice(dataset.as_numpy_iterator(), num_batches):
        targets = batch["targets"]
        assert targets.shape == (BATCH, TARGETS)
        mels = batch.get("inputs")
        if mels is None:
            mels = log_mel(batch["samples"], batch["num_frames"], SpectrogramConfig())
        assert mels.shape == (BATCH, FRAMES, 512)
        loss, gradients = step(params, mels, targets)
        assert np.isfinite(loss) and loss > 1.0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
        seen += 1
    assert seen == num_batches


def train_tasks(dataset, data_dir, front_end):
    dataset.register(
        TaskOptions(data_dir, front_end=front_end, max_examples_per_mix=2, shuffle_buffer_size=10)
    )
    tasks = [seqio.TaskRegistry.get(name) for name in seqio.TaskRegistry.names()]
    return [task for task in tasks if "train" in task.splits]


def test_a_train_task_feeds_the_loss(data_dir):
    for task in train_tasks(DATASETS["slakh"], data_dir, FrontEnd.LOG_MEL):
        feed(task, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_every_train_task_feeds_a_hundred_batches_to_the_loss(name, data_dir):
    tasks = train_tasks(DATASETS[name], data_dir, FrontEnd.IN_STEP)
    assert tasks
    for task in tasks:
        feed(task, 100)
