"""Orbax checkpoints, the format that training writes: any tree of arrays, whole or not at all.

A save goes to a temporary folder that is renamed when complete, so that a killed run keeps its last finished
checkpoint. Source: orbax-checkpoint's StandardCheckpointer. Nothing is pickled.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mt3x.checkpoints.errors import CheckpointError
from mt3x.checkpoints.find import ORBAX, find_checkpoint
from mt3x.checkpoints.folder import Folder, check_new_place, tensorstore_reason
from mt3x.checkpoints.tree import check_shapes

PARAMS_KEYS = ("average", "params", "target")
"""The parts of a training state that can be its weights (the last is T5X's); one transcribes with the first
that is there."""

_VALUES = "values"


def save_orbax(path: str | os.PathLike[str], tree: Any) -> None:
    """Writes a tree (dicts, dataclasses, optax states, ...) of arrays and numbers; returns when it is on the
    disk.

    Raises:
      CheckpointError: `path` exists already, ends like an unfinished folder, or is in a bucket.
    """
    import orbax.checkpoint as ocp

    final = check_new_place(path)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(final, tree)


def restore_orbax(path: str | os.PathLike[str], target: Any = None) -> Any:
    """Reads an Orbax checkpoint, or the newest of a folder of them.

    Args:
      path: its folder.
      target: a tree with the structure, shapes, dtypes and placement wanted: a fresh training state, or
        jax.ShapeDtypeStructs. Without it, dataclasses and named tuples come back as dicts, other sequences as
        lists, and arrays as NumPy's.

    Raises:
      CheckpointError: there is no Orbax checkpoint here, an array cannot be read, or the arrays are not those
        of `target`; the text names them.
    """
    import orbax.checkpoint as ocp

    directory = _orbax_folder(path)
    try:
        stored = _stored_tree(directory)
        if target is None:
            return _restore_numpy(directory, stored)
        check_shapes(
            _named_shapes(stored), _named_shapes(ocp.tree.serialize_tree(target, keep_empty_nodes=True))
        )
        return _restore_like(directory, target)
    except (ValueError, KeyError, OSError) as error:
        raise CheckpointError(f"{directory}: {tensorstore_reason(error)}") from error


def restore_orbax_params(path: str | os.PathLike[str]) -> tuple[dict[str, Any], int | None]:
    """The weights in an Orbax checkpoint, and the step if a training state was saved; nothing else is read.

    Returns:
      Nested dict of NumPy arrays: the part of a training state that `PARAMS_KEYS` names, or the whole tree
      where it has no such part.

    Raises:
      CheckpointError: there is no Orbax checkpoint here, or an array cannot be read.
    """
    directory = _orbax_folder(path)
    try:
        stored = _stored_tree(directory)
        if not isinstance(stored, dict):
            raise CheckpointError(f"expected a dict of parameters, found {type(stored).__name__}")
        part = next((key for key in PARAMS_KEYS if key in stored), None)
        if part is None:
            return _restore_numpy(directory, stored), None
        state = _restore_numpy(directory, {key: stored[key] for key in (part, "step") if key in stored})
    except (ValueError, KeyError, OSError) as error:
        raise CheckpointError(f"{directory}: {tensorstore_reason(error)}") from error
    return state[part], int(state["step"]) if "step" in state else None


def _orbax_folder(path: str | os.PathLike[str]) -> str:
    found = find_checkpoint(path)
    if found.format is not ORBAX:
        raise CheckpointError(f"{found.folder} is not an Orbax checkpoint but one of {found.format.value}")
    return found.folder.path


def _stored_tree(directory: str) -> Any:
    """The tree of the checkpoint with a description (shape, dtype) in place of each array.

    Raises:
      CheckpointError: Orbax finds no description.
    """
    import orbax.checkpoint as ocp

    with _without_warnings(), ocp.PyTreeCheckpointer() as checkpointer:
        described = checkpointer.metadata(directory).item_metadata
    if described is None:
        raise CheckpointError("its list of arrays cannot be read; copy the whole folder again")
    return described.tree


def _restore_numpy(directory: str, stored: Any) -> Any:
    """The arrays of `stored`, which is the checkpoint's tree or the part of it that is wanted."""
    import jax
    import orbax.checkpoint as ocp

    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), stored)
    with ocp.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore(
            directory, args=ocp.args.PyTreeRestore(item=stored, restore_args=as_numpy, partial_restore=True)
        )


def _restore_like(directory: str, target: Any) -> Any:
    """The whole checkpoint as Orbax makes it of `target`.

    Raises:
      CheckpointError: an array cannot be read.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        try:
            return checkpointer.restore(directory, target)
        except Exception as error:  # Orbax raises plain Exception around what tensorstore says.
            raise CheckpointError(tensorstore_reason(error.__cause__ or error)) from error


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Orbax warns that the part of a checkpoint that is read alone has no description of the whole."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _named_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by name in a tree of dicts and lists; a typed random key counts as the integers in it."""
    import jax
    import jax.numpy as jnp
    import orbax.checkpoint as ocp

    def shape(leaf: Any) -> tuple[int, ...]:
        if jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key):
            return jax.eval_shape(jax.random.key_data, leaf).shape
        return tuple(getattr(leaf, "shape", ()))

    flat = ocp.tree.to_flat_dict(tree, sep="/")
    return {name: shape(leaf) for name, leaf in flat.items() if leaf is not None}


class CheckpointDirectory:
    """The checkpoints of one training run: `<path>/checkpoint_<step>`, of which the last `keep` stay.

    Saves return when the arrays are copied; they are written while training goes on, and a checkpoint has its
    name only when it is whole. All processes of a run must call together. A context manager.
    Source: orbax-checkpoint's CheckpointManager.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2):
        """Makes the folder; what a killed run left unfinished in it is not taken for a checkpoint.

        Raises:
          ValueError: `keep` is below 1.
        """
        import jax
        import orbax.checkpoint as ocp

        if keep < 1:
            raise ValueError(f"keep is {keep}: give at least 1")
        self._folder = Folder.at(path)
        os.makedirs(self._folder.path, exist_ok=True)
        # Processes that are named wait for each other by messages. Else they would by a sum over all devices,
        # begun in the thread that writes: it meets those of the training steps in another order in each
        # process, and all wait for ever.
        processes = ocp.options.MultiprocessingOptions(
            active_processes=set(range(jax.process_count())),
            barrier_sync_key_prefix=self._folder.name,  # another folder's saves may go on at the same time
        )
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            step_prefix="checkpoint",
            cleanup_tmp_directories=True,
            create=False,  # Orbax makes no folder for processes that are named
            multiprocessing_options=processes,
        )
        self._manager = ocp.CheckpointManager(self._folder.path, options=options)

    def __enter__(self) -> "CheckpointDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Returns when everything is on the disk."""
        self._manager.close()

    def newest_step(self) -> int | None:
        """The last step that was saved; None before the first save."""
        return self._manager.latest_step()

    def save(self, step: int, trees: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Saves trees of arrays, each under its name ("state"), and `values` as JSON, all or nothing.

        Raises:
          CheckpointError: this step is saved already, or an earlier save failed.
        """
        import orbax.checkpoint as ocp

        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        values_item = {_VALUES: ocp.args.JsonSave(dict(values))}
        try:
            self._manager.save(step, args=ocp.args.Composite(**items, **values_item), force=True)
        except ValueError as error:
            raise CheckpointError(f"{self._folder}: step {step}: {error}") from error

    def restore(self, step: int, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The trees of a step; each target is as in `restore_orbax`.

        Raises:
          CheckpointError: this step was not saved, or does not fit the targets.
        """
        folder = self._at(step)
        return {name: restore_orbax((folder / name).path, target) for name, target in targets.items()}

    def read_names(self, step: int, name: str) -> set[str]:
        """The flat names of the arrays in a tree of a step.

        Raises:
          CheckpointError: this step was not saved, or its list of arrays cannot be read.
        """
        return set(_named_shapes(_stored_tree((self._at(step) / name).path)))

    def read_values(self, step: int) -> dict[str, Any]:
        """The values of a step.

        Raises:
          CheckpointError: this step was not saved.
        """
        import orbax.checkpoint as ocp

        self._at(step)
        read = ocp.args.Composite(**{_VALUES: ocp.args.JsonRestore()})
        return dict(self._manager.restore(step, args=read)[_VALUES])

    def _at(self, step: int) -> Folder:
        if step not in (steps := sorted(self._manager.all_steps())):
            raise CheckpointError(f"{self._folder}: step {step} was not saved; the steps that are: {steps}")
        return self._folder / f"checkpoint_{step}"
