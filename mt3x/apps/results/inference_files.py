"""The files of `mt3x infer`: JSON lines that appear when they are complete, and go on where they stopped.

Source: MT3 `inference.py` (the fields), T5X `infer.py` (names of the parts), seqio's `JSONLogger` (means).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mt3x.metrics.instruments import mean_scores
from mt3x.music.files import whole_file

SETTINGS_FILE = "infer.json"
SCORES_FOLDER = "inference_eval"


def claim_folder(folder: Path, made_by: dict[str, Any]) -> None:
    """Writes down what makes the files in a folder.

    Raises:
      ValueError: something else made those that are there.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        _write(path, [made_by])
    before = next(_read(path))
    for name, value in made_by.items():
        if before.get(name) != value:
            raise ValueError(
                f"{folder} holds inferences of another {name} (see {path}); choose another folder"
            )


class TaskFiles:
    """The files of one task and one part of its pieces, of which each appears when it is complete.

    Attributes:
      num_done: pieces whose lines are kept from a stopped command.
      means_path: the means over all parts.
    """

    def __init__(self, folder: Path, task: str, shard: int, num_shards: int, has_scores: bool):
        self._num_shards = num_shards
        self._name = f"{task}.jsonl"
        self._scores_name = f"{SCORES_FOLDER}/{task}-scores.jsonl" if has_scores else None
        self._folder = folder
        self._shard = shard
        self.means_path = folder / SCORES_FOLDER / f"{task}-metrics.jsonl"
        notes = self._path(self._name, shard)
        self._part = notes.with_name(f"{notes.name}.part")
        kept = self._part.read_bytes() if self._part.exists() else b""
        kept = kept[: kept.rfind(b"\n") + 1]  # a line may be cut off
        self.num_done = kept.count(b"\n")
        if self.num_done:
            self._part.write_bytes(kept)
        else:
            self._part.unlink(missing_ok=True)

    @property
    def are_complete(self) -> bool:
        """Whether nothing is left to do for this part, but maybe the means."""
        names = [self._name] if self._scores_name is None else [self._name, self._scores_name]
        return all(self._path(name, self._shard).exists() for name in names)

    def add(self, line: dict[str, Any]) -> None:
        """Keeps a piece's line."""
        with self._part.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def complete(self) -> None:
        """Writes this part's files, from the lines that are kept."""
        if self._scores_name is not None:
            _write(
                self._path(self._scores_name, self._shard),
                ({"id": line["id"], **line["scores"]} for line in _read(self._part)),
            )
        names = ("id", "est_notes")
        _write(
            self._path(self._name, self._shard),
            ({name: line[name] for name in names} for line in _read(self._part)),
        )
        self._part.unlink(missing_ok=True)

    def write_means(self, step: int | None) -> bool:
        """Writes the means if all parts are complete; whether they are.

        Args:
          step: of the checkpoint; None is written as -1, as seqio does.
        """
        paths = [self._path(str(self._scores_name), shard) for shard in range(self._num_shards)]
        if not all(path.exists() for path in paths):
            return False
        lines = [line for path in paths for line in _read(path)]
        scores = [{name: line[name] for name in line if name != "id"} for line in lines]
        _write(self.means_path, [{"step": -1 if step is None else step, **mean_scores(scores)}])
        return True

    def _path(self, name: str, shard: int) -> Path:
        ending = f"-{shard:05}-of-{self._num_shards:05}" if self._num_shards > 1 else ""
        return self._folder / f"{name}{ending}"


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; none if there is no file."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """A JSONL file, whole or not at all; other processes may write the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
