"""What the ranks of a DDP run do together: begin with one attempt, fail alike, and not outlive one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel

from segrank.attempt import Attempt
from segrank.errors import SegrankError
from segrank.stop import Stopped
from segrank.store import Store

T = TypeVar("T")


def begin(fabric: Fabric, store: Store, key: str, spec: BaseModel, say: Callable[[str], None]) -> Attempt | None:
    """Rank 0 looks, and claims the run; all ranks get the same attempt, none for a finished run, or the same error."""
    attempt: Attempt | None = None
    error: SegrankError | None = None
    if fabric.is_global_zero:
        try:
            attempt = None if store.published(key) else store.begin(key, spec, notify=say)
        except SegrankError as caught:
            error = caught
    if fabric.world_size > 1:
        token, error = fabric.broadcast((attempt.token if attempt else "", error))
        if token and attempt is None:
            attempt = store.join(key, token)
    if error is not None:
        raise error
    return attempt


def kill_others(fabric: Fabric) -> None:
    """From the process that has started the others, once it has failed: Fabric would leave them waiting for it, and a
    SIGTERM only asks for a stop."""
    for process in getattr(fabric.strategy.launcher, "procs", []):
        process.kill()


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


def agreed(fabric: Fabric, batches: Iterable[T]) -> Iterator[T]:
    """The batches, each once every rank has its own: what one rank fails at, all of them raise."""
    iterator = iter(batches)
    while True:
        batch, error = None, None
        try:
            batch = next(iterator, None)
        except SegrankError as caught:
            error = caught
        agree(fabric, error)
        if batch is None:
            return
        yield batch
