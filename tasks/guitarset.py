"""GuitarSet: solo acoustic guitar, 360 half-minute excerpts (Xi et al. 2018; CC BY 4.0).

Split as MT3: of each style, progressions 1 and 2 train, 3 validates.
"""

from mt3x.data.seqio_sources import Selection
from mt3x.data.seqio_tasks import (
    MULTI_INSTRUMENT_VOCABULARY,
    DatasetConfig,
    InferEvalSplit,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)
from mt3x.tokens.spec import NoteSpec

CONFIG = DatasetConfig(
    name="guitarset",
    layout="guitarset",
    splits={
        "train": Split(Selection("train"), "mt3/data/datasets/guitarset/train.tfrecord-?????-of-00019", 240),
        "validation": Split(
            Selection("validation"), "mt3/data/datasets/guitarset/validation.tfrecord-?????-of-00006", 120
        ),
    },
    infer_eval_splits=(InferEvalSplit("train", "eval_train"), InferEvalSplit("validation", "validation")),
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `guitarset_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, MULTI_INSTRUMENT_VOCABULARY, NoteSpec.NOTES_WITH_TIES, options)
