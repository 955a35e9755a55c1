"""Slakh2100: songs rendered from MIDI with sampled instruments (Manilow et al. 2019; CC BY 4.0).

Training hears 10 random subsets of at least 4 stems of each song, evaluation whole songs. How many examples
MT3's files hold was never told: the numbers here follow from the paper's 969 hours and 1405 songs, which are
10 subsets of 4.1 minutes each, and from the original split. The subsets hold as large a share of our records
as of MT3's files.
"""

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SUBSETS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

_FILES = "mt3/data/datasets/slakh"

CONFIG = DatasetConfig(
    name="slakh",
    layout="multitrack",
    splits={
        "train": Split(
            Selection("train"),
            f"{_FILES}/slakh_multi_full_subsets_10_train_all_inst.tfrecord-?????-of-02307",
            14050,
        ),
        "train_subset": Split(
            Selection("train", every=2307),
            f"{_FILES}/slakh_multi_full_subsets_10_train_all_inst.tfrecord-00000-of-02307",
            7,
        ),
        "validation": Split(
            Selection("validation"),
            f"{_FILES}/slakh_multi_full_validation_all_inst.tfrecord-?????-of-00168",
            375,
        ),
        "validation_subset": Split(
            Selection("validation", every=17),
            f"{_FILES}/slakh_multi_full_validation_all_inst.tfrecord-0000?-of-00168",
            23,
        ),
        "test": Split(
            Selection("test"), f"{_FILES}/slakh_multi_full_test_all_inst.tfrecord-?????-of-00109", 225
        ),
    },
    infer_eval_splits=EVAL_ON_SUBSETS,
    train_eval_split="validation_subset",
    trims_overlaps=True,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `slakh_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
