"""The auxiliary head reads every frame."""

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.model.frame_head import FrameHead


def test_untrained_head_gives_every_roll_and_expects_silence():
    encoded = np.random.RandomState(0).randn(2, 5, 32).astype(jnp.bfloat16)
    rolls, _ = jax.jit(FrameHead(num_classes=3).init_with_output)(jax.random.key(1), encoded)
    widths = {name: roll.shape[2] for name, roll in rolls.items()}
    assert widths == {"onset": 128, "active": 128, "drum": 128, "class_active": 3 * 128}
    for roll in rolls.values():
        assert roll.shape[:2] == (2, 5) and roll.dtype == jnp.float32
        assert float(np.mean(jax.nn.sigmoid(roll))) < 0.1
