"""Trained networks of this room as files: one `.npz` with what the network is, as JSON, and its arrays."""

import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mt3x.music.files import whole_file

_ABOUT = "config"


def save_network(path: str | Path, about: dict[str, Any], variables: Any) -> None:
    """Writes a network to one file, whole or not at all.

    Args:
      about: what JSON can hold: sizes, and what else is needed to make the network again.
      variables: a tree of arrays; names joined by "/" are their names in the file.
    """
    flat: dict[str, Any] = flatten_dict(jax.device_get(variables), sep="/")
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **{_ABOUT: np.array(json.dumps(about))}, **flat)


def load_network(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `save_network` wrote: what the network is, and its variables.

    Raises:
      ValueError: the file is missing or isn't such a network.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(str(arrays.pop(_ABOUT)))
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a network of mt3x.score ({error}); train one with mt3x train-spelling"
        ) from error
    return about, unflatten_dict(arrays, sep="/")
