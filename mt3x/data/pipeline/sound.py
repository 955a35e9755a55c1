"""Where the audio of drawn examples comes from, and how it is augmented inside the training step.

`rendered_sound` lets FluidSynth play in the workers: every note whole, the segment detuned, at some 10 to 30
ms of CPU an example. `note_bank_sound` sends lists of notes only and adds up audio from a note bank where the
network runs, at some 2 ms on a CPU: on a GPU rendering would starve the network.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mt3x.data.pipeline.augmentation import AugmentationConfig, augment, make_prepare
from mt3x.data.synthetic.examples import ExampleConfig, OpenSources, SoundSource
from mt3x.synthesis.composition import compose
from mt3x.synthesis.note_banks import Arrangement, NoteBank, arrange, load_note_bank
from mt3x.synthesis.soundfonts import Synthesizer, find_soundfont


@dataclass(frozen=True)
class TrainingSound:
    """The two halves of a way to make audio.

    Attributes:
      open_sources: called in each worker; see `data.pipeline.batches`.
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
    open_sources = functools.partial(
        _open_synthesizers, tuple(soundfonts), sample_rate, examples.detune_cents
    )
    return TrainingSound(open_sources, make_prepare(num_samples, sample_rate, augmentation), None)


def _open_synthesizers(
    soundfonts: tuple[str, ...], sample_rate: int, detune_cents: float
) -> list[SoundSource]:
    return [RenderedSound(Synthesizer(name, sample_rate), detune_cents) for name in soundfonts]


class RenderedSound:
    """Audio rendered here and now: `samples` float32 [L + N]."""

    def __init__(self, synthesizer: Synthesizer, detune_cents: float):
        self._synthesizer, self._detune_cents = synthesizer, detune_cents

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        """Whether the soundfont has a sample for each note."""
        mask = np.zeros(len(notes), bool)
        for is_drum in (False, True):
            of_kind = notes["is_drum"] == is_drum
            for program in np.unique(notes["program"][of_kind]):
                mine = of_kind & (notes["program"] == program)
                mask[mine] = self._synthesizer.sounding_pitches(int(program), is_drum)[notes["pitch"][mine]]
        return mask

    def sound(self, rng: np.random.Generator, notes: np.ndarray, seconds: float) -> dict[str, np.ndarray]:
        """`samples`, detuned as a whole by a random amount."""
        detune = rng.uniform(-self._detune_cents, self._detune_cents)
        return {"samples": self._synthesizer.render(notes, seconds, detune_cents=detune)}


def note_bank_sound(
    folders: Sequence[str], examples: ExampleConfig, augmentation: AugmentationConfig, sample_rate: int
) -> TrainingSound:
    """Audio composed in the step from note banks (`synthesis.note_banks`), each example from one of them.

    The banks stay in the memory of every device, some 3 GB for all notes of a soundfont.

    Raises:
      ValueError: a folder holds no note bank, or the banks differ in length or from the model's sample rate.
    """
    banks = [load_note_bank(folder) for folder in folders]
    for folder, bank in zip(folders, banks, strict=True):
        if bank.sample_rate != sample_rate:
            raise ValueError(
                f"{folder} has {bank.sample_rate} samples a second; the model reads {sample_rate}"
            )
        if bank.samples.shape[1] != banks[0].samples.shape[1]:
            raise ValueError(
                f"rows of {folder} have {bank.samples.shape[1]} samples, those of {folders[0]} "
                f"{banks[0].samples.shape[1]}; build all banks with the same seconds"
            )
    num_samples = round(examples.segment_seconds * sample_rate)
    total_samples = round(examples.total_seconds * sample_rate)

    def prepare(key: jax.Array, batch: dict[str, jax.Array], resources: jax.Array) -> jax.Array:
        arrays = {name: batch[_BANK_ARRAY.format(name)] for name in Arrangement._fields}
        samples = compose(resources, **arrays, num_samples=total_samples, sample_rate=sample_rate)
        return augment(key, samples, num_samples, sample_rate, augmentation)

    open_sources = functools.partial(_open_banks, tuple(folders), examples.max_notes)
    # On the device at once: a copy of gigabytes would stay here beside it.
    samples = jax.device_put(np.concatenate([bank.samples for bank in banks]))
    return TrainingSound(open_sources, prepare, samples)


def _open_banks(folders: tuple[str, ...], max_notes: int) -> list[SoundSource]:
    sources, first_row = [], 0
    for folder in folders:
        bank = load_note_bank(folder)
        sources.append(BankedSound(bank, first_row, max_notes))
        first_row += len(bank.samples)
    return sources


_BANK_ARRAY = "bank_{}"
"""Names of an `Arrangement`'s fields in a batch."""


class BankedSound:
    """Notes arranged for `compose`: arrays [max_notes], whose rows count from `first_row` on."""

    def __init__(self, bank: NoteBank, first_row: int, max_notes: int):
        self._bank, self._first_row, self._max_notes = bank, first_row, max_notes

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        """Whether the bank has a row for each note."""
        return self._bank.rows(notes) >= 0

    def sound(self, rng: np.random.Generator, notes: np.ndarray, seconds: float) -> dict[str, np.ndarray]:
        """The fields of the notes' `Arrangement`."""
        arrangement = arrange(self._bank, notes, 0.0, seconds, self._max_notes)
        arrangement = arrangement._replace(note_rows=arrangement.note_rows + self._first_row)
        return {_BANK_ARRAY.format(name): values for name, values in arrangement._asdict().items()}
