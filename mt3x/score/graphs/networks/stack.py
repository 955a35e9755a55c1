"""What all encoders of score graphs share: layers over a typed graph, and the notes of the last of them.

Conventions as in hetero.py.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from mt3x.score.graphs.networks.hetero import Edges, Features, Hops, Metadata, check_graph, trim_to_layer
from mt3x.score.graphs.networks.recurrent import JumpingKnowledge


class LayerStack(nn.Module):
    """Layers of a kind that subclasses choose; LayerNorm and dropout between them.

    Attributes:
      hidden_channels: H. num_layers: L. metadata: node types and edge types.
      use_jk: a node's value is drawn from all layers by JumpingKnowledge, not from the last alone.
    """

    hidden_channels: int
    num_layers: int
    metadata: Metadata
    dropout: float = 0.5
    use_jk: bool = False

    @nn.compact
    def __call__(
        self, features: Features, edges: Edges, hops: Hops | None = None, deterministic: bool = True
    ) -> jax.Array:
        """Features {type: [N, D]}, edges {type: [2, E]} -> notes [N_note, H]; with hops those of hop 0."""
        check_graph(self.metadata, features, edges)
        x, by_layer = dict(features), []
        for layer in range(self.num_layers):
            rows = None
            if hops is not None:
                x, edges, rows = trim_to_layer(layer, self.num_layers, hops, x, edges)
            x = self.make_layer(layer)(x, edges, rows)
            if layer < self.num_layers - 1:
                norm = nn.LayerNorm(name=f"norm_{layer}")  # one for all types of nodes
                drop = nn.Dropout(self.dropout)
                x = {kind: drop(norm(self.activate(v)), deterministic=deterministic) for kind, v in x.items()}
            by_layer.append(x["note"])
        return JumpingKnowledge(name="jk")(by_layer) if self.use_jk else by_layer[-1]

    def make_layer(self, layer: int) -> Callable[..., dict[str, jax.Array]]:
        """The module of layer 0 .. L - 1, to be named `layer_{layer}` and called as HeteroConv is."""
        raise NotImplementedError

    def activate(self, x: jax.Array) -> jax.Array:
        """What comes before the LayerNorm: nothing."""
        return x
