"""The spelling network: from what surrounds a note to where it stands in its key.

A note's degree is its position on the line of fifths less the fifths of its key signature: in C major F is
-1, C 0, B 5, F sharp 6, B flat -2. The network gives the probabilities of the 24 degrees from `LOWEST_DEGREE`
on, in two rows of twelve. A note's pitch class with a degree's column tells the key on the circle of fifths;
with the key known, the two rows are the two names that the note may have.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np

LOWEST_DEGREE, NUM_DEGREES = -9, 24


def degree_classes(positions: np.ndarray, fifths: np.ndarray) -> np.ndarray:
    """Classes 0 to 23 of the degrees of notes, int32 [N]; -1 for degrees that the network doesn't know."""
    classes = positions.astype(np.int32) - fifths - LOWEST_DEGREE
    return np.where((classes >= 0) & (classes < NUM_DEGREES), classes, -1).astype(np.int32)


@dataclass(frozen=True)
class SpellingConfig:
    """Sizes of the network: the width of its hidden layers, and how many there are."""

    width: int = 128
    layers: int = 2


class SpellingNetwork(nn.Module):
    """A perceptron for each note."""

    config: SpellingConfig

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Logits float32 [..., 2, 12] of the degrees, from features float32 [..., NUM_FEATURES]."""
        x = features
        for index in range(self.config.layers):
            x = nn.gelu(nn.Dense(self.config.width, name=f"layers_{index}")(x))
        x = nn.Dense(NUM_DEGREES, name="degrees")(x)
        return x.reshape(*x.shape[:-1], 2, 12)
