"""`python -m mt3x` is the command `mt3x`."""

import sys

from mt3x.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
