"""Files by Beam's file systems: local paths, and those of any scheme that Beam knows (`gs://`)."""

import contextlib
import uuid

from apache_beam.io.filesystem import CompressionTypes  # pyright: ignore[reportMissingImports]
from apache_beam.io.filesystems import FileSystems  # pyright: ignore[reportMissingImports]


def list_files(pattern: str) -> list[str]:
    """The files that a pattern of Beam names: `*` and `?` within a folder, `**` across folders; sorted.

    Raises:
      OSError: the file system can't be asked.
      ValueError: no file system has this scheme; the message names what to install for Google's.
    """
    return sorted(found.path for found in FileSystems.match([pattern])[0].metadata_list)


def read_file(path: str) -> bytes:
    """The bytes of a file, as they are."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def write_file(path: str, content: bytes) -> None:
    """Writes a file under a temporary name in its folder, which is made if it is missing, and renames it."""
    temporary = FileSystems.join(FileSystems.split(path)[0], f".{uuid.uuid4().hex}.tmp")
    try:
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(content)
        FileSystems.rename([temporary], [path])
    except OSError:
        with contextlib.suppress(OSError):
            delete(temporary)
        raise


def delete(path: str) -> None:
    """Deletes a file, if it is there."""
    if FileSystems.exists(path):
        FileSystems.delete([path])
