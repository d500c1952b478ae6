"""How long a run will take, and how much memory, from what is known of others. No torch.

    time = images x (overhead + FLOPs / rate + wait for data) + steps x optimiser
         + scored images x (overhead + windows x FLOPs / rate) + start and checkpoints

Each term is taken from runs like it where there are some: equal in all that decides the time of an image. Elsewhere
overhead and rate are fitted to the runs and calibrations of the same device, by relative least squares, and both are
0 or more. Where nothing was measured nothing is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

import numpy as np

from segrank.evaluate.along_the_way import images_along_the_way, steps_along_the_way
from segrank.spec import RunSpec
from segrank.study.flops import Work, work_of
from segrank.study.footprint import PROCESS_GIB, disk_gib, memory_gib
from segrank.study.images import Scored
from segrank.study.network import transformer_of
from segrank.study.observations import Observation, traits_of
from segrank.train.micro_batch import usual_micro_batch

Basis = Literal["runs like it", "a calibration like it", "runs, by FLOPs", "calibrations, by FLOPs", "nothing"]
"""What a predicted time rests on."""

ASSUMED_SPREAD: dict[Basis, float] = {
    "runs like it": 0.1, "a calibration like it": 0.2, "runs, by FLOPs": 0.3, "calibrations, by FLOPs": 0.3,
    "nothing": math.inf,
}  # fmt: skip
"""Spread (standard deviation of the logarithm) where too few were seen to tell it."""
_ENOUGH = 3
"""Ratios from which a spread is told."""
_APART = 1.3
"""FLOPs must differ by this factor for an overhead to be told from a rate."""
_START_S = 4.0
"""Python and torch until a run's own clock starts, on two cores; a calibration measures it."""


class Prediction(NamedTuple):
    """Of one run, from its first step to its last evaluation. Seconds; none where nothing is known."""

    train_s: float | None
    data_s: float
    evaluation_s: float | None
    rest_s: float
    """Start, checkpoints, publication: what a record does not count."""
    spread: float
    """Standard deviation of the logarithm of what it will take."""
    basis: Basis
    rests_on: str
    """The same in words."""
    flops: int | None
    """Of the whole run."""
    host_gib: float | None
    """Memory of its process; on a GPU's host it is not known before a run was seen."""
    device_gib: float | None
    """Memory on a GPU."""
    disk_gib: float | None
    """The most while it runs."""
    kept_gib: float | None
    """What stays."""

    @property
    def counted_s(self) -> float | None:
        """What its record will count: see `observations.counted_s`."""
        if self.train_s is None or self.evaluation_s is None:
            return None
        return self.train_s + self.data_s + self.evaluation_s

    @property
    def seconds(self) -> float | None:
        """All of it."""
        return None if self.counted_s is None else self.counted_s + self.rest_s

    @property
    def range_s(self) -> tuple[float, float] | None:
        """Two spreads to either side."""
        if self.seconds is None:
            return None
        factor = math.exp(2 * self.spread)
        return self.seconds / factor, self.seconds * factor


@dataclass(frozen=True)
class _Rate:
    """Seconds of something: overhead + FLOPs x per_flop."""

    overhead_s: float
    per_flop_s: float

    def seconds(self, flops: float) -> float:
        return self.overhead_s + flops * self.per_flop_s


class _Guess(NamedTuple):
    seconds: float
    spread: float
    basis: Basis
    seen: int


class Predictor:
    """Predicts for one place.

    Args:
        observations: from runs and calibrations; those from elsewhere are left out.
        place: where runs will be: see `observations.place_of`.
        device: `cpu` or `cuda`.
        scored: what a spec is scored on.
        past: how far off past predictions were, as logarithms of ratios, by what they rested on.
        keep_weights: whether trained weights stay.
    """

    def __init__(
        self,
        observations: Sequence[Observation],
        place: str,
        device: str,
        scored: Callable[[RunSpec], Scored],
        *,
        past: Mapping[str, Sequence[float]] | None = None,
        keep_weights: bool = True,
    ) -> None:
        self.place, self.device, self.keep_weights = place, device, keep_weights
        self._scored, self._past = scored, past or {}
        self._seen = [one for one in observations if one.place == place]
        self._known: dict[object, Prediction] = {}

    def predict(self, spec: RunSpec) -> Prediction:
        """Args: spec: with its precision resolved."""
        same = (
            traits_of(spec), spec.steps, spec.batch_size, spec.dataset, spec.eval_dataset, spec.eval_split,
        )  # fmt: skip
        if same not in self._known:
            self._known[same] = self._predict(spec)
        return self._known[same]

    def _predict(self, spec: RunSpec) -> Prediction:
        scored = self._scored(spec)
        work, net = self._work(spec, scored.classes), transformer_of(spec.encoder)
        images = spec.steps * spec.batch_size
        along = len(images_along_the_way(scored.images)) * len(steps_along_the_way(spec.steps))
        evaluated = scored.images + along
        windows = scored.windows(spec.crop)
        training = self._compute(spec, work)
        evaluation = self._evaluation(spec, work, windows)
        worst = max((guess for guess in (training, evaluation) if guess), key=lambda guess: guess.spread, default=None)
        optimizer = self._optimizer(spec, work)
        like = [one for one in self._seen if one.traits == traits_of(spec)]
        runs = [one for one in like if one.source == "run"]  # a calibration publishes nothing
        micro_batch = usual_micro_batch(spec.batch_size, spec.crop, self.device)
        on_cpu = self.device == "cpu"
        own_gib = PROCESS_GIB if on_cpu else 0.0
        formula = [own_gib + memory_gib(spec, net, work, micro_batch)] if net and work else []
        disk = None
        if work:
            disk = disk_gib(work, steps=spec.steps, images=evaluated, keep_weights=self.keep_weights)
        return Prediction(
            train_s=images * training.seconds + spec.steps * optimizer if training else None,
            data_s=images * self._data(spec),
            evaluation_s=evaluated * evaluation.seconds if evaluation else None,
            rest_s=self._rest(),
            spread=worst.spread if worst else math.inf,
            basis=worst.basis if worst and training and evaluation else "nothing",
            rests_on=_words(worst) if worst and training and evaluation else self._unknown(work),
            flops=images * work.train_flops + round(evaluated * windows * work.forward_flops) if work else None,
            host_gib=_most([one.host_gib for one in runs] or [*(one.host_gib for one in like), *formula * on_cpu]),
            device_gib=None if on_cpu else _most([one.device_gib for one in runs or like] or formula),
            disk_gib=disk[0] if disk else None,
            kept_gib=disk[1] if disk else None,
        )

    def _work(self, spec: RunSpec, classes: int) -> Work | None:
        """As it was counted, else by the card."""
        traits = traits_of(spec)
        for one in self._seen:
            if one.traits == traits and one.forward_flops and one.train_flops:
                return Work(
                    one.forward_flops, one.train_flops, one.encoder_parameters, one.decoder_parameters,
                    one.trained_parameters,
                )  # fmt: skip
        return work_of(spec, classes)

    def _compute(self, spec: RunSpec, work: Work | None) -> _Guess | None:
        like = [one for one in self._seen if one.traits == traits_of(spec)]
        if like:
            return self._like(like, lambda one: one.compute_s)
        seen = [one for one in self._seen if one.train_flops and one.traits.precision == spec.precision]
        # losses are not in the FLOPs, and those of masks take time
        seen = [one for one in seen if one.traits.decoder == spec.decoder] or seen
        points = [(float(one.train_flops or 0), one.compute_s) for one in seen]
        return self._by_flops(seen, points, work.train_flops) if work and seen else None

    def _evaluation(self, spec: RunSpec, work: Work | None, windows: float) -> _Guess | None:
        """Final scores are in a precision of their own; which it was makes less of a difference than the network."""
        seen = [one for one in self._seen if one.evaluation_s]
        scored_on = spec.eval_dataset or spec.dataset
        like = [one for one in seen if one.traits == traits_of(spec) and one.eval_dataset == scored_on]
        if like:
            return self._like(like, lambda one: one.evaluation_s or 0.0)
        if not work:
            return None
        seen = [one for one in seen if one.forward_flops and one.windows]
        seen = [one for one in seen if one.traits.decoder == spec.decoder] or seen
        points = [(float(one.forward_flops or 0) * (one.windows or 0), one.evaluation_s or 0.0) for one in seen]
        return self._by_flops(seen, points, windows * work.forward_flops) if seen else None

    def _like(self, like: Sequence[Observation], what: Callable[[Observation], float]) -> _Guess:
        like = [one for one in like if one.source == "run"] or like
        basis: Basis = "runs like it" if like[0].source == "run" else "a calibration like it"
        values = [what(one) for one in like]
        logs = [math.log(value) for value in values if value > 0]
        return _Guess(median(values), self._spread(basis, logs), basis, len(like))

    def _by_flops(
        self, seen: Sequence[Observation], points: Sequence[tuple[float, float]], flops: float
    ) -> _Guess | None:
        basis: Basis = "runs, by FLOPs" if any(one.source == "run" for one in seen) else "calibrations, by FLOPs"
        points = _distinct(seen, points)
        left_out = [
            math.log(seconds / predicted)
            for at, (others, seconds) in enumerate(points)
            if len(points) > _ENOUGH
            and (predicted := fitted([p for place, p in enumerate(points) if place != at]).seconds(others)) > 0
        ]
        return _Guess(fitted(points).seconds(flops), self._spread(basis, left_out, around=0.0), basis, len(points))

    def _spread(self, basis: Basis, logs: Sequence[float], around: float | None = None) -> float:
        """From past predictions that rested on the same, else from what was seen, else assumed."""
        past = self._past.get(basis, ())
        if len(past) >= _ENOUGH:
            logs, around = past, 0.0
        if len(logs) < _ENOUGH:
            return ASSUMED_SPREAD[basis]
        centre = sum(logs) / len(logs) if around is None else around
        return max(0.02, math.sqrt(sum((log - centre) ** 2 for log in logs) / (len(logs) - (around is None))))

    def _optimizer(self, spec: RunSpec, work: Work | None) -> float:
        """Seconds of a step."""
        like = [one.optimizer_s for one in self._seen if one.traits == traits_of(spec)]
        if like:
            return median(like)
        rates = [one.optimizer_s / one.trained_parameters for one in self._seen if one.trained_parameters]
        return median(rates) * work.trained_parameters if rates and work else 0.0

    def _data(self, spec: RunSpec) -> float:
        """Seconds of waiting for an image: of the same dataset and crop, else by the crop's pixels."""
        seen = [(one, one.data_s) for one in self._seen if one.data_s is not None]
        same = [data_s for one, data_s in seen if (one.dataset, one.traits.crop) == (spec.dataset, spec.crop)]
        if same:
            return median(same)
        by_pixel = [data_s / math.prod(one.traits.crop) for one, data_s in seen]
        return median(by_pixel) * math.prod(spec.crop) if by_pixel else 0.0

    def _rest(self) -> float:
        starts = [one.rest_s for one in self._seen if one.source == "calibration" and one.rest_s is not None]
        rests = [one.rest_s for one in self._seen if one.source == "run" and one.rest_s is not None]
        return (median(starts) if starts else _START_S) + (median(rests) if rests else 0.0)

    def _unknown(self, work: Work | None) -> str:
        if not self._seen:
            return f"nothing was measured on {self.place} yet"
        if work is None:
            return "no card tells its FLOPs, and none like it was measured"
        return f"nothing measured on {self.place} fits"


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value), default=None)


def fitted(points: Sequence[tuple[float, float]]) -> _Rate:
    """Overhead and rate of points (FLOPs, seconds), by least squares of relative errors; neither is negative."""
    flops, seconds = (np.array(column) for column in zip(*points, strict=True))
    through_zero = _Rate(0.0, float(np.sum(flops / seconds) / np.sum((flops / seconds) ** 2)))
    if flops.max() < _APART * flops.min():
        return through_zero
    (overhead, per_flop), *_ = np.linalg.lstsq(
        np.stack([1 / seconds, flops / seconds], axis=1), np.ones(len(points)), rcond=None
    )
    if per_flop <= 0:
        return _Rate(float(np.sum(1 / seconds) / np.sum(1 / seconds**2)), 0.0)
    return through_zero if overhead < 0 else _Rate(float(overhead), float(per_flop))


def _distinct(seen: Sequence[Observation], points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A point for each kind of run, so that many seeds of one do not outweigh the others."""
    by_kind: dict[object, list[tuple[float, float]]] = {}
    for one, point in zip(seen, points, strict=True):
        by_kind.setdefault((one.traits, one.eval_dataset), []).append(point)
    return [(median(flops for flops, _ in kind), median(seconds for _, seconds in kind)) for kind in by_kind.values()]


def _words(guess: _Guess) -> str:
    """`3 finished runs like it`."""
    several = "s" if guess.seen > 1 else ""
    return {
        "runs like it": f"{guess.seen} finished run{several} like it",
        "a calibration like it": "a calibration of its kind",
        "runs, by FLOPs": f"FLOPs, at the rate of {guess.seen} other kind{several} of run",
        "calibrations, by FLOPs": f"FLOPs, at the rate of {guess.seen} calibration{several}",
    }[guess.basis]
