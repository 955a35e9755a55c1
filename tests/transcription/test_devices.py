"""How many readers there are on which machine."""

import pytest

from mt3x.transcription.devices import default_num_workers


@pytest.mark.parametrize(
    ("backend", "num_cores", "expected"), [("cpu", 64, 0), ("gpu", 2, 2), ("gpu", 64, 4), ("tpu", None, 1)]
)
def test_an_accelerator_has_readers_and_a_cpu_has_none(monkeypatch, backend, num_cores, expected):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    monkeypatch.setattr("os.cpu_count", lambda: num_cores)
    assert default_num_workers() == expected
