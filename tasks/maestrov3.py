"""MAESTRO v3: 1276 recordings of piano competitions, keys and pedals recorded (Hawthorne et al. 2019).

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

_FILES = "magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0_ns_wav"

CONFIG = DatasetConfig(
    name="maestrov3",
    layout="maestro",
    splits={
        "train": Split(Selection("train"), f"{_FILES}_train.tfrecord-?????-of-00025", 962),
        "train_subset": Split(Selection("train", every=25), f"{_FILES}_train.tfrecord-00004-of-00025", 39),
        "validation": Split(Selection("validation"), f"{_FILES}_validation.tfrecord-?????-of-00025", 137),
        "validation_subset": Split(
            Selection("validation", every=5), f"{_FILES}_validation.tfrecord-0002?-of-00025", 28
        ),
        "test": Split(Selection("test"), f"{_FILES}_test.tfrecord-?????-of-00025", 177),
    },
    infer_eval_splits=EVAL_ON_SUBSETS,
    train_eval_split="validation_subset",
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `maestrov3_notes_*` with 127 velocities, and `maestrov3_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options, MT3_VOCABULARY, NoteSpec.NOTES)
    add_transcription_task_to_registry(CONFIG, options)
