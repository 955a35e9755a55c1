"""Where the whole pieces of `mt3x infer` come from, as gin names it: built data sets, seqio tasks.

A source has tasks by name, each a sequence of pieces in an order that never changes; `pieces` takes every so
many of them, so that several processes share the work and a stopped one goes on.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from mt3x.data.records.array_records import Example, Records
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.training.evaluation import Piece


@dataclasses.dataclass(frozen=True)
class BuiltPieces:
    """A split of data sets that `mt3x prepare` built, read without TensorFlow. A task is called NAME-SPLIT.

    Attributes:
      data_dir: the folder that holds a folder for each of `names`.

    Raises:
      ValueError: there is no name.
    """

    data_dir: str
    names: Sequence[str]
    split: str = "validation"

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(
                f"DATASETS are {self.names}; give data sets, such as ('guitarset',), or a task's gin file "
                "after the run's"
            )

    def open(self) -> list[str]:
        """The tasks' names.

        Raises:
          DataError: a data set is not there, or lacks the split.
        """
        for name in self.names:
            self._records(name)
        return [f"{name}-{self.split}" for name in self.names]

    def pieces(self, task: str, first: int = 0, step: int = 1) -> Iterator[Piece]:
        """Pieces `first`, `first + step`, ... of a task; no others are read."""
        records = self._records(task.removesuffix(f"-{self.split}"))
        return (_piece(records[index]) for index in range(first, len(records), step))

    def _records(self, name: str) -> Records:
        return Records(Path(self.data_dir) / name, self.split)


@dataclasses.dataclass(frozen=True)
class TaskPieces:
    """An evaluation task of seqio, or a mixture of some; needs TensorFlow. A task is called TASK-SPLIT.

    Attributes:
      name: as registered, such as "guitarset_notes_ties_vb1_validation".
      data_dir: the folder that holds a folder of records for each data set.
      module: registers the tasks (`register_tasks`); None where they are registered.

    Raises:
      ValueError: there is no name.
    """

    name: str | None
    data_dir: str
    split: str = "eval"
    module: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(
                f"MIXTURE_OR_TASK_NAME is {self.name!r}; give an evaluation task, such as "
                "'guitarset_notes_ties_vb1_validation'"
            )

    def open(self) -> list[str]:
        """Lets `module` register its tasks; the names of those that are meant.

        Raises:
          ValueError: no such task is registered, or it is not for evaluation; or there is no such module.
          ImportError: seqio is not installed.
        """
        from mt3x.data.seqio.evaluation import evaluation_tasks
        from mt3x.data.seqio.tasks import TaskOptions, register_tasks

        if self.module is not None:
            register_tasks(self.module, TaskOptions(data_dir=self.data_dir))
        return [f"{task}-{self.split}" for task in evaluation_tasks(str(self.name), self.split)]

    def pieces(self, task: str, first: int = 0, step: int = 1) -> Iterator[Piece]:
        """Pieces `first`, `first + step`, ... of a task; the others are read, too, and passed over."""
        from mt3x.data.seqio.evaluation import read_recordings

        recordings = read_recordings(task.removesuffix(f"-{self.split}"), self.split)
        return map(_piece, itertools.islice(recordings, first, None, step))


def _piece(example: Example) -> Piece:
    return Piece(example.samples, SAMPLE_RATE, example.notes, example.id)
