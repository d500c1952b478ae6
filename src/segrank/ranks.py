"""Agreement among the ranks of a DDP run: what one of them fails at, all of them raise."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from segrank.stop import Stopped


def agree(fabric: Fabric, error: Exception | None) -> None:
    """Called by every rank with its own error, or none, at the same place: raises the first rank's that has one.

    Without it the others would wait in their next collective for a rank that is gone. A stop gives way to an error.
    """
    if fabric.world_size == 1:
        if error is not None:
            raise error
        return
    if fabric.strategy.reduce_boolean_decision(error is not None, all=False):
        errors: list[Exception | None] = [None] * fabric.world_size
        torch.distributed.all_gather_object(errors, error)
        raise min((found for found in errors if found is not None), key=lambda found: isinstance(found, Stopped))
