"""mt3x: recordings to multi-track MIDI (MT3 on JAX).

The public names are imported when they are first used, so that `import mt3x` costs next to nothing:

    transcriber = mt3x.load()
    transcriber.transcribe("song.flac").save("song.mid")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mt3x.transcription.result import Transcription
    from mt3x.transcription.transcriber import Transcriber, load, transcribe

__version__ = "0.1.0"

__all__ = ["Transcriber", "Transcription", "__version__", "load", "transcribe"]

_MODULES = {
    "load": "mt3x.transcription.transcriber",
    "transcribe": "mt3x.transcription.transcriber",
    "Transcriber": "mt3x.transcription.transcriber",
    "Transcription": "mt3x.transcription.result",
}


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mt3x' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
