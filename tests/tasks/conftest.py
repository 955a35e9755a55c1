"""Miniature data for every registered task, and registries that are as before after each test."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mt3x

if importlib.util.find_spec("mt3x.tasks") is None:  # run from the checkout, not installed
    mt3x.__path__.append(str(Path(__file__).parents[2]))

from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, Item, Recording, Stem
from mt3x.music.notes import make_notes, sort_notes, trim_overlapping_notes

SPLITS = ("train", "validation", "test")
STEMS = (("piano", 0, False), ("bass", 32, False), ("drums", 0, True))


class Miniature:
    """Three recordings a split, each of 1 s and three stems, heard in two mixes."""

    name = "miniature"
    splits = SPLITS

    def items(self, source, report):
        return [Item(f"{split} {number}", split, ()) for split in SPLITS for number in range(3)]

    def read(self, source, item, report):
        random = np.random.default_rng(sum(item.id.encode()))
        stems = []
        for name, program, is_drum in STEMS:
            start = random.integers(0, 80, 6) / 100
            end = start + random.integers(5, 20, 6) / 100
            notes = make_notes(start, end, random.integers(36, 60, 6), 90, program, is_drum)
            samples = random.normal(0, 0.1, SAMPLE_RATE).astype(np.float32).clip(-1, 1)
            stems.append(Stem(name, samples, sort_notes(trim_overlapping_notes(notes))))
        return Recording(item.id, item.split, tuple(stems), ((0, 1, 2), (0, 2)))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder in which every data set has records: the same ones."""
    from mt3x.tasks import registered

    folder = tmp_path_factory.mktemp("records")
    build(Miniature(), folder, folder / "miniature")
    for dataset in registered.DATASETS:
        (folder / dataset.CONFIG.name).symlink_to(folder / "miniature")
    return str(folder)


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """Nothing is registered before and after a test."""
    import seqio

    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})
