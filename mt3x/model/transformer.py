"""MT3's network: a T5.1.1 encoder-decoder whose encoder reads frames of continuous values.

Parameter names and shapes are T5X's (`decoder/layers_0/self_attention/query/kernel`, 2-D kernels), so
released checkpoints load without renaming. Ids are model ids: 0 pads and starts a sequence, 1 ends it.
Letters: B batch, F frames, M input depth, T tokens, D width, V vocabulary, K beams, L cache length.

Two ways through the decoder give the same numbers: `decode`, all positions at once (training, scoring), and
`project_memory` + `decode_step`, one position at a time with cached keys and values (search).

Source: MT3's `network.py` (arXiv 2111.03017, section 3.3). Deviations: padded target positions, which carry
no loss, are not masked, so their logits differ from MT3's (no others do); logits stay float32 in bfloat16,
where MT3 rounds them; `logits_via_embedding=True` works (in MT3 it refers to a missing attribute).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.model.config import TransformerConfig
from mt3x.model.layers import (
    Attention,
    KeyValues,
    Mlp,
    RMSNorm,
    along_batch,
    dropout_over_time,
    sinusoid_table,
)


class DecoderMemory(NamedTuple):
    """The encoder's output as the decoder's layers read it: per layer keys and values [B, H, F, head_dim]."""

    layers: tuple[KeyValues, ...]


def shift_right(ids: jax.Array) -> jax.Array:
    """Decoder inputs for target ids int32 [B, T]: a 0 in front, the last id dropped.

    >>> shift_right(jnp.array([[7, 8, 1]])).tolist()
    [[0, 7, 8]]
    """
    return jnp.pad(ids[:, :-1], ((0, 0), (1, 0)))


class EncoderLayer(nn.Module):
    """Self-attention over all frames, then the feed-forward block; norms before, residuals around."""

    config: TransformerConfig

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        config = self.config
        drop = dropout_over_time(config)
        attention = Attention(config, name="attention")
        y = RMSNorm(config.dtype, name="pre_attention_layer_norm")(x)
        y = attention(y, attention.keys_values(y), deterministic=deterministic)
        x = x + drop(y, deterministic=deterministic)
        y = RMSNorm(config.dtype, name="pre_mlp_layer_norm")(x)
        y = Mlp(config, name="mlp")(y, deterministic)
        return along_batch(x + drop(y, deterministic=deterministic))


class Encoder(nn.Module):
    """Frames [B, F, M] -> [B, F, D]."""

    config: TransformerConfig
    has_remat: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array, deterministic: bool) -> jax.Array:
        config = self.config
        project = nn.Dense(
            config.emb_dim, use_bias=False, dtype=config.dtype, name="continuous_inputs_projection"
        )
        positions = jnp.asarray(sinusoid_table(inputs.shape[1], config.emb_dim))  # [F, D]
        x = project(inputs).astype(jnp.float32) + positions[jnp.newaxis]  # [B, F, M] -> [B, F, D]
        x = dropout_over_time(config)(x, deterministic=deterministic).astype(config.dtype)
        layer = nn.remat(EncoderLayer, static_argnums=(2,)) if self.has_remat else EncoderLayer
        for index in range(config.num_encoder_layers):
            x = layer(config, name=f"layers_{index}")(x, deterministic)
        x = RMSNorm(config.dtype, name="encoder_norm")(x)
        return nn.Dropout(config.dropout_rate)(x, deterministic=deterministic)


class DecoderLayer(nn.Module):
    """Self-attention over earlier tokens, attention to the encoder, feed-forward block."""

    config: TransformerConfig

    def setup(self) -> None:
        config = self.config
        self.pre_self_attention_layer_norm = RMSNorm(config.dtype)
        self.self_attention = Attention(config)
        self.pre_cross_attention_layer_norm = RMSNorm(config.dtype)
        self.encoder_decoder_attention = Attention(config)
        self.pre_mlp_layer_norm = RMSNorm(config.dtype)
        self.mlp = Mlp(config)
        self.dropout = dropout_over_time(config)

    def project_memory(self, encoded: jax.Array) -> KeyValues:
        """Encoder output [B, F, D] -> what the encoder-decoder attention reads, [B, H, F, head_dim]."""
        return self.encoder_decoder_attention.keys_values(encoded)

    def __call__(self, x: jax.Array, memory: KeyValues, mask: jax.Array, deterministic: bool) -> jax.Array:
        """All positions: x [B, T, D], mask bool [1, 1, T, T] -> [B, T, D]."""
        y = self.pre_self_attention_layer_norm(x)
        y = self.self_attention(y, self.self_attention.keys_values(y), mask, deterministic)
        return self._finish(x, y, memory, deterministic)

    def step(
        self, x: jax.Array, memory: KeyValues, cache: KeyValues, position: jax.Array
    ) -> tuple[jax.Array, KeyValues]:
        """One position: x [B, K, D], cache [B * K, H, L, head_dim], position int32 [] -> [B, K, D], cache."""
        y = self.pre_self_attention_layer_norm(x).reshape(-1, 1, x.shape[-1])  # [B * K, 1, D]
        new = self.self_attention.keys_values(y)  # [B * K, H, 1, head_dim]
        start = (0, 0, position, 0)
        cache = KeyValues(
            jax.lax.dynamic_update_slice(cache.key, new.key, start),
            jax.lax.dynamic_update_slice(cache.value, new.value, start),
        )
        visible = jnp.arange(cache.key.shape[-2]) <= position  # [L]
        y = self.self_attention(y, cache, visible[jnp.newaxis, jnp.newaxis, jnp.newaxis])
        return self._finish(x, y.reshape(x.shape), memory, True), cache

    def _finish(self, x: jax.Array, attended: jax.Array, memory: KeyValues, deterministic: bool) -> jax.Array:
        # Beams of a segment share its memory: they stand where the positions stand, [B, K or T, D].
        x = x + self.dropout(attended, deterministic=deterministic)
        y = self.pre_cross_attention_layer_norm(x)
        y = self.encoder_decoder_attention(y, memory, deterministic=deterministic)
        x = x + self.dropout(y, deterministic=deterministic)
        y = self.mlp(self.pre_mlp_layer_norm(x), deterministic)
        return along_batch(x + self.dropout(y, deterministic=deterministic))


class Decoder(nn.Module):
    """Token ids and the encoder's output -> logits."""

    config: TransformerConfig
    has_remat: bool = False

    def setup(self) -> None:
        config = self.config
        self.token_embedder = nn.Embed(
            config.vocab_size, config.emb_dim, dtype=config.dtype, embedding_init=nn.initializers.normal(1.0)
        )
        layer = nn.remat(DecoderLayer, static_argnums=(4,)) if self.has_remat else DecoderLayer
        self.layers = [layer(config) for _ in range(config.num_decoder_layers)]
        self.decoder_norm = RMSNorm(config.dtype)
        self.dropout = dropout_over_time(config)
        if not config.logits_via_embedding:
            self.logits_dense = nn.Dense(config.vocab_size, use_bias=False, dtype=jnp.float32)

    def project_memory(self, encoded: jax.Array) -> DecoderMemory:
        return DecoderMemory(tuple(layer.project_memory(encoded) for layer in self.layers))

    def __call__(self, encoded: jax.Array, ids: jax.Array, deterministic: bool) -> jax.Array:
        """All positions: encoded [B, F, D], ids [B, T] -> logits float32 [B, T, V]."""
        length = ids.shape[1]
        mask = jnp.tri(length, dtype=bool)[jnp.newaxis, jnp.newaxis]  # [1, 1, T, T]
        positions = jnp.asarray(sinusoid_table(length, self.config.emb_dim))  # [T, D]
        x = self._embed(ids, positions[jnp.newaxis], deterministic)
        for layer, memory in zip(self.layers, self.project_memory(encoded).layers, strict=True):
            x = layer(x, memory, mask, deterministic)
        return self._logits(x, deterministic)

    def step(
        self, ids: jax.Array, position: jax.Array, memory: DecoderMemory, cache: tuple[KeyValues, ...]
    ) -> tuple[jax.Array, tuple[KeyValues, ...]]:
        """One position: ids [B, K] -> logits float32 [B, K, V], cache with this position written."""
        length = cache[0].key.shape[-2]
        table = jnp.asarray(sinusoid_table(length, self.config.emb_dim))  # [L, D]
        here = jax.lax.dynamic_slice_in_dim(table, position, 1)  # [1, D]
        x = self._embed(ids, here[jnp.newaxis], True)
        written = []
        for layer, layer_memory, layer_cache in zip(self.layers, memory.layers, cache, strict=True):
            x, layer_cache = layer.step(x, layer_memory, layer_cache, position)
            written.append(layer_cache)
        return self._logits(x, True), tuple(written)

    def _embed(self, ids: jax.Array, positions: jax.Array, deterministic: bool) -> jax.Array:
        x = self.token_embedder(ids).astype(jnp.float32) + positions  # [B, T] -> [B, T, D]
        return self.dropout(x, deterministic=deterministic).astype(self.config.dtype)

    def _logits(self, x: jax.Array, deterministic: bool) -> jax.Array:
        x = self.dropout(self.decoder_norm(x), deterministic=deterministic).astype(jnp.float32)
        if not self.config.logits_via_embedding:
            return self.logits_dense(x)  # [B, T, D] -> [B, T, V]
        # The embedding has unit variance: scaled so that the logits have it too.
        table = self.token_embedder.embedding.astype(jnp.float32)  # [V, D]
        return jnp.einsum("btd,vd->btv", x, table) / self.config.emb_dim**0.5


class Transformer(nn.Module):
    """The whole network: `model.apply({"params": params}, ..., method=...)` with the methods below.

    Dropout is on with `deterministic=False` and `rngs={"dropout": key}`. `has_remat` computes each layer
    again in the backward pass instead of keeping what it computed.
    """

    config: TransformerConfig
    has_remat: bool = False

    def setup(self) -> None:
        self.encoder = Encoder(self.config, self.has_remat)
        self.decoder = Decoder(self.config, self.has_remat)

    def __call__(
        self,
        inputs: jax.Array,
        decoder_input_ids: jax.Array,
        deterministic: bool = True,
    ) -> jax.Array:
        """Logits float32 [B, T, V] of `encode` and `decode` in one call."""
        encoded = self.encode(inputs, deterministic)
        return self.decode(encoded, decoder_input_ids, deterministic)

    def encode(self, inputs: jax.Array, deterministic: bool = True) -> jax.Array:
        """Frames float [B, F, M] -> encoder output [B, F, D] in the compute dtype.

        Raises:
          ValueError: inputs are not [B, F, input_depth].
        """
        depth = self.config.input_depth
        if inputs.ndim != 3 or inputs.shape[-1] != depth:
            raise ValueError(f"inputs have shape {inputs.shape}: give frames [batch, frames, {depth}]")
        return self.encoder(inputs, deterministic)

    def decode(
        self, encoded: jax.Array, decoder_input_ids: jax.Array, deterministic: bool = True
    ) -> jax.Array:
        """Encoder output [B, F, D] and ids int32 [B, T] -> logits float32 [B, T, V].

        The ids are the targets shifted right (`shift_right`); each position sees itself and the earlier ones.

        Raises:
          ValueError: the ids are not [B, T].
        """
        if decoder_input_ids.ndim != 2:
            raise ValueError(f"decoder_input_ids have shape {decoder_input_ids.shape}: give [batch, tokens]")
        return self.decoder(encoded, decoder_input_ids, deterministic)

    def project_memory(self, encoded: jax.Array) -> DecoderMemory:
        """Encoder output [B, F, D] -> keys and values of every decoder layer, computed once per segment."""
        return self.decoder.project_memory(encoded)

    def decode_step(
        self, ids: jax.Array, position: jax.Array, memory: DecoderMemory, cache: tuple[KeyValues, ...]
    ) -> tuple[jax.Array, tuple[KeyValues, ...]]:
        """One token for each of K beams: ids int32 [B, K] at `position` (int32 [], < L) -> logits, cache.

        Logits are float32 [B, K, V]; the cache (see `empty_cache`) comes back with this position written.
        """
        return self.decoder.step(ids, position, memory, cache)


def empty_cache(config: TransformerConfig, num_rows: int, length: int) -> tuple[KeyValues, ...]:
    """A cache for `length` positions: zeros [B * K, H, L, head_dim] for each decoder layer, in its dtype."""
    shape = (num_rows, config.num_heads, length, config.head_dim)
    zeros = jnp.zeros(shape, config.dtype)
    return tuple(KeyValues(zeros, zeros) for _ in range(config.num_decoder_layers))
