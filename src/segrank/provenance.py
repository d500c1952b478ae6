"""With what and where a run was made."""

from __future__ import annotations

import platform
import socket
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segrank.record import Provenance


def provenance(**known: Any) -> Provenance:
    """Versions, machine and time, and what the caller knows."""
    return Provenance(
        segrank=version("segrank"),
        python=platform.python_version(),
        torch=version("torch"),
        timm=version("timm"),
        platform=platform.platform(),
        git=_commit(),
        host=socket.gethostname(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        **known,
    )


def _commit() -> str:
    """Of the checkout that this file is tracked in; an installed copy inside another checkout has none."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here.parent), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
