"""What runs have written, for TensorBoard or Weights & Biases to show. It only reads a store: no run knows of it.

Both are extras, and neither asks for an account: Weights & Biases writes offline unless $WANDB_MODE says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from segrank.errors import SegrankError, StoreError
from segrank.store import Store

_EVENTS = "events.out.tfevents.*"


class Curves(NamedTuple):
    """Of one run, by step."""

    name: str
    config: dict[str, Any]
    points: list[tuple[int, dict[str, float]]]
    """Losses and learning rates, and scores where there was an evaluation."""


def curves(store: Store, key: str) -> Curves:
    """
    Raises:
        StoreError: the run has no step log yet, or it is damaged.
    """
    found: dict[int, dict[str, float]] = {}
    for line in store.log(key):
        found[int(line["step"])] = {"train/loss": float(line["loss"]), "train/lr": float(line["lr"])}
    record = store.record(key)
    for one in record.evaluations if record else ():
        if not one.corruption:
            whole = "" if one.final else " along the way"
            found.setdefault(one.step, {})[f"score/mIoU {one.split}{whole}"] = one.scores.miou
    spec = record.spec if record else None
    name = f"{spec.encoder} {spec.dataset} seed {spec.seed} {key[:6]}" if spec else key
    return Curves(name, spec.model_dump(mode="json") if spec else {}, sorted(found.items()))


def to_tensorboard(store: Store, keys: Sequence[str], folder: str | os.PathLike[str]) -> None:
    """A folder of events for each run, named by its key; what an earlier call wrote there is replaced.

    Raises:
        StoreError: as `curves`, or it cannot be written.
        SegrankError: tensorboard is not there.
    """
    writer = _extra("torch.utils.tensorboard", "tensorboard").SummaryWriter
    for key in keys:
        one, target = curves(store, key), Path(folder) / key
        try:
            for old in target.glob(_EVENTS):
                old.unlink()
            with writer(log_dir=str(target)) as events:
                events.add_text("run", one.name)
                for step, values in one.points:
                    for name, value in values.items():
                        events.add_scalar(name, value, step)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error}", fix="choose another --tensorboard") from error


def to_wandb(store: Store, keys: Sequence[str], project: str) -> None:
    """A run of Weights & Biases for each run, whose id is its key.

    Raises:
        StoreError: as `curves`.
        SegrankError: wandb is not there.
    """
    wandb = _extra("wandb", "wandb")
    for key in keys:
        one = curves(store, key)
        mode = os.environ.get("WANDB_MODE", "offline")
        run = wandb.init(project=project, id=key, name=one.name, config=one.config, resume="allow", mode=mode)
        try:
            for step, values in one.points:
                run.log(values, step=step)
        finally:
            run.finish()


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise SegrankError(f"{extra} cannot be imported: {error}", fix=f"pip install 'segrank[{extra}]'") from error
