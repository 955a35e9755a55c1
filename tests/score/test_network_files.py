"""Files of trained networks."""

import jax
import numpy as np
import pytest

from mt3x.score.network_files import load_network, save_network


def test_a_network_comes_back_from_its_file(tmp_path):
    about, variables = {"width": 3, "kinds": ["a", "b"]}, {"layer": {"kernel": np.ones((2, 3), np.float32)}}
    save_network(tmp_path / "weights.npz", about, variables)
    found, again = load_network(tmp_path / "weights.npz")
    assert found == about
    jax.tree.map(np.testing.assert_array_equal, variables, again)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("missing.npz", "other.npz", "text.npz"):
        with pytest.raises(ValueError, match=f"{name} is not a network of mt3x.score"):
            load_network(tmp_path / name)
