"""The note head: shapes, and which places may change which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.model.note_head import NUM_PROGRAMS, NoteHead

HEAD = NoteHead(width=16)
APPLY = jax.jit(HEAD.apply)


@pytest.fixture(scope="module")
def notes():
    random = np.random.default_rng(0)
    return (
        jnp.asarray(random.normal(size=(2, 5, 3, 4)), jnp.float32),
        jnp.asarray(random.normal(size=(2, 5, 6)), jnp.float32),
        jnp.asarray(random.uniform(0, 2, (2, 5)), jnp.float32),
        jnp.asarray(random.integers(40, 80, (2, 5))),
        jnp.array([[True, True, True, False, False], [True] * 5]),
    )


@pytest.fixture(scope="module")
def params(notes):
    random = np.random.default_rng(1)  # moves what starts as zeros
    fresh = jax.jit(HEAD.init)(jax.random.key(0, impl="rbg"), *notes)  # which compiles quickly
    return jax.tree.map(lambda x: x + jnp.asarray(0.1 * random.normal(size=x.shape), jnp.float32), fresh)


def test_one_judgement_of_each_place(params, notes):
    judged = APPLY(params, *notes)
    assert judged.programs.shape == (2, 5, NUM_PROGRAMS)
    assert judged.is_note.shape == judged.velocity.shape == (2, 5)
    assert {part.dtype for part in judged} == {jnp.dtype(jnp.float32)}


def assert_equal(judged, others):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), judged, others)


def test_empty_places_change_nothing(params, notes):
    patches, evidence, onset, pitch, is_place = notes
    judged = jax.tree.map(lambda x: x[:1, :3], APPLY(params, *notes))
    changed = APPLY(
        params,
        patches.at[0, 3:].add(9),
        evidence.at[0, 3:].add(9),
        onset.at[0, 3:].set(onset[0, 0]),
        pitch,
        is_place,
    )
    assert_equal(jax.tree.map(lambda x: x[:1, :3], changed), judged)
    assert_equal(APPLY(params, *(column[:1, :3] for column in notes)), judged)


def test_the_order_of_places_does_not_matter(params, notes):
    turned = APPLY(params, *(jnp.flip(column, axis=1) for column in notes))
    assert_equal(jax.tree.map(lambda x: jnp.flip(x, axis=1), turned), APPLY(params, *notes))


def test_other_places_and_what_is_heard_matter(params, notes):
    patches, evidence, onset, pitch, is_place = notes
    judged = APPLY(params, *notes).is_note
    for changed in (
        (patches, evidence, onset, pitch + 1, is_place),
        (patches.at[1, 4].add(1), evidence, onset, pitch, is_place),
        (patches, evidence.at[1, 4].add(1), onset, pitch, is_place),
    ):
        assert not np.allclose(APPLY(params, *changed).is_note[1, 0], judged[1, 0], atol=1e-4)
    other = APPLY(params, patches.at[1, 4].add(1), evidence, onset, pitch, is_place)
    np.testing.assert_allclose(other.is_note[0], judged[0], atol=1e-5)
