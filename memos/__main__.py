"""`python -m memos` is the command `memos`."""

from __future__ import annotations

import sys

from memos.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
