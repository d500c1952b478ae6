"""What is known here of how long things take: from finished runs of a store, and from calibrations. No torch."""

from __future__ import annotations

import contextlib
import json
import math
import socket
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from segrank.errors import StoreError
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.store import Store

MOST_OTHERS = 300
"""Runs of a store that are looked at beside those of the study."""


class Traits(NamedTuple):
    """What of a spec decides how long an image takes."""

    encoder: str
    decoder: str
    freeze: bool
    trained_blocks: int | str
    lora_rank: int
    patch_size: int
    crop: tuple[int, int]
    precision: str


class Observation(BaseModel):
    """What a run, or a calibration, took. Seconds are of a run that has its device to itself, as far as is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: Literal["run", "calibration"]
    traits: Traits
    place: str
    """Where it was measured: see `place_of`."""
    dataset: str
    eval_dataset: str
    compute_s: float = Field(gt=0)
    """Forward, loss and backward of an image in training."""
    optimizer_s: float = Field(ge=0)
    """A step of the optimiser."""
    data_s: float | None = Field(default=None, ge=0)
    """Waiting for an image to train on; none if those of the dataset could not be had."""
    evaluation_s: float | None = Field(default=None, ge=0)
    """An image in evaluation, all windows."""
    windows: float | None = Field(default=None, ge=1)
    """Of such an image, where that is known."""
    rest_s: float | None = Field(default=None, ge=0)
    """Of a whole run: start, checkpoints, publication."""
    forward_flops: int | None = Field(default=None, gt=0)
    train_flops: int | None = Field(default=None, gt=0)
    encoder_parameters: int = Field(ge=0)
    decoder_parameters: int = Field(ge=0)
    trained_parameters: int = Field(ge=0)
    micro_batch: int = Field(ge=1)
    host_gib: float | None = Field(default=None, ge=0)
    device_gib: float | None = Field(default=None, ge=0)


def traits_of(spec: RunSpec, precision: str = "") -> Traits:
    """Args: spec: with `precision` resolved, unless it is given."""
    return Traits(
        spec.encoder, spec.decoder, spec.freeze, spec.trained_blocks, spec.lora_rank, spec.patch_size, spec.crop,
        precision or spec.precision,
    )  # fmt: skip


def place_of(device: str, host: str = "") -> str:
    """A GPU by its model, wherever it is; a CPU by its machine: nothing tells two of them apart.

    Args:
        device: `cpu`, or a GPU's name.
        host: of the machine; this one unless it is given.
    """
    return f"cpu of {host or socket.gethostname()}" if device == "cpu" else device


def observations_in(
    store: Store, first: Iterable[str], windows: Callable[[RunSpec], float | None]
) -> list[Observation]:
    """From finished runs of a store.

    Args:
        store: the results folder.
        first: keys of runs to look at in any case; of others, `MOST_OTHERS` at most.
        windows: of an image that a spec is scored on, where that is known.
    """
    wanted = dict.fromkeys(first)
    others = [key for key in store.run_keys() if key not in wanted]
    found = []
    for key in (*wanted, *others[:MOST_OTHERS]):  # keys are hashes: the first are as good as any
        with contextlib.suppress(StoreError):  # `segrank show` tells of damage
            record = store.published(key)
            if record is not None and (seen := observed(record, windows(record.spec))):
                found.append(seen)
    return found


def observed(record: Record, windows: float | None = None) -> Observation | None:
    """What a finished run tells; none if it was no plain run on one device.

    Args:
        record: of the run.
        windows: of an image that it was scored on.
    """
    spec, cost, made = record.spec, record.cost, record.provenance
    images = record.step * spec.batch_size
    compute_s = cost.train_s - cost.optimizer_s
    if record.status != "ok" or made.devices != 1 or not images or compute_s <= 0 or not made.device:
        return None
    own = [e for e in record.evaluations if e.dataset == (spec.eval_dataset or spec.dataset) and not e.corruption]
    scored = sum(evaluation.images for evaluation in own)
    return Observation(
        source="run",
        traits=traits_of(spec, record.precision),
        place=place_of(made.device, made.host),
        dataset=spec.dataset,
        eval_dataset=spec.eval_dataset or spec.dataset,
        compute_s=compute_s / images,
        optimizer_s=cost.optimizer_s / record.step,
        data_s=cost.data_wait_s / images,
        evaluation_s=sum(evaluation.seconds for evaluation in own) / scored if scored else None,
        windows=windows,
        rest_s=_rest_s(record),
        forward_flops=cost.forward_flops or None,
        train_flops=cost.train_flops or None,
        encoder_parameters=cost.encoder_parameters or 0,
        decoder_parameters=cost.decoder_parameters or 0,
        trained_parameters=cost.trained_parameters or 0,
        micro_batch=cost.micro_batch or 1,
        host_gib=cost.peak_host_gib,
        device_gib=cost.peak_device_gib,
    )


def counted_s(record: Record) -> float:
    """What a run took, as far as its record counts it: training, waiting for data, evaluations. Kills do not matter."""
    return record.cost.train_s + record.cost.data_wait_s + record.cost.evaluation_s


def _rest_s(record: Record) -> float | None:
    """Of a run that was not interrupted: between its first and its last moment, what is not counted."""
    made = record.provenance
    if made.attempts != 1:
        return None
    try:
        whole = datetime.fromisoformat(made.finished) - datetime.fromisoformat(made.started)
    except (ValueError, TypeError):
        return None
    return max(0.0, whole.total_seconds() - counted_s(record))


def took_s(run: Path) -> float | None:
    """`counted_s` of a finished run, by its folder: fast enough for ten thousand; none if it is not finished."""
    try:
        record = json.loads((run / "record.json").read_bytes())
        cost = record["cost"]
        parts = [float(cost[name]) for name in ("train_s", "data_wait_s", "evaluation_s")]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return sum(parts) if record.get("status") == "ok" and all(0 <= part < math.inf for part in parts) else None
