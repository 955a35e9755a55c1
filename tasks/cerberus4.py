"""Cerberus4: every piano, guitar, bass and drums of a Slakh song heard together (Manilow et al. 2020).

How many examples MT3's files hold was never told: the numbers here follow from the paper's 543 hours and its
960, 235 and 132 songs, a song lasting 4.1 minutes. The subsets hold as large a share of our records as of
MT3's files.
"""

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SUBSETS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

_FILES = "mt3/data/datasets/cerberus4"

CONFIG = DatasetConfig(
    name="cerberus4",
    layout="multitrack",
    splits={
        "train": Split(
            Selection("train"),
            f"{_FILES}/slakh_multi_cerberus_train_bass:drums:guitar:piano.tfrecord-?????-of-00286",
            5730,
        ),
        "train_subset": Split(
            Selection("train", every=286),
            f"{_FILES}/slakh_multi_cerberus_train_bass:drums:guitar:piano.tfrecord-00000-of-00286",
            21,
        ),
        "validation": Split(
            Selection("validation"),
            f"{_FILES}/slakh_multi_cerberus_validation_bass:drums:guitar:piano.tfrecord-?????-of-00212",
            1400,
        ),
        "validation_subset": Split(
            Selection("validation", every=21),
            f"{_FILES}/slakh_multi_cerberus_validation_bass:drums:guitar:piano.tfrecord-0000?-of-00212",
            67,
        ),
        "test": Split(
            Selection("test"),
            f"{_FILES}/slakh_multi_cerberus_test_bass:drums:guitar:piano.tfrecord-?????-of-00106",
            790,
        ),
    },
    infer_eval_splits=EVAL_ON_SUBSETS,
    train_eval_split="validation_subset",
    trims_overlaps=True,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `cerberus4_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
