"""The one place that imports partitura, which reads scores.

With pyfluidsynth installed, partitura 1.9 downloads a soundfont by FTP when it is imported, and fails without
a network. Nothing here makes sound with it, so pyfluidsynth is hidden from it while it is imported.
"""

import sys
import warnings
from typing import Any


def import_partitura() -> Any:
    """The module.

    Raises:
      ImportError: partitura is not installed.
    """
    if "partitura" in sys.modules:
        return sys.modules["partitura"]
    before = {name: sys.modules[name] for name in ("fluidsynth",) if name in sys.modules}
    sys.modules["fluidsynth"] = None  # pyright: ignore[reportArgumentType]: how Python marks what can't be had
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # lark's, of sre_parse
            import partitura
    except ImportError as error:
        raise ImportError("reading scores needs partitura: pip install 'mt3x[score]'") from error
    finally:
        del sys.modules["fluidsynth"]
        sys.modules.update(before)
    return partitura
