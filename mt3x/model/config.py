"""Sizes of the encoder-decoder network, and the sizes that MT3 and T5.1.1 use.

Source: MT3's `network.T5Config` and `gin/model.gin` (arXiv 2111.03017, section 3.3); T5.1.1 base from
arXiv 1910.10683's released sizes. `input_depth` stands here, unlike in MT3, so that the parameter shapes
follow from this one value.
"""

import dataclasses

from mt3x.music.checks import check_at_least

DTYPES = ("float32", "bfloat16")
ATTENTIONS = ("plain", "fused")
ACTIVATIONS = ("gelu", "linear", "relu", "silu", "swish")


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Sizes and options of a `Transformer`; equal configs give equal parameter trees.

    `dtype` is the type of the computation; parameters, logits and softmax are float32 in either. One
    activation is a plain feed-forward layer; two, one of them "linear", are a gated one. `attention` says how
    training computes it: "fused" never stores the weights where cuDNN can do so, on an NVIDIA GPU in bfloat16
    (`head_dim` must be a multiple of 8 there); it gives the numbers of "plain" up to rounding.

    Raises:
      ValueError: a size below its limit, a dropout rate outside [0, 1), an unknown dtype, activation or
        attention.
    """

    vocab_size: int = 1536
    emb_dim: int = 512
    num_heads: int = 6
    head_dim: int = 64
    mlp_dim: int = 1024
    num_encoder_layers: int = 8
    num_decoder_layers: int = 8
    input_depth: int = 512
    dropout_rate: float = 0.1
    dtype: str = "float32"
    mlp_activations: tuple[str, ...] = ("gelu", "linear")
    logits_via_embedding: bool = False
    attention: str = "plain"

    def __post_init__(self) -> None:
        # A config read from JSON holds a list.
        object.__setattr__(self, "mlp_activations", tuple(self.mlp_activations))
        for name, least in _LEAST_SIZES.items():
            check_at_least(least, **{name: getattr(self, name)})
        if self.emb_dim % 2:
            raise ValueError(f"emb_dim is {self.emb_dim}: give an even width (half sines, half cosines)")
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ValueError(f"dropout_rate is {self.dropout_rate}: give a rate in [0, 1)")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: give one of {', '.join(DTYPES)}")
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention is {self.attention!r}: give one of {', '.join(ATTENTIONS)}")
        if not self.mlp_activations or not set(self.mlp_activations) <= set(ACTIVATIONS):
            raise ValueError(
                f"mlp_activations is {self.mlp_activations}: give one or more of {', '.join(ACTIVATIONS)}"
            )


# emb_dim 4: the sinusoid's scale divides by emb_dim / 2 - 1.
_LEAST_SIZES = {
    "vocab_size": 2,
    "emb_dim": 4,
    "num_heads": 1,
    "head_dim": 1,
    "mlp_dim": 1,
    "num_encoder_layers": 0,
    "num_decoder_layers": 1,
    "input_depth": 1,
}

TINY = TransformerConfig(
    emb_dim=64, num_heads=4, head_dim=16, mlp_dim=128, num_encoder_layers=2, num_decoder_layers=2
)
SMALL = TransformerConfig()
BASE = TransformerConfig(
    emb_dim=768, num_heads=12, mlp_dim=2048, num_encoder_layers=12, num_decoder_layers=12
)
PRESETS = {"tiny": TINY, "small": SMALL, "base": BASE}
