"""MAESTRO v1: 1184 recordings of piano competitions, keys and pedals recorded (Hawthorne et al. 2019).

Splits are the release's. The subsets hold as large a share of our records as of MT3's files.
"""

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SUBSETS,
    MT3_VOCABULARY,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)
from mt3x.tokens.spec import NoteSpec

_FILES = "magentadata/datasets/maestro/v1.0.0/maestro-v1.0.0_ns_wav"

CONFIG = DatasetConfig(
    name="maestrov1",
    layout="maestro",
    splits={
        "train": Split(Selection("train"), f"{_FILES}_train.tfrecord-?????-of-00010", 954),
        "train_subset": Split(Selection("train", every=10), f"{_FILES}_train.tfrecord-00002-of-00010", 96),
        "validation": Split(Selection("validation"), f"{_FILES}_validation.tfrecord-?????-of-00010", 105),
        "validation_subset": Split(
            Selection("validation", every=5), f"{_FILES}_validation.tfrecord-0000[06]-of-00010", 21
        ),
        "test": Split(Selection("test"), f"{_FILES}_test.tfrecord-?????-of-00010", 125),
    },
    infer_eval_splits=EVAL_ON_SUBSETS,
    train_eval_split="validation_subset",
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `maestrov1_notes_*` with 127 velocities."""
    add_transcription_task_to_registry(CONFIG, options, MT3_VOCABULARY, NoteSpec.NOTES)
