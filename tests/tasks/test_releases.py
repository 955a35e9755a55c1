"""From a release as it is published to training examples: every data set, by its own reader."""

import numpy as np
import pytest
import seqio
from mt3x.tasks import registered

from mt3x.data.build import build
from mt3x.data.datasets import READERS, make_reader
from mt3x.data.records import Records
from mt3x.data.seqio_tasks import FrontEnd, TaskOptions
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, VocabularyConfig, build_codec, vocabulary_from_codec
from tests.data.datasets.test_readers import OPTIONS, RELEASES

LENGTHS = {"inputs": 512, "targets": 1024}
DATASETS = {dataset.CONFIG.name: dataset for dataset in registered.DATASETS}


def test_every_reader_has_its_tasks():
    assert set(DATASETS) == set(READERS) == set(RELEASES)
    for name, dataset in DATASETS.items():
        reader = make_reader(name, **OPTIONS.get(name, {}))
        assert {split.records.split for split in dataset.CONFIG.splits.values()} == set(reader.splits)


@pytest.mark.parametrize("name", READERS)
def test_a_release_becomes_training_examples(name, tmp_path):
    RELEASES[name](tmp_path / "release")
    reader = make_reader(name, **OPTIONS.get(name, {}))
    build(reader, tmp_path / "release", tmp_path / "records" / name)
    DATASETS[name].register(TaskOptions(str(tmp_path / "records"), front_end=FrontEnd.IN_STEP))
    spec, velocities = (NoteSpec.NOTES_WITH_TIES, 1) if name != "maestrov1" else (NoteSpec.NOTES, 127)
    codec = build_codec(VocabularyConfig(num_velocity_bins=velocities))
    task = seqio.TaskRegistry.get(f"{name}_{spec.value}{'_vb1' * (velocities == 1)}_train_in_step")
    records = Records(tmp_path / "records" / name, "train")
    assert task.num_input_examples("train") == len(records)
    examples = list(task.get_dataset(LENGTHS, split="train", seed=0).as_numpy_iterator())
    assert len(examples) >= len(records)
    programs = {program for record in records for program in record.notes["program"]}
    for ex in examples:
        assert ex["samples"].shape == (512 * 128,) and np.isfinite(ex["samples"]).all()
        assert ex["targets"][-1] == EOS_ID
        indexes = vocabulary_from_codec(codec).decode(ex["targets"])
        notes, report = decode_segments([indexes], [0.0], codec, spec)
        assert report.dropped_events == 0
        assert set(notes["program"]) <= programs | {0}
