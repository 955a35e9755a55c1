"""The settings of a model, whichever of the two kinds it is of.

Both tell `sample_rate`, `frames_per_second`, `segment_frames`, `instruments`, `spec` and `granularity`, and
which settings training reads (`learned`), and take a user's options by `with_options`; `kind` tells them
apart.
"""

from typing import TYPE_CHECKING, TypeAlias

from mt3x.transcription.frames.config import FrameConfig, is_frame_config

if TYPE_CHECKING:
    from mt3x.transcription.tokens.config import TranscriptionConfig

ModelConfig: TypeAlias = "TranscriptionConfig | FrameConfig"


def config_from_json(text: str, source: str = "config") -> ModelConfig:
    """The settings that `to_json` of either kind wrote.

    Raises:
      ValueError: `text` is of neither kind, or its values are unsound; the message opens with `source`.
    """
    if is_frame_config(text):
        return FrameConfig.from_json(text, source)
    from mt3x.transcription.tokens.config import TranscriptionConfig

    return TranscriptionConfig.from_json(text, source)
