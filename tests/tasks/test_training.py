import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seqio
from mt3x.tasks import slakh

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.data.seqio_tasks import FrontEnd, TaskOptions
from mt3x.model.config import TINY
from mt3x.model.transformer import Transformer, shift_right
from mt3x.runtime.loss import token_loss
from mt3x.tokens.vocabulary import num_embeddings

BATCH, FRAMES, TARGETS = 2, 32, 128
LENGTHS = {"inputs": FRAMES, "targets": TARGETS}


def batches(front_end, data_dir):
    slakh.register(TaskOptions(data_dir, front_end=front_end, max_examples_per_mix=2, shuffle_buffer_size=10))
    suffix = "train" if front_end is FrontEnd.LOG_MEL else "train_in_step"
    task = seqio.get_mixture_or_task(f"slakh_notes_ties_vb1_{suffix}")
    dataset = task.get_dataset(LENGTHS, split="train", seed=0, num_epochs=None)
    dataset = seqio.utils.trim_and_pad_dataset(dataset, LENGTHS)
    return task, dataset.batch(BATCH, drop_remainder=True).as_numpy_iterator()


@functools.cache
def loss_and_gradient():
    network = Transformer(TINY)
    params = network.init(jax.random.key(0), jnp.zeros((1, FRAMES, 512)), jnp.zeros((1, TARGETS), jnp.int32))[
        "params"
    ]

    def loss(params, mels, targets):
        logits = network.apply({"params": params}, mels, shift_right(targets))
        total, _, weight = token_loss(logits, targets, targets > 0)
        return total / weight

    return jax.jit(jax.value_and_grad(loss)), params


def run(front_end, data_dir, num_batches):
    task, iterator = batches(front_end, data_dir)
    step, params = loss_and_gradient()
    assert num_embeddings(task.output_features["targets"].vocabulary) == TINY.vocab_size
    seen = 0
    for batch in itertools.islice(iterator, num_batches):
        targets = batch["targets"]
        assert targets.shape == (BATCH, TARGETS) and targets.max() < TINY.vocab_size
        if front_end is FrontEnd.LOG_MEL:
            mels = batch["inputs"]
        else:
            mels = log_mel(batch["samples"], batch["num_frames"], SpectrogramConfig())
        assert mels.shape == (BATCH, FRAMES, 512)
        loss, gradients = step(params, mels, targets)
        assert np.isfinite(loss) and loss > 1.0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
        seen += 1
    assert seen == num_batches


def test_a_train_task_feeds_the_loss(data_dir):
    run(FrontEnd.LOG_MEL, data_dir, 2)


@pytest.mark.slow
def test_a_train_task_feeds_a_hundred_batches_to_the_loss(data_dir):
    run(FrontEnd.IN_STEP, data_dir, 100)
