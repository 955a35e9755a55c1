"""MT3's mixtures of data sets: `mega`, from each data set more often the larger it is, but far less than so.

A data set with n examples is drawn in proportion to n ** 0.3. Our `mega_*_eval` counts the examples of the
evaluation tasks' split "eval"; MT3's counts a split "train" that they do not have.

Source: MT3 `tasks.py`. The paper's text has MusicNet in the place of MusicNetEM.
"""

import functools

import seqio  # pyright: ignore[reportMissingImports]

from mt3x.data.seqio.tasks import (
    MULTI_INSTRUMENT_VOCABULARY,
    TaskOptions,
    replace_mixture,
    task_name,
)
from mt3x.tokens.spec import NoteSpec

DATASET_NAMES = ("maestrov3", "guitarset", "urmp", "musicnet_em", "cerberus4", "slakh")
TEMPERATURE = 10 / 3


def register(options: TaskOptions | None = None) -> None:
    """Adds `mega_notes_ties_vb1_train` and `_eval` over data sets that are registered already.

    Raises:
      ValueError: a data set is not registered with these options.
    """
    name = functools.partial(
        task_name,
        spec=NoteSpec.NOTES_WITH_TIES,
        vocab_config=MULTI_INSTRUMENT_VOCABULARY,
        options=options or TaskOptions(),
    )
    for suffix, task_suffix, split in (("train", "train", "train"), ("eval", "validation", "eval")):
        tasks = [name(dataset, suffix=task_suffix) for dataset in DATASET_NAMES]
        missing = set(tasks) - set(seqio.TaskRegistry.names())
        if missing:
            raise ValueError(f"not registered: {', '.join(sorted(missing))}; register these data sets first")
        rate = functools.partial(seqio.mixing_rate_num_examples, temperature=TEMPERATURE, split=split)
        replace_mixture(name("mega", suffix=suffix), tasks, rate)
