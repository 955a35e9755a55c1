"""Lines that libmpg123, inside libsndfile, writes to standard error: they are taken from there and judged.

There is no setting that silences it. What anyone else writes meanwhile is written again.
"""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_OURS = re.compile(rb".*libmpg123|Note: |Warning: |Skipped \d+ bytes|\s*$")
_ERROR = re.compile(rb".*\berror: ")
_LOCK = threading.Lock()  # of the process's one standard error


@contextlib.contextmanager
def taking_lines() -> Iterator[list[str]]:
    """The errors among the lines that libmpg123 writes meanwhile; the list is filled at the end."""
    errors: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(_LOCK)
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            kept = os.dup(2)
        except OSError:  # the process has none
            yield errors
            return
        os.dup2(file.fileno(), 2)
        try:
            yield errors
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file.read().splitlines(keepends=True):
                if not _OURS.match(line):
                    os.write(2, line)
                elif _ERROR.match(line):
                    errors.append(line.decode(errors="replace").strip())
