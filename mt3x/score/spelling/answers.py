"""From a trained spelling network to evidence for keys, and to names once the key is known."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mt3x.score.network_files import load_network, save_network
from mt3x.score.spelling.features import NUM_FEATURES, note_features
from mt3x.score.spelling.network import LOWEST_DEGREE, SpellingConfig, SpellingNetwork

_CHUNK_NOTES = 4096


@dataclass(frozen=True, eq=False)
class SpellingModel:
    """A network and its weights."""

    config: SpellingConfig
    params: Any

    def save(self, path: str | Path) -> None:
        """Writes the model to one `.npz` file."""
        save_network(path, asdict(self.config), self.params)

    @classmethod
    def load(cls, path: str | Path) -> "SpellingModel":
        """Reads what `save` wrote.

        Raises:
          ValueError: the file is missing or isn't such a model.
        """
        about, params = load_network(path)
        try:
            return cls(SpellingConfig(**about), params)
        except TypeError as error:
            raise ValueError(f"{path} is not a spelling model ({error})") from error

    def answer(
        self, onset_quarters: np.ndarray, duration_quarters: np.ndarray, pitch: np.ndarray
    ) -> np.ndarray:
        """Log-probabilities float32 [N, 2, 12] of the degrees of N notes sorted by (onset, pitch)."""
        features = note_features(onset_quarters, duration_quarters, pitch)
        chunks = -(-len(pitch) // _CHUNK_NOTES)
        padded = np.zeros((chunks, _CHUNK_NOTES, NUM_FEATURES), np.float32)
        padded.reshape(-1, NUM_FEATURES)[: len(pitch)] = features
        answers = [np.asarray(_log_probabilities(self.config, self.params, chunk)) for chunk in padded]
        return np.concatenate([np.zeros((0, 2, 12), np.float32), *answers])[: len(pitch)]


@partial(jax.jit, static_argnums=0)
def _log_probabilities(config: SpellingConfig, params: Any, features: jax.Array) -> jax.Array:
    logits: Any = SpellingNetwork(config).apply({"params": params}, features)
    return jax.nn.log_softmax(logits, axis=(-2, -1))


def key_evidence(answers: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Log-probabilities float [N, 12] of the keys of the circle of fifths at each note, column `fifths % 12`.

    answers: what `SpellingModel.answer` said, [N, 2, 12]; pitch: int [N].
    """
    by_column = np.logaddexp(answers[:, 0], answers[:, 1])
    return np.take_along_axis(by_column, _columns(pitch[:, None], np.arange(12)), 1)


def best_positions(
    answers: np.ndarray, pitch: np.ndarray, fifths: np.ndarray, lowest: int, highest: int
) -> np.ndarray:
    """The most likely positions on the line of fifths, int [N], under the key signatures `fifths` [N].

    lowest, highest: the positions allowed.
    """
    columns = _columns(pitch, fifths)
    candidates = (fifths + columns + LOWEST_DEGREE)[:, None] + np.array([0, 12])
    scores = answers[np.arange(len(pitch)), :, columns]
    scores = np.where((candidates >= lowest) & (candidates <= highest), scores, -np.inf)
    return np.take_along_axis(candidates, scores.argmax(1)[:, None], 1)[:, 0]


def _columns(pitch: np.ndarray, fifths: np.ndarray) -> np.ndarray:
    """Columns of the network's answer in which the degree of a pitch under a signature stands."""
    return (7 * pitch - fifths - LOWEST_DEGREE) % 12
