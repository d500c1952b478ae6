"""Checkpoints: everything a run needs to go on as if nothing had happened.

The order of the data and all random numbers are functions of seed and step, so the step stands for them.
"""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

import torch

from segrank.files import digest, fsync_folder, whole_file, write_whole


def save(folder: Path, step: int, state: dict[str, Any], *, keep: int = 2) -> Path:
    """Write `step-<step>.pt` whole, with its sha256 beside it, then remove all but the newest `keep`.

    A checkpoint counts only once its sha256 is there: a flipped bit in one would load in silence.
    """
    path = folder / f"step-{step:09d}.pt"
    with whole_file(path) as file:
        torch.save(state, file)
    write_whole(path.with_suffix(".sha256"), digest(path))
    for old in sorted(folder.glob("step-*.pt"))[:-keep]:
        remove(old)
    return path


def remove(path: Path) -> None:
    path.with_suffix(".sha256").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def move(path: Path, folder: Path) -> None:
    """Into another folder. The sha256 is there first, so that at no moment neither place has a whole one."""
    write_whole((folder / path.name).with_suffix(".sha256"), path.with_suffix(".sha256").read_bytes())
    path.replace(folder / path.name)
    fsync_folder(folder)
    path.with_suffix(".sha256").unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any] | None:
    """The state, or none if the file is not as it was written.

    Raises:
        OSError: the file is there but cannot be read now; it may be whole.
    """
    # an UnpicklingError: somebody has put other things than tensors there
    with contextlib.suppress(FileNotFoundError, pickle.UnpicklingError):
        if digest(path).encode() == path.with_suffix(".sha256").read_bytes().strip():
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
    return None
