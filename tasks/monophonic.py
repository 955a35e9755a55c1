"""Single lines of scores, one instrument each, rendered and heard by up to 8 at once; not in MT3.

The kind of data that MT3 was pretrained on for its release of ISMIR 2022, whose task was not published.
Records hold the mixes; where they hold lines alone, `TaskOptions.max_examples_per_mix` mixes them.
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
    name="monophonic",
    splits={name: Split(Selection(name)) for name in ("train", "validation", "test")},
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `monophonic_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
