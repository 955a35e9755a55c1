"""What travels in the wheel, beside the code: gin files, tasks, the models and the mark of typed packages."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_carries_all_that_an_installation_needs(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "mt3x/py.typed",  # PEP 561: type checkers read the annotations of an installed mt3x
        "mt3x/gin/run/frames.gin",
        "mt3x/gin/run/beats.gin",
        "mt3x/tasks/__init__.py",
        "mt3x/models/default/checkpoint",
        "mt3x/models/default/config.json",
        "mt3x/models/beats/network.npz",
        "mt3x/models/spelling/weights.npz",
    ):
        assert name in names
    assert not [name for name in names if name.startswith("tests/")]
