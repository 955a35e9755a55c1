"""MusicNet: 330 recordings of chamber music, labels aligned to scores (Thickstun et al. 2017; CC BY 4.0).

Split as MT3: lists of 15 recordings to validate and 15 to test, the other 300 train.
"""

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SPLITS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

CONFIG = DatasetConfig(
    name="musicnet",
    layout="musicnet",
    splits={
        "train": Split(
            Selection("train"), "mt3/data/datasets/musicnet/musicnet-train.tfrecord-?????-of-00036", 300
        ),
        "validation": Split(
            Selection("validation"),
            "mt3/data/datasets/musicnet/musicnet-validation.tfrecord-?????-of-00005",
            15,
        ),
        "test": Split(
            Selection("test"), "mt3/data/datasets/musicnet/musicnet-test.tfrecord-?????-of-00003", 15
        ),
    },
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `musicnet_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
