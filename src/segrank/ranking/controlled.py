"""What a pretraining objective adds where all else was held fixed: encoders of `segrank pretrain`. No torch.

These objectives are what is asked about, and pretraining seeds and images are the samples. A seed of every objective
begins with the same weights and sees the images in the same order, so a contrast is paired by seed: with weights w over
objectives, c_s = sum of w_o x score(o, s), and its mean is judged by Student's t over the seeds that all objectives
have, together with what other images would change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from segrank.cards import Lineage
from segrank.ranking.lineage_steps import Step, with_verdicts
from segrank.ranking.settings import Setting
from segrank.ranking.standard_errors import LEVEL, Errors, FloatArray, Part, ratio

_SEED = "card_pretraining_seed"
_FACTS = ("card_family", "card_mim", "card_promptable", "card_objective")
_FIXED = ("card_timm", "card_patch", "card_image")
"""What an encoder without pretraining shares with the others."""
_BUDGET = ("card_data", "card_images_seen_m")


class _Scored(NamedTuple):
    """One objective with one seed."""

    encoder: int
    """Its index in the setting."""
    score: float
    runs: tuple[str, ...]


class _Objective(NamedTuple):
    mim: str
    promptable: bool
    none: bool
    """Weights as they were before any pretraining."""
    by_seed: dict[int, _Scored]


class _Question(NamedTuple):
    lineage: Lineage
    weights: Mapping[str, float]
    """Objective -> its weight; their sum is 0."""


def controlled_steps(settings: Sequence[Setting], level: float = LEVEL) -> tuple[Step, ...]:
    """What masked image modelling adds, what abstract targets add over pixels, whether promptable pretraining hurts,
    and what each objective has over none, under every setting that has encoders of one controlled pretraining.

    Args:
        settings: their rows say `card_pretraining_seed` and the other facts of cards.
        level: of the intervals and verdicts.
    """
    found = []
    for setting in settings:
        for objectives in _controlled(setting):
            for question in _questions(objectives):
                step = _step(setting, objectives, question, level)
                if step is not None:
                    found.append(step)
    up = 1 if not settings or settings[0].of.higher_is_better else -1
    return with_verdicts(found, up, level)


def _controlled(setting: Setting) -> Iterator[dict[str, _Objective]]:
    """Objectives by name, of each architecture, data and budget; at least two, or one and none."""
    rows = setting.rows
    if any(name not in rows.columns for name in (_SEED, *_FACTS)):
        return
    there = [name for name in (*_FIXED, *_BUDGET) if name in rows.columns]
    rows = rows.filter(pl.col(_SEED).is_not_null()).unique("run", maintain_order=True)
    index = {label: at for at, label in enumerate(setting.of.encoders)}
    groups: dict[tuple[Any, ...], dict[str, _Objective]] = {}
    floors: dict[tuple[Any, ...], dict[str, _Objective]] = {}
    for row in rows.iter_rows(named=True):
        none = row["card_objective"] == "none"
        fixed = tuple(row[name] for name in there if name in _FIXED)
        budget = tuple(row[name] for name in there if name in _BUDGET)
        objectives = floors.setdefault(fixed, {}) if none else groups.setdefault((fixed, budget), {})
        objective = objectives.setdefault(
            row["card_family"], _Objective(str(row["card_mim"]), _true(row["card_promptable"]), none, {})
        )
        objective.by_seed[int(row[_SEED])] = _scored(setting, index[row["label"]], row["seed"])
    for (fixed, _), objectives in groups.items():
        both = objectives | floors.get(fixed, {})
        if len(both) > 1:
            yield both


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _scored(setting: Setting, encoder: int, seed: int) -> _Scored:
    """An encoder is one pretraining seed, with the mean of the seeds of its tuning; or its seeds are those of
    pretraining."""
    of, cell = setting.of, setting.cell
    labels = setting.rows.filter(pl.col("label") == of.encoders[encoder])
    value, runs = float(of.value[encoder]), cell.runs[encoder]
    if labels[_SEED].n_unique() > 1:
        at = cell.seeds[encoder].index(seed)
        value, runs = value + float(of.deviations[encoder][at]), (runs[at],)
    return _Scored(encoder, value, runs)


def _questions(objectives: Mapping[str, _Objective]) -> Iterator[_Question]:
    learnt = [name for name, one in objectives.items() if not one.none]
    floors = [name for name, one in objectives.items() if one.none]
    mim = [name for name in learnt if objectives[name].mim != "none"]
    abstract = [name for name in mim if objectives[name].mim == "abstract"]
    pixels = [name for name in mim if objectives[name].mim == "pixels"]
    promptable = [name for name in learnt if objectives[name].promptable]

    def others(than: Sequence[str]) -> list[str]:
        return [name for name in learnt if name not in than]

    asked = [
        ("masked image modelling", "other objectives", mim, others(mim)),
        (", ".join(sorted(abstract)), ", ".join(sorted(pixels)), abstract, pixels),
        ("promptable", "other objectives", promptable, others(promptable)),
        *((name, "no pretraining", [name], floors) for name in learnt),
    ]
    for child, parent, above, below in asked:
        if above and below:
            changed = f"{_mean_of(above)} against {_mean_of(below)}"
            weights = dict.fromkeys(above, 1 / len(above)) | dict.fromkeys(below, -1 / len(below))
            yield _Question(Lineage(child, parent, "controlled", changed), weights)


def _mean_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean of {', '.join(sorted(names))}"


def _step(setting: Setting, objectives: Mapping[str, _Objective], question: _Question, level: float) -> Step | None:
    """None if no seed is there of all of them."""
    weights = question.weights
    seeds = sorted(set.intersection(*(set(objectives[name].by_seed) for name in weights)))
    if not seeds:
        return None
    scored = [[objectives[name].by_seed[seed] for name in weights] for seed in seeds]
    factors = np.array(list(weights.values()))
    values = np.array([factors @ [one.score for one in row] for row in scored])
    runs = tuple(dict.fromkeys(run for row in scored for one in row for run in one.runs))
    step = Step(
        lineage=question.lineage,
        setting=setting.name,
        value=float(values.mean()),
        interval=None,
        p_value=None,
        adjusted=None,
        verdict="unknown",
        covers=("seeds",) if setting.of.image_noise is None else ("seeds", "images"),
        runs=runs,
    )
    if len(seeds) == 1:  # it tells of these weights alone
        return replace(step, covers=())
    spread = np.zeros(len(setting.of.encoders))
    for row in scored:
        for factor, one in zip(factors, row, strict=True):
            spread[one.encoder] += factor / len(seeds)
    errors = _errors(setting, values, spread)
    half = float(errors.half_width(level)[0])
    above = float(errors.above_zero(np.array([step.value]))[0])
    return replace(step, interval=(step.value - half, step.value + half), p_value=2 * min(above, 1 - above))


def _errors(setting: Setting, values: FloatArray, weights: FloatArray) -> Errors:
    """Of the mean of `values` (seeds,), which is the sum of weights (encoders,) x scores."""
    noise = setting.of.image_noise
    shared = np.zeros(1) if noise is None else np.array([weights**2 @ noise.per_seed])
    variance = np.array([values.var(ddof=1) / len(values)])
    seeds = Part(variance, np.array([len(values) - 1.0]), np.minimum(shared, variance))
    if noise is None:
        return Errors(seeds, seeds, None)
    moved = weights @ noise.moved
    second, fourth = np.array([(moved**2).sum()]), np.array([(moved**4).sum()])
    # as in `intervals.image_part`
    df = np.minimum(ratio(2 * second**2, fourth - second**2 / len(moved)), max(len(moved) - 1, 1))
    images = Part(np.array([weights @ noise.covariance @ weights]), df, np.zeros(1))
    return Errors(seeds, seeds, images)  # so that it is never narrower than by these few seeds alone
