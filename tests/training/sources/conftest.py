"""A process of a run: alone, or one of two."""

import pytest

from mt3x.training.sources import sharing


@pytest.fixture(params=[(0, 1), (0, 2), (1, 2)])
def processes(request, monkeypatch):
    """Its number, and how many there are."""
    monkeypatch.setattr(sharing, "this_process", lambda: request.param)
    return request.param
