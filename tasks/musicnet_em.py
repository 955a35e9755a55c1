"""MusicNetEM: MusicNet's recordings with labels refined by expectation maximisation (Maman & Bermano 2022).

Split as MusicNet in MT3; 7 of the 300 training recordings have no refined labels.
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
    name="musicnet_em",
    layout="musicnet",
    splits={
        "train": Split(
            Selection("train"), "mt3/data/datasets/musicnet_em/train.tfrecord-?????-of-00103", 293
        ),
        "validation": Split(
            Selection("validation"), "mt3/data/datasets/musicnet_em/validation.tfrecord-?????-of-00005", 15
        ),
        "test": Split(Selection("test"), "mt3/data/datasets/musicnet_em/test.tfrecord-?????-of-00006", 15),
    },
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `musicnet_em_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
