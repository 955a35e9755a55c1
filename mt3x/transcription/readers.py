"""How many processes should read recordings ahead of the network."""

import os

import jax

MOST_READERS = 4
"""Readers that are started unasked; four read more than a thousand seconds of audio a second."""


def default_num_workers() -> int:
    """None where the network runs on a CPU: it would have to share it. Else one a core, up to four."""
    return 0 if jax.default_backend() == "cpu" else min(MOST_READERS, os.cpu_count() or 1)
