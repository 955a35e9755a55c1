"""Importing this registers all tasks and mixtures: for tools that can only import a module.

    MT3X_DATA_DIR=records seqio_cache_tasks --module_import=mt3x.tasks.registered --tasks=urmp_.*_train ...

Where the data are, the environment tells: see `TaskOptions`. Both front ends are registered. For other
options (granularity, examples in a mix) import a module of your own in its place, one that calls
`register(TaskOptions(...))`.
"""

import dataclasses

from mt3x.tasks import (
    cerberus4,
    guitarset,
    maestrov1,
    maestrov3,
    midi_folder,
    mixtures,
    monophonic,
    musicnet,
    musicnet_em,
    openscore_synth,
    slakh,
    urmp,
)

from mt3x.data.seqio.tasks import FrontEnd, TaskOptions

DATASETS = (
    maestrov1,
    maestrov3,
    guitarset,
    urmp,
    musicnet,
    musicnet_em,
    cerberus4,
    slakh,
    openscore_synth,
    monophonic,
    midi_folder,
)


def register(options: TaskOptions | None = None) -> None:
    """Adds everything, with either front end, in the place of what is registered under the same names."""
    for front_end in FrontEnd:
        chosen = dataclasses.replace(options or TaskOptions(), front_end=front_end)
        for dataset in DATASETS:
            dataset.register(chosen)
        mixtures.register(chosen)


register()
