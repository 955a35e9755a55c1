"""Single lines with pitch and program, to be mixed by up to 8 (`TaskOptions.max_examples_per_mix`).

The kind of data that MT3 was pretrained on for its release of ISMIR 2022, whose task was not published.
"""

from mt3x.data.seqio_sources import Selection
from mt3x.data.seqio_tasks import (
    EVAL_ON_SPLITS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

CONFIG = DatasetConfig(
    name="monophonic",
    splits={name: Split(Selection(name)) for name in ("train", "validation", "test")},
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `monophonic_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
