"""What a checkpoint holds, and how a run goes on from one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric

from segrank.attempt import Attempt, checkpoints
from segrank.errors import StoreError
from segrank.train import checkpoint


class Trained(Protocol):
    """What is trained, and can tell what of it changes."""

    def trained_state(self) -> dict[str, Any]: ...

    def load_trained_state(self, state: dict[str, Any]) -> None: ...


def capture(
    fabric: Fabric, trained: Trained, optimizer: torch.optim.Optimizer, progress: dict[str, Any], started: str
) -> dict[str, Any]:
    """The state of a run after a step, with how far it is and when it was first started."""
    return {
        "model": trained.trained_state(),
        "optimizer": optimizer.state_dict(),
        "scaler": fabric.strategy.precision.state_dict(),
        "progress": progress,
        "started": started,
    }


def restore(
    fabric: Fabric,
    attempt: Attempt,
    trained: Trained,
    optimizer: torch.optim.Optimizer,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], str] | None:
    """Go on from the newest intact checkpoint of earlier attempts, if there is one, and clear up behind them.

    Rank 0 chooses, so that all ranks go on from the same one.

    Returns:
        How far the run was (`progress` of `capture`), and when it was first started.

    Raises:
        StoreError: there are checkpoints, and all are damaged.
    """
    chosen, state = _newest_intact(attempt, say) if fabric.is_global_zero else (None, None)
    path = fabric.broadcast(str(chosen or ""))
    found: tuple[dict[str, Any], str] | None = None
    if path:
        state = state or checkpoint.load(Path(path))
        assert state is not None
        trained.load_trained_state(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        fabric.strategy.precision.load_state_dict(state["scaler"])
        found = state["progress"], state["started"]
    fabric.barrier()  # all ranks have read it
    if fabric.is_global_zero:
        if chosen is not None and found is not None:
            attempt.inherit(chosen.parent, step=found[0]["step"])
            before = [path for path in checkpoints([chosen.parent]) if path.name < chosen.name]
            for intact in (chosen, *before[:1]):  # with one to fall back on, should this one be damaged yet
                checkpoint.move(intact, attempt.folder)
        attempt.clear_others()
    fabric.barrier()  # and see the same evaluations behind them
    return found


def _newest_intact(attempt: Attempt, say: Callable[[str], None]) -> tuple[Path | None, dict[str, Any] | None]:
    paths = checkpoints(attempt.others)
    for path in paths:
        state = checkpoint.load(path)
        if state is not None:
            return path, state
        say(f"{path.name} is damaged; going back to the one before")
    if paths:
        raise StoreError(
            f"all {len(paths)} checkpoints in {attempt.folder.parent} are damaged",
            fix="restore one, or remove that folder to start from step 0",
        )
    return None, None
