"""OpenScore songs and string quartets, played from their scores and rendered (scores CC0 1.0); not in MT3."""

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SPLITS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

CONFIG = DatasetConfig(
    name="openscore_synth",
    splits={name: Split(Selection(name)) for name in ("train", "validation", "test")},
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds `openscore_synth_notes_ties_vb1_*`."""
    add_transcription_task_to_registry(CONFIG, options)
