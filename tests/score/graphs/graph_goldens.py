"""Graphs that GraphMuse made, stored, for several test files."""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[2] / "golden" / "graph"
SCORES = ("pt_example", "wtc1f01")
RANDOM = ("synth_200", "synth_1000", "synth_5000")


def read_golden(name):
    """All stored arrays, and the note array that the graph was made of."""
    with np.load(GOLDEN / f"{name}.npz") as stored:
        arrays = dict(stored)
    names = [key[4:] for key in arrays if key.startswith("na__")]
    return arrays, np.rec.fromarrays([arrays[f"na__{key}"] for key in names], names=names)
