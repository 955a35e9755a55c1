"""The heterogeneous graph transformer: attention over all edges into a node, whatever their types.

Conventions as in hetero.py; letters as in layers.py, and K attention heads of H // K values each.

Source: Hu et al. 2020 (arXiv 2003.01332), as PyTorch Geometric's HGTConv computes it.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.networks.hetero import Edges, Features, Metadata, name_of
from mt3x.score.graphs.networks.layers import neighbour_sum, rows_at
from mt3x.score.graphs.networks.stack import LayerStack


def neighbour_softmax(scores: jax.Array, targets: jax.Array, num_targets: int) -> jax.Array:
    """Softmax of scores [E, K] over the edges into each target: [E, K]; padding gets 0."""
    is_edge = (targets >= 0) & (targets < num_targets)
    largest = jax.lax.stop_gradient(jax.ops.segment_max(scores, targets, num_targets))  # [N, K]
    scores = jnp.where(is_edge[:, jnp.newaxis], scores - rows_at(largest, targets), -jnp.inf)
    weights = jnp.exp(scores)
    total = rows_at(neighbour_sum(weights, targets, num_targets), targets)  # [E, K]
    return weights / jnp.where(total > 0, total, 1.0)  # only padding can read a total of 0


class HgtConv(nn.Module):
    """One layer: keys, queries, values by node type; what an edge type does to keys and values is learnt.

    Attributes:
      output_channels: H, a multiple of num_heads.
      num_heads: K.
    """

    output_channels: int
    metadata: Metadata
    num_heads: int = 4

    @nn.compact
    def __call__(
        self, features: Features, edges: Edges, num_targets: Mapping[str, int] | None = None
    ) -> dict[str, jax.Array]:
        """features {type: [N, D]}, edges {type: [2, E]} -> {type: [N, H]}; num_targets as HeteroConv.

        Raises:
          ValueError: a width that the heads can't share equally.
        """
        width, heads = self.output_channels, self.num_heads
        if width % heads:
            raise ValueError(f"{width} channels for {heads} heads: give a multiple of {heads}")
        projected = {
            # [N, D] -> [N, 3H] -> key, query, value, each [N, K, H / K]
            kind: jnp.split(
                nn.Dense(3 * width, name=f"{kind}__kqv")(x).reshape(len(x), 3 * heads, -1), 3, axis=1
            )
            for kind, x in features.items()
        }
        arriving: dict[str, list[tuple[jax.Array, jax.Array, jax.Array]]] = {}
        for edge_type in self.metadata[1]:
            source, _, target = edge_type
            key, _, value = projected[source]
            query = projected[target][1]
            pairs = edges[edge_type]
            scores, values = self._messages(name_of(edge_type), key, query, value, pairs)
            arriving.setdefault(target, []).append((scores, values, pairs[1]))
        out = {}
        for target, messages in arriving.items():
            scores, values, targets = (jnp.concatenate(parts) for parts in zip(*messages, strict=True))
            x = features[target] if num_targets is None else features[target][: num_targets[target]]
            weights = neighbour_softmax(scores, targets, len(x))  # [E, K]
            heard = neighbour_sum(values * weights[:, :, jnp.newaxis], targets, len(x))  # [N, K, H / K]
            heard = nn.gelu(heard.reshape(len(x), width), approximate=False)
            out[target] = self._keep_some(target, x, nn.Dense(width, name=f"{target}__out")(heard))
        return out

    def _messages(
        self, name: str, key: jax.Array, query: jax.Array, value: jax.Array, pairs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Scores [E, K] and values [E, K, H / K] of the edges of one type."""
        heads, size = key.shape[1:]
        init = nn.initializers.lecun_normal(batch_axis=(0,))
        turn_key, turn_value = (
            self.param(f"{name}__{part}", init, (heads, size, size), jnp.float32) for part in ("key", "value")
        )
        prior = self.param(f"{name}__prior", nn.initializers.ones, (heads,), jnp.float32)
        key = rows_at(jnp.einsum("nkd,kde->nke", key, turn_key), pairs[0])  # [E, K, H / K]
        scores = jnp.sum(key * rows_at(query, pairs[1]), axis=-1) * (prior / size**0.5)[jnp.newaxis]
        return scores, rows_at(jnp.einsum("nkd,kde->nke", value, turn_value), pairs[0])

    def _keep_some(self, name: str, x: jax.Array, new: jax.Array) -> jax.Array:
        """A learnt mixture of old and new, where they are as wide; the new alone elsewhere."""
        if x.shape != new.shape:
            return new
        share = nn.sigmoid(self.param(f"{name}__skip", nn.initializers.ones, (1, 1), jnp.float32))
        return share * new + (1 - share) * x


class HgtEncoder(LayerStack):
    """HGT layers over a typed graph.

    Attributes:
      num_heads: of attention. Others: see LayerStack.
    """

    num_heads: int = 4

    def make_layer(self, layer: int) -> HgtConv:
        return HgtConv(self.hidden_channels, self.metadata, self.num_heads, name=f"layer_{layer}")
