"""`segrank mirror`: the step logs of runs in a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.run_options import StoreOption
from segrank.store import DEFAULT_STORE, Store


def mirror(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Beginnings of keys; without, all runs.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write events for TensorBoard.")] = None,
    wandb: Annotated[str, typer.Option(metavar="PROJECT", help="Write runs of Weights & Biases.")] = "",
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Show what runs have written in TensorBoard or Weights & Biases: losses, learning rates, scores.

    It reads the store while runs train or after; give it again for what is new. Nothing needs an account: Weights &
    Biases writes offline unless WANDB_MODE says otherwise. Needs the extra `segrank[tensorboard]` or `segrank[wandb]`.

    Example: `segrank mirror --tensorboard events`, then `tensorboard --logdir events`
    """
    from segrank.console.output import out
    from segrank.errors import StoreError
    from segrank.mirror import to_tensorboard, to_wandb
    from segrank.progress import plain

    if tensorboard is None and not wandb:
        raise typer.BadParameter("give --tensorboard FOLDER or --wandb PROJECT")
    results = Store(store)
    keys = [results.find(run) for run in runs] if runs else results.run_keys()
    done = 0
    for key in keys:
        try:
            if tensorboard is not None:
                to_tensorboard(results, [key], tensorboard)
            if wandb:
                to_wandb(results, [key], wandb)
            done += 1
        except StoreError as error:  # one that has not begun to train, among all of them, is no reason to stop
            if runs:
                raise
            out().print(plain(f"left out: {error}"))
    out().print(plain(f"{done} of {len(keys)} runs mirrored"))
