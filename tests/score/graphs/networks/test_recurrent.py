"""Recurrent readings: where a piece's notes go, and that nothing but them is read."""

import jax
import numpy as np

from mt3x.score.graphs.networks.recurrent import JumpingKnowledge, PieceGru, places_in_piece

X = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)


def random_variables(module, *args):
    random = np.random.default_rng(5)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))
    return jax.tree.map(lambda p: random.standard_normal(p.shape).astype(p.dtype), shapes)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_places_count_the_notes_before_in_the_same_piece():
    place, length = places_in_piece(np.array([1, 0, -1, 1, 1, 0], np.int32), 3)
    np.testing.assert_array_equal(place[np.array([0, 1, 3, 4, 5])], [0, 0, 1, 2, 1])
    np.testing.assert_array_equal(length, [2, 3, 0])


def test_a_piece_is_read_in_both_directions():
    gru = PieceGru(2, longest=3)
    piece = np.array([0, 0, 0], np.int32)
    variables = random_variables(gru, X[:3], piece, 1)

    def read(x, p):
        h, out = np.zeros(1), []
        for row in x:
            reset = sigmoid(row @ p["ir"]["kernel"] + p["ir"]["bias"] + h @ p["hr"]["kernel"])
            update = sigmoid(row @ p["iz"]["kernel"] + p["iz"]["bias"] + h @ p["hz"]["kernel"])
            candidate = row @ p["in"]["kernel"] + p["in"]["bias"]
            candidate = np.tanh(candidate + reset * (h @ p["hn"]["kernel"] + p["hn"]["bias"]))
            h = (1 - update) * candidate + update * h
            out.append(h)
        return np.stack(out)

    cells = jax.tree.map(np.asarray, variables["params"])
    expected = [read(X[:3], cells["forward_0"]), read(X[2::-1], cells["backward_0"])[::-1]]
    out = jax.jit(gru.apply, static_argnums=3)(variables, X[:3], piece, 1)
    np.testing.assert_allclose(out, np.concatenate(expected, axis=1), rtol=1e-4)


def test_pieces_are_read_apart_and_padding_is_not_read():
    gru = PieceGru(4, longest=3, num_layers=2)
    piece = np.array([1, 0, 7, 1, 0, -1], np.int32)
    variables = random_variables(gru, X, piece, 3)
    out = np.asarray(jax.jit(gru.apply, static_argnums=3)(variables, X, piece, 3))
    alone = jax.jit(gru.apply, static_argnums=3)(variables, X[[0, 3]], np.array([0, 0], np.int32), 1)
    np.testing.assert_allclose(out[[0, 3]], alone, rtol=1e-5)
    np.testing.assert_array_equal(out[[2, 5]], 0)


def test_notes_past_the_longest_piece_are_not_read():
    gru = PieceGru(4, longest=2)
    variables = random_variables(gru, X, np.zeros(6, np.int32), 1)
    run = jax.jit(gru.apply, static_argnums=3)
    out = run(variables, X, np.zeros(6, np.int32), 1)
    np.testing.assert_array_equal(out[2:], 0)
    short = run(variables, X, np.array([0, 0, -1, -1, -1, -1], np.int32), 1)
    np.testing.assert_allclose(out, short, rtol=1e-6)


def test_jumping_knowledge_weighs_the_layers():
    layers = [X[:, :2], X[:4] + 1]  # two rows of the first were dropped since
    module = JumpingKnowledge()
    variables = random_variables(module, layers)
    out = jax.jit(module.apply)(variables, layers)
    first, second = layers[0][:4], layers[1]
    share = (np.asarray(out) - second) / (first - second)  # first * share + second * (1 - share)
    np.testing.assert_allclose(share[:, 0], share[:, 1], rtol=1e-3)
    assert np.all((share > 0) & (share < 1))
    assert np.std(share) > 1e-3
