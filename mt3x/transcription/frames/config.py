"""What a set of weights of the frame recogniser needs: spectra, sizes, segments and thresholds.

A `FrameConfig` is stored as `config.json` beside the weights; `"kind": "frames"` tells it from a
`TranscriptionConfig`. Thresholds stand here, so that a fine-tuned model carries its own.
"""

import dataclasses
import json
from typing import Any, ClassVar, Literal

from mt3x.audio.logfrequency import SpectraConfig
from mt3x.model.trunk import FRAMES_PER_TRUNK_FRAME, NUM_PITCHES, TrunkConfig
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import Granularity, check_instruments, includes_drums, programs_of
from mt3x.tokens.spec import NoteSpec

KIND: Literal["frames"] = "frames"


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The least probabilities, chosen on the development set.

    Attributes:
      onset: of an onset candidate in the roll, for a note to begin there.
      note: of the note head, for a candidate to be a note.
      active: of a frame, for a note to sound on.
      offset: of an offset's peak, for a note to end there.
      pedal_down: of a frame, for the sustain pedal to go down there; pedal_up: for it to stay down.
      kick, snare, cymbal, drum: of a drum hit: kicks, snares, hi-hats and cymbals, and all other drums.

    Raises:
      ValueError: a value outside (0, 1), or pedal_up above pedal_down.
    """

    onset: float = 0.5
    note: float = 0.4
    active: float = 0.25
    offset: float = 0.3
    kick: float = 0.3
    snare: float = 0.7
    cymbal: float = 0.7
    drum: float = 0.6
    pedal_down: float = 0.5
    pedal_up: float = 0.35

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 1:
                raise ValueError(f"thresholds.{field.name} is {value}; it must lie between 0 and 1")
        if self.pedal_up > self.pedal_down:
            raise ValueError(
                f"thresholds.pedal_up is {self.pedal_up}; it must be at most pedal_down, {self.pedal_down}"
            )


@dataclasses.dataclass(frozen=True)
class FrameConfig:
    """Everything beside the weights that turns samples into notes.

    Attributes:
      segment_frames: pitch frames that the network reads at once.
      lead_frames, tail_frames: of them, those at the beginning and at the end that neighbours decide on.
      num_candidates: onset candidates of a segment that are classified, the likeliest.
      sung_delay_seconds: from where the sound of a sung note begins, which is detected, to where the note is
        heard to begin. A voice glides and swells into its notes, and people label them later than other ones.
      merge_seconds: a note struck again within this time is taken as the same note.
      instruments: what plays, if known: programs, and `DRUMS`; nothing else is written then. () for any.

    Raises:
      ValueError: a size out of its limits.
    """

    kind: ClassVar[Literal["frames"]] = KIND

    spectra: SpectraConfig = SpectraConfig()
    network: TrunkConfig = TrunkConfig()
    thresholds: Thresholds = Thresholds()
    segment_frames: int = 128
    lead_frames: int = 12
    tail_frames: int = 16
    num_candidates: int = 96
    sung_delay_seconds: float = 0.0
    merge_seconds: float = 0.05
    instruments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruments", tuple(self.instruments))
        if self.segment_frames < 16 or self.segment_frames % FRAMES_PER_TRUNK_FRAME:
            raise ValueError(f"segment_frames is {self.segment_frames}; it must be even, at least 16")
        if min(self.lead_frames, self.tail_frames) < 0:
            raise ValueError(
                f"lead_frames is {self.lead_frames}, tail_frames {self.tail_frames}; they must be at least 0"
            )
        if self.lead_frames + self.tail_frames >= self.segment_frames:
            raise ValueError(
                f"lead_frames and tail_frames are {self.lead_frames + self.tail_frames} together; they must "
                f"be fewer than segment_frames, {self.segment_frames}"
            )
        most = NUM_PITCHES * self.segment_frames
        if not 1 <= self.num_candidates <= most:
            raise ValueError(f"num_candidates is {self.num_candidates}; it must be from 1 to {most}")
        check_at_least(0, sung_delay_seconds=self.sung_delay_seconds, merge_seconds=self.merge_seconds)
        check_instruments(self.instruments)

    @property
    def programs(self) -> tuple[int, ...]:
        """The programs that may play; () where only drums do."""
        return programs_of(self.instruments)

    @property
    def has_drums(self) -> bool:
        """Whether drums may play."""
        return includes_drums(self.instruments)

    @property
    def spec(self) -> NoteSpec:
        """What a note's prediction holds: onset and offset."""
        return NoteSpec.NOTES_WITH_TIES

    @property
    def granularity(self) -> Granularity:
        """How finely instruments are told apart: by program."""
        return Granularity.FULL

    @property
    def sample_rate(self) -> int:
        """Hz, of what the network reads."""
        return self.spectra.sample_rate

    @property
    def frames_per_second(self) -> float:
        """Pitch frames in a second."""
        return self.spectra.frames_per_second

    @property
    def segment_samples(self) -> int:
        """Samples of one full segment."""
        return self.segment_frames * self.spectra.hop_samples

    @property
    def segment_seconds(self) -> float:
        """Seconds of one full segment."""
        return self.segment_samples / self.spectra.sample_rate

    @property
    def learned(self) -> "FrameConfig":
        """The settings that training reads; those of detection are the defaults."""
        return dataclasses.replace(
            self,
            thresholds=Thresholds(),
            sung_delay_seconds=FrameConfig.sung_delay_seconds,
            merge_seconds=FrameConfig.merge_seconds,
            instruments=(),
        )

    def with_options(
        self,
        model: str,
        search: str | None = None,
        merge_restrikes_seconds: float | None = None,
        instruments: tuple[int, ...] | None = None,
    ) -> "FrameConfig":
        """The settings with those of `mt3x.load` that are not None; `model` is the model's name.

        Raises:
          ValueError: a search, which there is none of, or an unsound value.
        """
        if search is not None:
            raise ValueError(
                f"search is {search!r}, but {model} writes no tokens to search among; leave it out"
            )
        changes = {"merge_seconds": merge_restrikes_seconds, "instruments": instruments}
        return dataclasses.replace(self, **{key: new for key, new in changes.items() if new is not None})

    def to_json(self) -> str:
        """A JSON object from which `from_json` makes an equal value."""
        return json.dumps({"kind": KIND, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "config") -> "FrameConfig":
        """The configuration written by `to_json`. Fields that are absent keep their defaults.

        Raises:
          ValueError: `text` is not such a JSON object, or names a field that does not exist; the message
            opens with `source`.
        """
        parts = {"spectra": SpectraConfig, "network": TrunkConfig, "thresholds": Thresholds}
        try:
            values: dict[str, Any] = dict(json.loads(text))
            if (kind := values.pop("kind", None)) != KIND:
                raise ValueError(f"kind is {kind!r}; a frame recogniser's is {KIND!r}")
            made = {name: part(**values.pop(name)) for name, part in parts.items() if name in values}
            return cls(**made, **values)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {error}") from error


def is_frame_config(text: str) -> bool:
    """Whether a `config.json` is of a frame recogniser."""
    try:
        values = json.loads(text)
    except ValueError:
        return False
    return isinstance(values, dict) and values.get("kind") == KIND
