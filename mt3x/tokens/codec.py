"""Events and their indexes: the numbering of everything that a token can say.

An *event* is a type and a value ("pitch", 60); its *index* is its place when the ranges of all types are laid
end to end, shifts first, so that the index of a shift is its length in steps. An index is not yet the id that
the network sees: `vocabulary.py` adds the special tokens.

Source: MT3 `event_codec.py`; arXiv 2111.03017, section 3.2.
"""

import dataclasses
from collections.abc import Sequence

from mt3x.music.checks import check_at_least


@dataclasses.dataclass(frozen=True)
class EventRange:
    """The values of one event type, both ends included."""

    type: str
    min_value: int
    max_value: int

    def __len__(self) -> int:
        return self.max_value - self.min_value + 1


@dataclasses.dataclass(frozen=True)
class Event:
    """One event, as in `Event("pitch", 60)`."""

    type: str
    value: int


@dataclasses.dataclass(frozen=True)
class Codec:
    """Maps events to indexes 0..num_classes - 1 and back.

    >>> codec = Codec(1000, 100, (EventRange("pitch", 0, 127),))
    >>> codec.encode_event(Event("pitch", 60)), codec.decode_event_index(1061)
    (1061, Event(type='pitch', value=60))

    Attributes:
      max_shift_steps: the longest shift that one token can say.
      steps_per_second: resolution of shifts.
      event_ranges: the types other than "shift", in the order of their indexes.

    Raises:
      ValueError: two ranges have the same type, or a range or the longest shift is empty.
    """

    max_shift_steps: int
    steps_per_second: int
    event_ranges: Sequence[EventRange]
    _first_and_last: dict[str, tuple[int, int]] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self):
        ranges = (EventRange("shift", 0, self.max_shift_steps), *self.event_ranges)
        first_and_last = {}
        first = 0
        for event_range in ranges:
            if event_range.type in first_and_last:
                raise ValueError(f"event type {event_range.type!r} has two ranges; give each type one")
            if event_range.max_value < event_range.min_value:
                raise ValueError(
                    f"{event_range} is empty; its max_value must be at least {event_range.min_value}"
                )
            first_and_last[event_range.type] = (first, first + len(event_range) - 1)
            first += len(event_range)
        check_at_least(1, steps_per_second=self.steps_per_second)
        object.__setattr__(self, "event_ranges", ranges[1:])
        object.__setattr__(self, "_first_and_last", first_and_last)

    @property
    def num_classes(self) -> int:
        """How many indexes there are."""
        return self.max_shift_steps + 1 + sum(len(event_range) for event_range in self.event_ranges)

    def event_type_range(self, event_type: str) -> tuple[int, int]:
        """First and last index of an event type.

        Raises:
          ValueError: there is no such type.
        """
        if event_type not in self._first_and_last:
            raise ValueError(
                f"unknown event type {event_type!r}; this codec has {', '.join(self._first_and_last)}"
            )
        return self._first_and_last[event_type]

    def is_shift_event_index(self, index: int) -> bool:
        """Whether an index is a shift; a shift's index is its length in steps."""
        return 0 <= index <= self.max_shift_steps

    def encode_event(self, event: Event) -> int:
        """The index of an event.

        Raises:
          ValueError: there is no such type, or the value is outside its range.
        """
        first, last = self.event_type_range(event.type)
        min_value = self._min_value(event.type)
        if not 0 <= event.value - min_value <= last - first:
            raise ValueError(
                f"event {event.type} has value {event.value}; it must be within "
                f"{min_value}..{min_value + last - first}"
            )
        return first + event.value - min_value

    def decode_event_index(self, index: int) -> Event:
        """The event that has an index.

        Raises:
          ValueError: the index is outside 0..num_classes - 1.
        """
        for event_type, (first, last) in self._first_and_last.items():
            if first <= index <= last:
                return Event(event_type, self._min_value(event_type) + index - first)
        raise ValueError(f"no event has index {index}; indexes are 0..{self.num_classes - 1}")

    def _min_value(self, event_type: str) -> int:
        return next((r.min_value for r in self.event_ranges if r.type == event_type), 0)
