"""Files that appear whole or not at all: who looks finds the file of before or the new one, never half of it.

What is written goes into a file beside the final one, `.*.tmp`, is put on disk, and takes the final name in
one step (`os.replace`). A kill may leave such a `.*.tmp` behind.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write a file, which becomes `path` if the block ends well, and vanishes if it does not.

    A file that is there is replaced; if `path` is a link, the file that it leads to.

        with whole_file("network.npz") as unfinished, unfinished.open("wb") as file:
            np.savez(file, **arrays)

    Raises:
      OSError: the file cannot be written; names `path`.
    """
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file():  # a device would be replaced too
        raise FileExistsError(
            errno.EEXIST, "what stands there is no file; give another name", os.fspath(path)
        )
    # A name that cannot clash or grow too long, in the same folder so that the replacement is one step.
    unfinished = final.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:  # Windows puts on disk only what may be written to
            os.fsync(file.fileno())
        os.replace(unfinished, final)
    except OSError as error:
        is_ours = error.errno is not None and error.filename in (None, str(unfinished))
        if not is_ours:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone if all went well
            unfinished.unlink()


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file whole or not at all, as `whole_file` does.

    Raises:
      OSError: the file cannot be written; names `path`.
    """
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)


def is_unfinished(path: Path) -> bool:
    """Whether this is the name of a file that is being written, or that a kill left behind."""
    return path.name.startswith(".") and path.suffix == ".tmp"
