"""The parameters of a model that writes tokens: their names and shapes."""

import jax
import jax.numpy as jnp

from mt3x.checkpoints import flatten
from mt3x.model.config import TransformerConfig
from mt3x.model.transformer import Transformer


def parameter_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of an encoder-decoder's parameters by flat name, such as `decoder/decoder_norm/scale`."""
    model = Transformer(config)
    frames = jnp.zeros((1, 1, config.input_depth), jnp.float32)
    ids = jnp.zeros((1, 1), jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0), frames, ids)["params"]
    return {name: leaf.shape for name, leaf in flatten(params).items()}
