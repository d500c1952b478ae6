"""Where segrank keeps what it has learnt of datasets. All of it may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """`$SEGRANK_CACHE/KIND`, else `$XDG_CACHE_HOME/segrank/KIND`, else `~/.cache/segrank/KIND`.

    Raises:
        RuntimeError: there is no home.
    """
    if own := os.environ.get("SEGRANK_CACHE"):
        return Path(own) / kind
    # the XDG base directory specification: a path that is not absolute is to be ignored
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "segrank" / kind
