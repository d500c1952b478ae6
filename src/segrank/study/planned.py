"""What a plan is made of: runs with what they will take, what is missing, and sums over them. No torch."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from segrank.pretrain.spec import PretrainSpec
from segrank.spec import RunSpec
from segrank.study.predict import Prediction
from segrank.study.predictions import Accuracy


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study, or one of the pretrainings that come first."""

    key: str
    """Empty if it cannot be told here, since something that it reads is missing."""
    encoder: str
    """As the study calls it."""
    settings: tuple[str, ...]
    spec: RunSpec | PretrainSpec
    """Its precision resolved; a pretraining is planned like a run."""
    status: str
    """As `State.status`, or `missing`."""
    step: int
    """Steps that are done."""
    took_s: float | None
    """Of a run that is done: training and evaluations."""
    prediction: Prediction
    reason: str = ""
    """Of a missing one."""

    @property
    def share(self) -> float:
        """Of it that is still to be done."""
        return 0.0 if self.status == "done" else 1 - min(self.step, self.spec.steps) / self.spec.steps

    @property
    def remaining_s(self) -> float | None:
        """What it will still take; none where that is not known."""
        if self.status == "done":
            return 0.0
        counted_s = self.prediction.counted_s
        return None if counted_s is None else self.share * counted_s + self.prediction.rest_s


class Need(NamedTuple):
    """Something that runs read and that is not here."""

    what: str
    why: str
    runs: int


class Total(NamedTuple):
    """Of the runs that are not done."""

    runs: int
    unknown: int
    """Of them, for which no time is known."""
    seconds: float
    """Of those for which it is, one after another."""
    low_s: float
    """Of each the lower end of its range: their errors are likely to be alike."""
    high_s: float
    wall_s: float
    """On all devices at once; the cores of a CPU are shared, so there it is the same."""
    flops: int
    host_gib: float | None
    """The most that one process takes."""
    device_gib: float | None
    disk_gib: float
    """At the most, while it runs."""
    kept_gib: float


@dataclass(frozen=True)
class StudyPlan:
    """What a study will take here."""

    name: str
    about: str
    device: str
    place: str
    slots: int
    """Runs at once."""
    runs: tuple[PlannedRun, ...]
    absent: tuple[tuple[str, str], ...]
    """Encoder and setting of cells that stay empty."""
    needs: tuple[Need, ...]
    accuracy: tuple[Accuracy, ...]
    """How far off past predictions for this place were."""
    free_gib: float | None
    """On the disk of the store."""
    uncalibrated: int
    """Kinds of runs that a calibration could measure and none has."""

    def total(self, runs: Sequence[PlannedRun] | None = None) -> Total:
        """Of some of the runs, or of all."""
        todo = [run for run in (self.runs if runs is None else runs) if run.status != "done"]
        times = [seconds for run in todo if (seconds := run.remaining_s) is not None]
        factors = [math.exp(2 * run.prediction.spread) for run in todo if run.remaining_s is not None]
        at_once = sorted((run.prediction.disk_gib or 0 for run in todo), reverse=True)[: self.slots]
        kept = sum(run.prediction.kept_gib or 0 for run in todo)
        return Total(
            runs=len(todo),
            unknown=len(todo) - len(times),
            seconds=sum(times),
            low_s=sum(seconds / factor for seconds, factor in zip(times, factors, strict=True)),
            high_s=sum(seconds * factor for seconds, factor in zip(times, factors, strict=True)),
            wall_s=sum(times) if self.device == "cpu" else _wall_s(times, self.slots),
            flops=sum(round(run.share * (run.prediction.flops or 0)) for run in todo),
            host_gib=max((run.prediction.host_gib for run in todo if run.prediction.host_gib), default=None),
            device_gib=max((run.prediction.device_gib for run in todo if run.prediction.device_gib), default=None),
            disk_gib=kept + sum(at_once),
            kept_gib=kept,
        )


def _wall_s(times: Sequence[float], slots: int) -> float:
    """Runs are started in order, each on the device that is free first."""
    free_at = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)
