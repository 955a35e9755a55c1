"""Frame-wise predictions from the encoder's output: an auxiliary training target, not part of transcribing.

The decoder alone learns slowly what each frame sounds like; a linear reading of every encoder frame, trained
with binary cross-entropy beside the token loss, teaches the encoder directly (the rolls are those of
onsets-and-frames, arXiv 1710.11153). Its parameters are a tree of their own, which exported models leave out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_PITCHES = 128

# Logit of about 2 %, the share of ones in such rolls: emptiness need not be learnt first.
_RARE_LOGIT = -4.0


class FrameHead(nn.Module):
    """Encoder output [B, F, D] -> logits, float32, by name:

    - "onset" [B, F, 128]: a pitched note starts here;
    - "active" [B, F, 128]: a pitched note sounds;
    - "class" [B, F, num_classes]: a note of this instrument class sounds (16: program // 8);
    - "drum" [B, F, 128]: a drum is struck, by General MIDI percussion key.
    """

    num_classes: int = 16

    @nn.compact
    def __call__(self, encoded: jax.Array) -> dict[str, jax.Array]:
        x = nn.LayerNorm(name="norm")(encoded.astype(jnp.float32))
        widths = {"onset": NUM_PITCHES, "active": NUM_PITCHES, "class": self.num_classes, "drum": NUM_PITCHES}
        bias_init = nn.initializers.constant(_RARE_LOGIT)
        return {name: nn.Dense(width, bias_init=bias_init, name=name)(x) for name, width in widths.items()}
