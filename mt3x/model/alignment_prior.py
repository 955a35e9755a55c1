"""An initialisation that lets cross-attention start in the right place.

It sets weights; the network is unchanged.

Discovering that a shift token "at 1.23 s" belongs to the frames around 1.23 s is the slowest part of training
MT3-style networks. The sinusoidal positions already hold the answer, so the first weights spell it out:

- The encoder keeps its fast position sinusoids untouched ("clock" features): nothing writes to them.
- Some encoder heads start by looking at a fixed distance in frames (a rotation of the clock).
- The embedding of a shift token holds the clock of the frame that it names, in features that the decoder
  keeps free ("time" features), and a flag that says that it is a shift token.
- The first head of the first decoder layer starts by copying the time features of the latest shift token.
- Cross-attention heads start by looking from the time features to the encoder's clock, at or near that frame.

All of it is trained further like any other weight. It takes 140 of the network's features (clock, time, flag
and anchor) and one to three heads of each layer.

Source: this project's own trials (a network without it learned the same in several times the examples).
"""

import dataclasses
from typing import Any

import numpy as np

from mt3x.model.config import TransformerConfig

NUM_CLOCKS = 32
"""Sinusoids in the clock; with sine and cosine they fill one head of 64."""

_ENCODER_LOOKS = ((-6, -3, 2), (-4, -1, 4), (-2, 2), (-1,))
"""Frames that the first heads of each encoder layer look at, for frames of 16 ms; the last entry repeats."""
_CROSS_LOOKS = ((0, 2), (0, -2))
"""The same for cross-attention, alternating over decoder layers."""

_LOOK_GAIN = 1.5
_TIME_GAIN = 3.0
_FLAG_WIDTH = 4
_ANCHOR_WIDTH = 8


@dataclasses.dataclass(frozen=True)
class _Features:
    """Which of the network's D features hold what.

    Positions are sines in the first half of the features, cosines in the second.
    """

    clock: np.ndarray
    time: np.ndarray
    flag: np.ndarray
    anchor: np.ndarray
    """Cosines so slow that they are about 1 at every position: a constant to build queries from."""

    @classmethod
    def of_width(cls, width: int) -> "_Features":
        half, fast = width // 2, np.arange(NUM_CLOCKS)
        return cls(
            clock=np.concatenate([fast, half + fast]),
            time=np.concatenate([NUM_CLOCKS + fast, half + NUM_CLOCKS + fast]),
            flag=2 * NUM_CLOCKS + np.arange(_FLAG_WIDTH),
            anchor=np.arange(width - _ANCHOR_WIDTH, width),
        )


def apply_alignment_prior(
    params: dict[str, Any], config: TransformerConfig, first_shift_id: int, shift_frames: np.ndarray
) -> dict[str, Any]:
    """A copy of freshly initialised parameters in which attention starts aligned in time.

    Args:
      params: the network's parameter tree, T5X names, kernels [in, out].
      config: sizes; `head_dim` must be 64 and `emb_dim` at least 160.
      first_shift_id: id of the shift token of 0 steps; the others follow.
      shift_frames: float [S], the frame (from the segment's start) that each shift token names.

    Raises:
      ValueError: the sizes do not fit.
    """
    if config.head_dim != 2 * NUM_CLOCKS or config.emb_dim < 5 * NUM_CLOCKS:
        raise ValueError(
            f"the prior needs head_dim {2 * NUM_CLOCKS} and emb_dim >= {5 * NUM_CLOCKS}, "
            f"got {config.head_dim} and {config.emb_dim}"
        )
    params = _writable_copy(params)
    features = _Features.of_width(config.emb_dim)
    half = config.emb_dim // 2
    # Radians a frame, as in the table of positions.
    rates = np.exp(-np.log(1e4) * np.arange(NUM_CLOCKS) / (half - 1))
    _align_encoder(params["encoder"], config, features, rates)
    table = params["decoder"]["token_embedder"]["embedding"]
    _write_shift_times(table, features, rates, first_shift_id, np.asarray(shift_frames, np.float64))
    _align_decoder(params["decoder"], config, features, rates)
    return params


def _writable_copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _writable_copy(value) for name, value in tree.items()}
    return np.array(tree)


def _align_encoder(
    encoder: dict[str, Any], config: TransformerConfig, at: _Features, rates: np.ndarray
) -> None:
    encoder["continuous_inputs_projection"]["kernel"][:, at.clock] = 0
    for number in range(config.num_encoder_layers):
        layer = encoder[f"layers_{number}"]
        layer["attention"]["out"]["kernel"][:, at.clock] = 0
        layer["mlp"]["wo"]["kernel"][:, at.clock] = 0
        looks = _ENCODER_LOOKS[min(number, len(_ENCODER_LOOKS) - 1)]
        for head, frames in enumerate(looks[: config.num_heads]):
            _look(layer["attention"], head, at.clock, _LOOK_GAIN, at.clock, frames, rates)


def _align_decoder(
    decoder: dict[str, Any], config: TransformerConfig, at: _Features, rates: np.ndarray
) -> None:
    for number in range(config.num_decoder_layers):
        layer = decoder[f"layers_{number}"]
        for writer in (
            layer["self_attention"]["out"],
            layer["encoder_decoder_attention"]["out"],
            layer["mlp"]["wo"],
        ):
            writer["kernel"][:, at.time] = 0
        looks = _CROSS_LOOKS[number % len(_CROSS_LOOKS)]
        for head, frames in enumerate(looks[: config.num_heads]):
            _look(layer["encoder_decoder_attention"], head, at.time, 1.6, at.clock, frames, rates)
    _copy_latest_shift(decoder["layers_0"]["self_attention"], config, at)


def _look(
    attention: dict[str, Any],
    head: int,
    query_features: np.ndarray,
    query_gain: float,
    key_features: np.ndarray,
    frames: int,
    rates: np.ndarray,
) -> None:
    """Makes one head attend to the clock that is `frames` later than the query's own."""
    columns = _head_columns(head)
    query, key = attention["query"]["kernel"], attention["key"]["kernel"]
    query[:, columns] = 0
    key[:, columns] = 0
    query[query_features, columns] = query_gain * np.eye(len(query_features))
    key[key_features, columns] = _LOOK_GAIN * _rotation(frames, rates).T


def _head_columns(head: int) -> slice:
    return slice(head * 2 * NUM_CLOCKS, (head + 1) * 2 * NUM_CLOCKS)


def _rotation(frames: int, rates: np.ndarray) -> np.ndarray:
    """[64, 64] matrix that turns the clock of frame j into that of frame j - frames."""
    cosine, sine = np.diag(np.cos(rates * frames)), np.diag(np.sin(rates * frames))
    return np.block([[cosine, -sine], [sine, cosine]])


def _write_shift_times(
    table: np.ndarray, at: _Features, rates: np.ndarray, first_shift_id: int, shift_frames: np.ndarray
) -> None:
    """Shift embeddings say when; every other embedding leaves those features alone.

    Id 0 starts a segment: time 0.
    """
    table[:, np.concatenate([at.clock, at.time, at.anchor])] = 0
    table[:, at.flag] = -0.5
    phase = shift_frames[:, None] * rates
    clocks = _TIME_GAIN * np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)  # [S, 64]
    ids = np.arange(first_shift_id, first_shift_id + len(shift_frames))
    for row, clock in ((ids, clocks), (np.array([0]), clocks[:1])):
        table[np.ix_(row, at.time)] = clock
        table[np.ix_(row, at.flag)] = _TIME_GAIN


def _copy_latest_shift(attention: dict[str, Any], config: TransformerConfig, at: _Features) -> None:
    """The first head attends to flagged tokens, the nearest above all, and copies their time features."""
    columns = _head_columns(0)
    query, key = attention["query"]["kernel"], attention["key"]["kernel"]
    value, out = attention["value"]["kernel"], attention["out"]["kernel"]
    for kernel in (query, key, value):
        kernel[:, columns] = 0
    query[at.anchor, 0] = 1.0
    key[at.flag, 0] = 4.0
    # Nearness: positions compared by sinusoids slow enough not to wrap around soon, fast enough to be sharp.
    near, half = np.arange(10, 26), config.emb_dim // 2
    column = 1 + np.arange(len(near))
    for kernel in (query, key):
        kernel[near, column] = 2.4
        kernel[half + near, column + len(near)] = 2.4
    value[at.time, columns] = 2.0 * np.eye(len(at.time))
    out[columns, :] = 0
    out[columns, at.time] = 2.0 * np.eye(len(at.time))
