"""What a program that transcribes asks for its process, and a library must not: for all of it changes.

Kept compilations make every start but the first a fast one; memory that was freed goes back to the system.
"""

import contextlib
import ctypes
import os
from pathlib import Path

import jax

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE_BYTES = 1 << 17


def settle_process() -> None:
    """Both of the below; call it before a model is loaded."""
    keep_compilations()
    return_freed_memory()


def keep_compilations() -> None:
    """Lets JAX keep compiled programs in the user's cache folder, by `XDG_CACHE_HOME` or `~/.cache`.

    Nothing happens where JAX has a folder already (`JAX_COMPILATION_CACHE_DIR`), or where none can be made.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(caches, "mt3x", "compiled")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def return_freed_memory() -> None:
    """Lets the C library (glibc; elsewhere nothing happens) give large arrays back as soon as they are freed.

    By itself glibc keeps arrays of up to 32 MB in heaps of each thread, where a small one behind them holds
    them back: a process that decodes with MT3's `small` network grew from 1.3 to 2.1 GB within five minutes
    of audio.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
