"""Where the audio of drawn examples comes from, and how it is augmented inside the training step.

`rendered_sound` lets FluidSynth play in the workers: every note whole, the segment detuned, at some 10 to 30
ms of CPU an example.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from mt3x.audio.synthesis import Synthesizer, find_soundfont
from mt3x.data.augmentation import AugmentationConfig, augment
from mt3x.data.batches import OpenSources
from mt3x.data.examples import ExampleConfig, RenderedSound, SoundSource


@dataclass(frozen=True)
class TrainingSound:
    """The two halves of a way to make audio.

    Attributes:
      open_sources: called in each worker; see `data.batches`.
      prepare: (key, batch, resources) -> samples float32 [B, N], inside the step.
      resources: arrays that `prepare` needs, or None.
    """

    open_sources: OpenSources
    prepare: Callable[[jax.Array, dict[str, jax.Array], Any], jax.Array]
    resources: Any


def rendered_sound(
    soundfonts: Sequence[str], examples: ExampleConfig, augmentation: AugmentationConfig, sample_rate: int
) -> TrainingSound:
    """Audio rendered with FluidSynth, each example with one of the soundfonts (names or files).

    Raises:
      SynthesisError: a soundfont is missing.
    """
    for name in soundfonts:
        find_soundfont(name)  # fail here, not in a worker
    num_samples = round(examples.segment_seconds * sample_rate)

    def prepare(key: jax.Array, batch: dict[str, jax.Array], resources: None) -> jax.Array:
        return augment(key, batch["samples"], num_samples, sample_rate, augmentation)

    open_sources = functools.partial(
        _open_synthesizers, tuple(soundfonts), sample_rate, examples.detune_cents
    )
    return TrainingSound(open_sources, prepare, None)


def _open_synthesizers(
    soundfonts: tuple[str, ...], sample_rate: int, detune_cents: float
) -> list[SoundSource]:
    return [RenderedSound(Synthesizer(name, sample_rate), detune_cents) for name in soundfonts]
