"""Kept compilations and freed memory, each in a process of its own: these are settings of a process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import jax
from mt3x.transcription.process import keep_compilations
keep_compilations()
keep_compilations()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x * 3 + 1)(2.0).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""

GROWN_MEGABYTES = """
import sys
import numpy as np
from mt3x.transcription.process import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

if sys.argv[1] == "yes":
    return_freed_memory()
del (first := [np.ones(3_000_000)])[:]  # a large one freed: glibc now keeps what is smaller
before = resident()
arrays = [np.ones(250_000) for _ in range(100)]  # 2 MB each
behind = np.ones(10_000)
arrays.clear()
print(resident() - before)
"""


def folder_in(tmp_path, **variables):
    """What JAX takes for its folder once a program has been compiled, or None; warnings are errors."""
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "caches")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return None if done.stdout == "None\n" else Path(done.stdout.rstrip("\n"))


def test_compiled_programs_are_kept_below_the_users_cache_folder(tmp_path):
    folder = folder_in(tmp_path)
    assert folder == tmp_path / "caches" / "mt3x" / "compiled"
    kept = {path.name for path in folder.iterdir()}
    assert len(kept) > 0
    assert folder_in(tmp_path) == folder
    assert {path.name for path in folder.iterdir() if path.name.endswith("-cache")} <= kept


def test_without_a_variable_it_is_in_the_home(tmp_path):
    folder = folder_in(tmp_path, XDG_CACHE_HOME="", HOME=str(tmp_path / "home"))
    assert folder == tmp_path / "home" / ".cache" / "mt3x" / "compiled"
    assert list(folder.iterdir())


def test_a_folder_that_jax_has_already_stays(tmp_path):
    own = tmp_path / "own"
    assert folder_in(tmp_path, JAX_COMPILATION_CACHE_DIR=str(own)) == own
    assert not (tmp_path / "caches").exists()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "caches").touch()
    assert folder_in(tmp_path) is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed arrays so")
@pytest.mark.parametrize(("is_asked", "is_kept"), [("no", True), ("yes", False)])
def test_large_arrays_go_back_when_they_are_freed(is_asked, is_kept):
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", GROWN_MEGABYTES, is_asked], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (float(done.stdout) > 100) == is_kept
