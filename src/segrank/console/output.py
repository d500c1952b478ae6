"""Where verbs print to."""

from __future__ import annotations

import sys

from rich.console import Console


def out() -> Console:
    """Standard output: colours and boxes on a terminal only; piped, no line is folded."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
