"""The data sets that mt3x can build: one file each, which holds its `Reader`."""

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from mt3x.data.records.recordings import Reader


@dataclasses.dataclass(frozen=True)
class ReaderEntry:
    """Where a reader is found, so that no data set needs another one's module.

    Attributes:
      module: below `mt3x.data.datasets`.
      class_name: of the reader; if it is a dataclass, its fields are options.
      description: what the data set is, for `mt3x prepare --help`.
      options: those that make it this data set.
    """

    module: str
    class_name: str
    description: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def load(self) -> Any:
        """The reader's class."""
        return getattr(import_module(f"mt3x.data.datasets.{self.module}"), self.class_name)


READERS: Mapping[str, ReaderEntry] = MappingProxyType(
    {
        "slakh": ReaderEntry("slakh", "Slakh", "Slakh2100, redux or original"),
        "cerberus4": ReaderEntry("cerberus4", "Cerberus4", "piano, guitar, bass and drums of Slakh2100"),
        "maestrov1": ReaderEntry("maestro", "Maestro", "MAESTRO v1.0.0", {"version": 1}),
        "maestrov3": ReaderEntry("maestro", "Maestro", "MAESTRO v3.0.0", {"version": 3}),
        "guitarset": ReaderEntry("guitarset", "GuitarSet", "GuitarSet"),
        "urmp": ReaderEntry("urmp", "Urmp", "URMP"),
        "musicnet": ReaderEntry("musicnet", "MusicNet", "MusicNet"),
        "musicnet_em": ReaderEntry("musicnet", "MusicNetEm", "MusicNet with the MIDI files of MusicNetEM"),
        "midi_folder": ReaderEntry("midi_folder", "MidiFolder", "your own recordings with their MIDI files"),
        "openscore_synth": ReaderEntry("openscore_synth", "OpenScoreSynth", "scores, performed and rendered"),
        "monophonic": ReaderEntry("monophonic", "Monophonic", "single lines of scores, rendered and mixed"),
    }
)
"""All data sets by name: that of their tasks, records and `mt3x prepare`."""


def make_reader(name: str, **options: Any) -> Reader:
    """The reader of a data set.

    Args:
      name: one of `READERS`.
      options: values for fields of the reader's class; left out, they have its defaults.

    Raises:
      ValueError: there is no such data set, or it has no such option.
    """
    if name not in READERS:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(READERS)}")
    entry = READERS[name]
    reader = entry.load()
    fields: dict[str, dataclasses.Field] = getattr(reader, "__dataclass_fields__", {})
    known = [key for key, field in fields.items() if field.init and key not in entry.options]
    if unknown := [option for option in options if option not in known]:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    return reader(**entry.options, **options)
