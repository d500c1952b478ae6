"""What pretraining needs beyond segrank itself. No torch."""

from __future__ import annotations

from importlib.util import find_spec

from segrank.errors import SpecError

_WANTED = ("lightly", "pytorch_lightning")


def check_lightly() -> None:
    """Raises SpecError unless pretraining can be done here; imports nothing."""
    if missing := [name for name in _WANTED if find_spec(name) is None]:
        raise SpecError(
            f"pretraining needs {missing[0]}, which is not installed", fix="pip install 'segrank[pretrain]'"
        )
