"""The synthesisers, and which General MIDI programs each may stand for.

A synthesiser is called as render(rng, notes, inflections, seconds, sample_rate) and returns float32 [N], with
N = round(seconds * sample_rate); one call is one player, whose sound is drawn at random.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mt3x.synthesis.inflection import Inflections, Kind
from mt3x.synthesis.voices import analogue, organ, plucked, singing

Render = Callable[[np.random.Generator, np.ndarray, Inflections, float, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Synthesizer:
    """A way to render a part.

    Attributes:
      render: the synthesiser.
      programs: General MIDI programs that it may stand for.
      inflection: the kind of inflections that its players use.
    """

    render: Render
    programs: frozenset[int]
    inflection: Kind


SYNTHESIZERS: Mapping[str, Synthesizer] = MappingProxyType(
    {
        "singing": Synthesizer(singing.render, frozenset(range(52, 55)), "voice"),
        "plucked": Synthesizer(
            plucked.render, frozenset([*range(24, 29), *range(32, 37), 45, 105]), "guitar"
        ),
        "organ": Synthesizer(organ.render, frozenset(range(16, 21)), "none"),
        "analogue": Synthesizer(analogue.render, frozenset([38, 39, 50, 51, 62, 63, *range(80, 96)]), "none"),
    }
)


def synthesizers_of(program: int) -> list[str]:
    """Names of the synthesisers that may stand for a General MIDI program; often none."""
    return [name for name, synthesizer in SYNTHESIZERS.items() if program in synthesizer.programs]
