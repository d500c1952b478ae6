"""What real clusters need, which is not everywhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Daemons lie in sbin, which is not in everybody's path."""


def need(what: str, programs: Sequence[str]) -> None:
    """Skip, and say why, where a real cluster cannot be. Packages: see .ci/run."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if os.getuid() != 0:
        missing.append("right of root")
    if missing:
        pytest.skip(f"no real {what} here: there is no {', no '.join(missing)}")
