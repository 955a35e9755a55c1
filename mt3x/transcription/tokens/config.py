"""What a model that writes tokens needs beside its weights: front end, vocabulary, tokens, sizes, search.

A `TranscriptionConfig` is stored as `config.json` beside the weights; Google's released checkpoints, which
carry none, are covered by the presets `mt3` and `ismir2021`.

Source: MT3's `gin/{mt3,ismir2021}.gin`, `gin/model.gin` and `InferenceModel` of its notebook.
"""

import dataclasses
import json
from typing import Any, ClassVar, Literal, cast, get_args

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import SMALL, TransformerConfig
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import Granularity, check_instruments, includes_drums, programs_of
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec, num_embeddings, vocabulary_from_codec

SearchName = Literal["greedy", "grammar", "beam"]


@dataclasses.dataclass(frozen=True)
class TranscriptionConfig:
    """Everything beside the weights that turns samples into notes.

    Attributes:
      segment_frames: frames that the network reads at once.
      max_target_length: tokens that it may write for one segment, the end token included.
      search: `greedy`; `grammar` for greedy among what the tokens' grammar allows
        (`transcription.tokens.grammar`); or `beam` for T5X's beam search with `beam_size` beams (1 is not
        greedy there).
      merge_restrikes_seconds: a note struck again within this time is taken as the same note; 0 switches it
        off.
      instruments: what plays, if known: programs, and `DRUMS`; nothing else is written then. () for any.
    """

    kind: ClassVar[Literal["tokens"]] = "tokens"

    spectrogram: SpectrogramConfig = SpectrogramConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    spec: NoteSpec = NoteSpec.NOTES_WITH_TIES
    granularity: Granularity = Granularity.FULL
    network: TransformerConfig = SMALL
    segment_frames: int = 256
    max_target_length: int = 1024
    search: SearchName = "greedy"
    beam_size: int = 1
    merge_restrikes_seconds: float = 0.0
    instruments: tuple[int, ...] = ()

    def __post_init__(self):
        check_at_least(
            1,
            segment_frames=self.segment_frames,
            max_target_length=self.max_target_length,
            beam_size=self.beam_size,
        )
        if not self.merge_restrikes_seconds >= 0:
            raise ValueError(
                f"merge_restrikes_seconds is {self.merge_restrikes_seconds}; it must be 0 or more, and 0 "
                "merges nothing"
            )
        check_instruments(self.instruments)
        if self.search not in get_args(SearchName):
            raise ValueError(f"search is {self.search!r}; choose one of {', '.join(get_args(SearchName))}")
        rows = num_embeddings(vocabulary_from_codec(build_codec(self.vocabulary)))
        if self.network.vocab_size != rows:
            raise ValueError(
                f"the network has {self.network.vocab_size} token embeddings, but its vocabulary needs "
                f"{rows}; set network.vocab_size to {rows}, or vocabulary to that of the weights"
            )

    @property
    def programs(self) -> tuple[int, ...]:
        """The programs that may play; () where only drums do."""
        return programs_of(self.instruments)

    @property
    def has_drums(self) -> bool:
        """Whether drums may play."""
        return includes_drums(self.instruments)

    @property
    def sample_rate(self) -> int:
        """Hz, of what the network reads."""
        return self.spectrogram.sample_rate

    @property
    def frames_per_second(self) -> float:
        """Frames in a second."""
        return self.spectrogram.frames_per_second

    @property
    def segment_samples(self) -> int:
        """Samples of one full segment."""
        return self.segment_frames * self.spectrogram.hop_width

    @property
    def segment_seconds(self) -> float:
        """Seconds of one full segment."""
        return self.segment_samples / self.spectrogram.sample_rate

    @property
    def learned(self) -> "TranscriptionConfig":
        """The settings that training reads; those of decoding are the defaults."""
        names = "search", "beam_size", "merge_restrikes_seconds", "instruments"
        return dataclasses.replace(self, **{name: getattr(TranscriptionConfig, name) for name in names})

    def with_options(
        self,
        model: str,
        search: SearchName | None = None,
        merge_restrikes_seconds: float | None = None,
        instruments: tuple[int, ...] | None = None,
    ) -> "TranscriptionConfig":
        """The settings with those of `mt3x.load` that are not None; `model` is the model's name.

        Raises:
          ValueError: an unsound value.
        """
        changes = {
            "search": search,
            "merge_restrikes_seconds": merge_restrikes_seconds,
            "instruments": instruments,
        }
        return dataclasses.replace(self, **{key: new for key, new in changes.items() if new is not None})

    def to_json(self) -> str:
        """The configuration as JSON text; `from_json` reads it back to an equal value."""
        return json.dumps(dataclasses.asdict(self), indent=2, default=lambda value: value.value) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "config") -> "TranscriptionConfig":
        """The configuration written by `to_json`. Fields that are absent keep their defaults.

        Raises:
          ValueError: `text` is not a JSON object, or names a field or a choice that does not exist; the
            message opens with `source`.
        """
        try:
            return cast(TranscriptionConfig, _from_fields(cls, json.loads(text)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {error}") from error


def _from_fields(kind: type, values: Any) -> Any:
    """A dataclass, enum or plain value of type `kind` from what JSON holds for it."""
    if not dataclasses.is_dataclass(kind):
        return kind(values) if kind in (NoteSpec, Granularity) else values
    if not isinstance(values, dict):
        raise ValueError(f"expected an object with the fields of {kind.__name__}, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {unknown[0]!r}; its fields are {', '.join(fields)}")
    arguments = {}
    for name, value in values.items():
        value = tuple(value) if isinstance(value, list) else value
        arguments[name] = _from_fields(cast(type, fields[name].type), value)
    return kind(**arguments)


def transcription_config(
    network: TransformerConfig,
    spectrogram: SpectrogramConfig,
    task_feature_lengths: dict[str, int],
    num_velocity_bins: int,
    program_granularity: str,
    onsets_only: bool,
    use_ties: bool,
    steps_per_second: int = 100,
    max_shift_seconds: int = 10,
    search: SearchName = "greedy",
    beam_size: int = 1,
    merge_restrikes_seconds: float = 0.0,
) -> TranscriptionConfig:
    """A model from the values that MT3's gin files give; the network's embeddings are as many as needed.

    Raises:
      ValueError: a value that does not exist, lengths of something else, or onsets with ties.
    """
    if set(task_feature_lengths) != {"inputs", "targets"}:
        raise ValueError(
            f"TASK_FEATURE_LENGTHS is {task_feature_lengths}; give {{'inputs': frames, 'targets': ids}}"
        )
    if onsets_only and use_ties:
        raise ValueError("ONSETS_ONLY and USE_TIES are both True; notes that are only onsets cannot be held")
    vocabulary = VocabularyConfig(steps_per_second, max_shift_seconds, num_velocity_bins)
    rows = num_embeddings(vocabulary_from_codec(build_codec(vocabulary)))
    with_offsets = NoteSpec.NOTES_WITH_TIES if use_ties else NoteSpec.NOTES
    return TranscriptionConfig(
        spectrogram=spectrogram,
        vocabulary=vocabulary,
        spec=NoteSpec.ONSETS if onsets_only else with_offsets,
        granularity=Granularity(program_granularity),
        network=dataclasses.replace(network, vocab_size=rows),
        segment_frames=task_feature_lengths["inputs"],
        max_target_length=task_feature_lengths["targets"],
        search=search,
        beam_size=beam_size,
        merge_restrikes_seconds=merge_restrikes_seconds,
    )


PRESETS = {
    "mt3": TranscriptionConfig(search="beam"),
    "ismir2021": TranscriptionConfig(
        vocabulary=VocabularyConfig(num_velocity_bins=127),
        spec=NoteSpec.NOTES,
        network=dataclasses.replace(SMALL, vocab_size=1664),
        segment_frames=512,
        search="beam",
    ),
}
