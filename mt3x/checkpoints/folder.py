"""A folder of files, on a disk or in a Cloud Storage bucket, and folders that appear whole or not at all.

A path that starts with `gs://` is a bucket and is read through tensorstore's `gcs` driver, with the
credentials that it finds by itself (none are needed for public buckets). Everything else is a local path,
read without tensorstore. Writing is local only: a bucket has no rename, and hence no write that is whole or
absent.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mt3x.checkpoints.errors import CheckpointError

UNFINISHED = re.compile(r"\.(orbax-checkpoint-)?tmp(-\w+)?$")
"""How the names of half-written folders end: T5X's and ours `.tmp-<n>`, Orbax's `.orbax-checkpoint-tmp`."""


@dataclass(frozen=True)
class Folder:
    """A folder to read from; it need not exist. `path` is local or `gs://bucket/...`."""

    path: str

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> "Folder":
        """The folder that a caller named: without trailing slashes, `~` expanded, absolute."""
        text = os.fspath(path)
        if text.startswith("gs://"):
            if not text[len("gs://") :].split("/")[0]:
                raise CheckpointError(f"{text!r} names no bucket: give gs://BUCKET/FOLDER")
            return cls(text.rstrip("/"))
        return cls(os.path.abspath(os.path.expanduser(text)))

    def __str__(self) -> str:
        return self.path

    @property
    def in_bucket(self) -> bool:
        return self.path.startswith("gs://")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/" if self.in_bucket else os.sep, 1)[-1]

    @property
    def parent(self) -> "Folder":
        """The folder around this one."""
        return Folder(self.path.rsplit("/", 1)[0] if self.in_bucket else os.path.dirname(self.path))

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.path}/{name}" if self.in_bucket else os.path.join(self.path, name))

    def kvstore(self) -> dict[str, str]:
        """The tensorstore specification of this folder as a key-value store."""
        if not self.in_bucket:
            return {"driver": "file", "path": self.path.rstrip(os.sep) + "/"}
        bucket, _, path = self.path[len("gs://") :].partition("/")
        return {"driver": "gcs", "bucket": bucket, "path": path and path + "/"}

    def read(self, name: str) -> bytes | None:
        """The bytes of one file of this folder; None where there is no such file.

        Raises:
          CheckpointError: the file is there but cannot be read, or the bucket cannot be reached.
        """
        if self.in_bucket:
            found = self._ask_bucket(lambda store: store.read(name).result())
            return found.value if found.state == "value" else None
        try:
            return Path(self.path, name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise CheckpointError(f"{Path(self.path, name)}: cannot be read: {error.strerror}") from error

    def names(self) -> list[str]:
        """Names of the files and folders directly in this folder, sorted; empty where there is no such
        folder.

        Raises:
          CheckpointError: the folder may not be listed, or the bucket cannot be reached.
        """
        if self.in_bucket:
            keys = self._ask_bucket(lambda store: store.list().result())
            return sorted({key.decode().split("/", 1)[0] for key in keys})
        try:
            return sorted(os.listdir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be listed: {error.strerror}") from error

    def _ask_bucket(self, question: Any) -> Any:
        import tensorstore

        try:
            return question(tensorstore.KvStore.open(self.kvstore()).result())
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {tensorstore_reason(error)}") from error


def tensorstore_reason(error: BaseException) -> str:
    """What a tensorstore error says, without the specification that it repeats at its end."""
    return str(error).split(" [tensorstore_spec=")[0]


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
      CheckpointError: `path` exists already, ends like an unfinished folder, or is in a bucket.
    """
    final = check_new_place(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{final.name}.tmp-{time.time_ns()}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_new_place(path: str | os.PathLike[str]) -> Path:
    """The absolute path, where a checkpoint may be written to it.

    Raises:
      CheckpointError: `path` exists already, ends like an unfinished folder, or is in a bucket.
    """
    folder = Folder.at(path)
    if folder.in_bucket:
        raise CheckpointError(
            f"{folder}: checkpoints are written to local folders only: write one, then copy it"
        )
    if UNFINISHED.search(folder.name):
        raise CheckpointError(
            f"{folder}: names that end in .tmp mark unfinished checkpoints: give another name"
        )
    if os.path.lexists(folder.path):
        raise CheckpointError(f"{folder} exists already: give a new path, or remove it first")
    return Path(folder.path)
