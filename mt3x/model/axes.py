"""Logical names of the parameters' axes: what a dimension is, so that others decide how to split it.

Names are T5X's: vocab, embed, mlp, joined_kv (heads and their dimensions in one axis). Which device holds
which part is `training.mesh`'s business.
"""

from typing import Any

import jax

_KERNELS: dict[str, tuple[str, str]] = {
    "query": ("embed", "joined_kv"),
    "key": ("embed", "joined_kv"),
    "value": ("embed", "joined_kv"),
    "out": ("joined_kv", "embed"),
    "wi": ("embed", "mlp"),
    "wi_0": ("embed", "mlp"),
    "wi_1": ("embed", "mlp"),
    "wo": ("mlp", "embed"),
    "continuous_inputs_projection": ("input_depth", "embed"),
    "logits_dense": ("embed", "vocab"),
}


def parameter_axes(params: Any) -> Any:
    """The tree with a tuple of axis names in the place of each parameter.

    Arrays of other modules (the frame head's), which no table names, have axes named None.

    >>> parameter_axes({"mlp": {"wo": {"kernel": jax.ShapeDtypeStruct((4, 2), "float32")}}})
    {'mlp': {'wo': {'kernel': ('mlp', 'embed')}}}
    """
    return jax.tree_util.tree_map_with_path(_axes_of, params)


def _axes_of(path: tuple[Any, ...], value: Any) -> tuple[str | None, ...]:
    module, name = (str(getattr(key, "key", "")) for key in ((None, *path)[-2], path[-1]))
    if name == "kernel" and module in _KERNELS:
        return _KERNELS[module]
    if name == "embedding":
        return ("vocab", "embed")
    if name == "scale" and value.ndim == 1 and module.endswith("norm"):
        return ("embed",)
    return (None,) * value.ndim
