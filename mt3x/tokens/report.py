"""How many of the tokens that a network wrote could not be used."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecodeReport:
    """Tokens that could not be used: those without sense, and those beyond the end of their segment."""

    invalid_events: int
    dropped_events: int
