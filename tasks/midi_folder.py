"""Anyone's audio and MIDI files, paired by name: the way into fine-tuning.

mt3x prepare midi_folder --source takes --output records/my_band
midi_folder.register(TaskOptions(data_dir="records"), name="my_band")
seqio.get_mixture_or_task("my_band_notes_ties_vb1_train")
"""

import dataclasses

from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import (
    EVAL_ON_SPLITS,
    DatasetConfig,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)

CONFIG = DatasetConfig(
    name="midi_folder",
    splits={name: Split(Selection(name)) for name in ("train", "validation", "test")},
    infer_eval_splits=EVAL_ON_SPLITS,
)


def register(options: TaskOptions | None = None, name: str = CONFIG.name) -> None:
    """Adds `NAME_notes_ties_vb1_*`, which read the folder of that name."""
    add_transcription_task_to_registry(dataclasses.replace(CONFIG, name=name), options)
