"""Parameter trees: nested dicts of arrays and their flat names, `decoder/layers_0/mlp/wi_0/kernel`.

A tree is a dict whose keys are strings and whose leaves are arrays (or whatever else is not a dict). Names
join the keys with `/`, as T5X does.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mt3x.checkpoints.errors import CheckpointError

SHOWN = 8
"""Arrays that one message names at most."""


def flatten(tree: Mapping[str, Any], is_leaf: Callable[[Any], bool] = lambda node: False) -> dict[str, Any]:
    """Leaves by name, in sorted order. Empty dicts, and dicts for which `is_leaf` is true, count as leaves.

    Raises:
      CheckpointError: a key is not a string, is empty, or holds a `/`.
    """
    flat: dict[str, Any] = {}
    for key in sorted(tree, key=str):
        if not isinstance(key, str) or not key or "/" in key:
            raise CheckpointError(
                f"{key!r} cannot name a part of a checkpoint: give non-empty text without '/'"
            )
        node = tree[key]
        if isinstance(node, Mapping) and node and not is_leaf(node):
            flat.update({f"{key}/{name}": leaf for name, leaf in flatten(node, is_leaf).items()})
        else:
            flat[key] = node
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The tree whose `flatten` is `flat`."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = leaf
    return tree


def cast_floats(tree: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The same tree with its floating-point arrays in `dtype`: "float32" or "bfloat16" (rounded to nearest
    even).

    Raises:
      CheckpointError: another dtype.
    """
    import ml_dtypes

    targets = {"float32": np.dtype("float32"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
    if dtype not in targets:
        raise CheckpointError(f"dtype {dtype!r} is not known: give one of {', '.join(targets)}")

    def cast(leaf: Any) -> Any:
        array = np.asarray(leaf)
        floating = array.dtype.kind == "f" or array.dtype == targets["bfloat16"]
        return array.astype(targets[dtype]) if floating else leaf

    return unflatten({name: cast(leaf) for name, leaf in flatten(tree).items()})


def count_parameters(params: Mapping[str, Any]) -> int:
    """Numbers in all arrays together."""
    return sum(math.prod(leaf.shape) for leaf in flatten(params).values())


def check_params(params: Mapping[str, Any], expected_shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Passes where the arrays of `params` have exactly the names and shapes expected.

    Args:
      params: nested dict of arrays.
      expected_shapes: shapes by flat name, `{"decoder/decoder_norm/scale": (512,), ...}`.

    Raises:
      CheckpointError: arrays are missing, of another shape, or unexpected; the text names them and says what
        was expected.
    """
    check_shapes({name: tuple(np.shape(leaf)) for name, leaf in flatten(params).items()}, expected_shapes)


def check_shapes(
    shapes: Mapping[str, tuple[int, ...]], expected_shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """`check_params` for shapes by flat name instead of arrays.

    Raises:
      CheckpointError: as `check_params`.
    """
    missing = [f"{name} {list(shape)}" for name, shape in expected_shapes.items() if name not in shapes]
    mismatched = [
        f"{name} is {list(shapes[name])}, expected {list(shape)}"
        for name, shape in expected_shapes.items()
        if name in shapes and tuple(shapes[name]) != tuple(shape)
    ]
    unexpected = [f"{name} {list(shape)}" for name, shape in shapes.items() if name not in expected_shapes]
    complaints = [
        f"{len(faults)} {kind} ({_some(faults)})"
        for kind, faults in (
            ("missing", missing),
            ("of another shape", mismatched),
            ("unexpected", unexpected),
        )
        if faults
    ]
    if complaints:
        raise CheckpointError(
            f"the arrays are not those expected: {'; '.join(complaints)}. "
            "The checkpoint belongs to another configuration, or is not whole."
        )


def _some(items: list[str]) -> str:
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more


_SIZE_SOURCES = {
    "vocab_size": ("decoder/token_embedder/embedding", 0),
    "emb_dim": ("decoder/token_embedder/embedding", 1),
    "input_depth": ("encoder/continuous_inputs_projection/kernel", 0),
    "attention_width": ("encoder/layers_0/attention/query/kernel", 1),
    "mlp_dim": ("encoder/layers_0/mlp/wo/kernel", 0),
}
"""Which axis of which array tells a size."""


def infer_sizes(params: Mapping[str, Any]) -> dict[str, int | bool]:
    """What the shapes of a T5.1.1 network tell of its configuration.

    Returns:
      The fields of `TransformerConfig` that shapes determine, as far as the arrays are there;
      `attention_width` is num_heads * head_dim, which shapes do not tell apart.
    """
    flat = flatten(params)
    sizes: dict[str, int | bool] = {
        field: int(np.shape(flat[name])[axis])
        for field, (name, axis) in _SIZE_SOURCES.items()
        if name in flat and len(np.shape(flat[name])) > axis
    }
    for side in ("encoder", "decoder"):
        layers = {name.split("/")[1] for name in flat if name.startswith(f"{side}/layers_")}
        if layers:
            sizes[f"num_{side}_layers"] = len(layers)
    if "vocab_size" in sizes:
        sizes["logits_via_embedding"] = "decoder/logits_dense/kernel" not in flat
    return sizes
