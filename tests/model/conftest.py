"""The tiny network that T5X ran: its parameters, its batch and what it computed."""

from pathlib import Path

import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from mt3x.model.config import TINY
from mt3x.model.transformer import Transformer

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def model() -> Transformer:
    return Transformer(TINY)


@pytest.fixture(scope="session")
def params() -> dict:
    return unflatten_dict(dict(np.load(GOLDEN / "tiny_params.npz")), sep="/")


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "tiny_forward.npz"))
