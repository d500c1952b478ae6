"""What processes of a run say on standard error, for errors that nobody explained. No torch."""

from __future__ import annotations

import contextlib
from pathlib import Path

from segrank.study.executor import STDERR

STDERR_BYTES = 2**20
"""What a run's standard error may grow to before its beginning is cut off."""


def last_words(run: Path) -> str:
    """The end of what was said, to follow an error's own words; may be empty."""
    with contextlib.suppress(OSError):
        text = (run / STDERR).read_bytes()[-1500:].decode(errors="replace").strip()
        return f"; its last words: {text.splitlines()[-1]}\n{text}" if text else ""
    return ""


def cut(run: Path) -> None:
    """Keep the end of what has grown too long. Who writes to it appends."""
    path = run / STDERR
    with contextlib.suppress(OSError):
        if path.stat().st_size > STDERR_BYTES:
            end = path.read_bytes()[-STDERR_BYTES // 4 :]
            with path.open("r+b") as file:
                file.truncate(0)
                file.write(end)


def first_line(error: str) -> str:
    """Of an error, for a line on a board."""
    return next((line for line in error.splitlines() if line.strip()), "no word of why")[:300]
