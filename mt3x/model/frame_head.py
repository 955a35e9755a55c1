"""Piano rolls read from the encoder's output, frame by frame: an auxiliary training target.

The decoder alone learns slowly what each frame sounds like; a linear reading of every encoder frame, trained
with binary cross-entropy beside the token loss, teaches the encoder directly (the rolls are those of
onsets-and-frames, arXiv 1710.11153). Its parameters are a tree of their own, which exported models leave out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_PITCHES = 128

# About the share of ones in such rolls (2 %; of the classes' cells 0.2 %): emptiness need not be learnt.
_RARE_LOGIT, _RAREST_LOGIT = -4.0, -6.0


class FrameHead(nn.Module):
    """Encoder output [B, F, D] -> logits, float32, by name.

    - "onset" [B, F, 128]: a pitched note starts here;
    - "active" [B, F, 128]: a pitched note sounds;
    - "class_active" [B, F, num_classes * 128]: a note of this instrument class (16: program // 8) and pitch
      sounds, in column class * 128 + pitch;
    - "drum" [B, F, 128]: a drum is struck, by General MIDI percussion key.
    """

    num_classes: int = 16

    @nn.compact
    def __call__(self, encoded: jax.Array) -> dict[str, jax.Array]:
        x = nn.LayerNorm(name="norm")(encoded.astype(jnp.float32))

        def read(name: str, width: int, logit: float) -> jax.Array:
            return nn.Dense(width, bias_init=nn.initializers.constant(logit), name=name)(x)

        rolls = {name: read(name, NUM_PITCHES, _RARE_LOGIT) for name in ("onset", "active", "drum")}
        return rolls | {"class_active": read("class_active", self.num_classes * NUM_PITCHES, _RAREST_LOGIT)}
