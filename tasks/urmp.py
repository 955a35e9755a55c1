"""URMP: 44 chamber pieces, each part recorded alone and then mixed (Li et al. 2018).

Split as MT3: pieces 1, 2, 12, 13, 24, 25, 31, 38 and 39 validate, the others train.
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
    name="urmp",
    layout="urmp",
    splits={
        "train": Split(Selection("train"), "mt3/data/datasets/urmp/train.tfrecord", 35),
        "validation": Split(Selection("validation"), "mt3/data/datasets/urmp/validation.tfrecord", 9),
    },
    infer_eval_splits=EVAL_ON_SPLITS[:2],
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `urmp_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
