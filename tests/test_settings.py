"""What `conftest.py` sets for every test."""

import os
from pathlib import Path

import jax


def test_programs_are_kept_where_processes_that_tests_start_find_them():
    folder = os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert jax.config.jax_compilation_cache_dir == folder
    jax.jit(lambda x: x * 3 + 2)(1.0).block_until_ready()
    assert any(path.name.endswith("-cache") for path in Path(folder).iterdir())
