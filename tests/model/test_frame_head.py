"""The auxiliary head reads every frame."""

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.model.frame_head import FrameHead


def test_frame_head_gives_one_roll_per_target():
    encoded = jax.random.normal(jax.random.key(0), (2, 5, 32)).astype(jnp.bfloat16)
    rolls, _ = FrameHead().init_with_output(jax.random.key(1), encoded)
    assert {name: roll.shape[2] for name, roll in rolls.items()} == {
        "onset": 128,
        "active": 128,
        "class": 16,
        "drum": 128,
    }
    assert all(roll.shape[:2] == (2, 5) and roll.dtype == jnp.float32 for roll in rolls.values())


def test_untrained_frame_head_expects_silence():
    encoded = jax.random.normal(jax.random.key(0), (2, 5, 32))
    rolls, _ = FrameHead(num_classes=3).init_with_output(jax.random.key(1), encoded)
    assert rolls["class"].shape == (2, 5, 3)
    assert float(np.mean(jax.nn.sigmoid(rolls["active"]))) < 0.1
