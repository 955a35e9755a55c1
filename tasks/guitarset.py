"""GuitarSet: solo acoustic guitar, 360 half-minute excerpts (Xi et al. 2018; CC BY 4.0).

Split as MT3: of each style, progressions 1 and 2 train, 3 validates. Each excerpt is there twice, as the
microphone and as the pickups heard it.
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
    name="guitarset",
    layout="guitarset",
    splits={
        "train": Split(Selection("train"), "mt3/data/datasets/guitarset/train.tfrecord-?????-of-00019", 480),
        "validation": Split(
            Selection("validation"), "mt3/data/datasets/guitarset/validation.tfrecord-?????-of-00006", 240
        ),
    },
    infer_eval_splits=EVAL_ON_SPLITS[:2],
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `guitarset_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
