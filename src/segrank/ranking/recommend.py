"""Which cheap protocol, or small set of protocols, keeps the order of an expensive one. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segrank.errors import RankingError
from segrank.ranking.agreement import DRAWS, Agreement, agreement
from segrank.ranking.along_the_way import AlongTheWay, along_the_way
from segrank.ranking.leaderboard import Options
from segrank.ranking.overall import overall, part_of
from segrank.ranking.protocol_costs import costs_of
from segrank.ranking.protocol_search import FloatArray, Sets, search, sets_of, tau_for
from segrank.ranking.results import Results
from segrank.ranking.search_validation import LeftOut, by_chance, confidence_for_all, leave_out
from segrank.ranking.settings import Setting, settings_of
from segrank.ranking.where import cut, parse_conditions, select

_MOST_WITH_ERRORS = 16
"""Protocols and sets whose interval over these encoders is computed: it takes draws for each."""


@dataclass(frozen=True)
class Wanted:
    """Of a protocol that may stand for the target."""

    tau: float = 0.8
    confidence: float = 0.95
    """One-sided, that other such encoders would have this tau."""
    most: int = 3
    """Protocols in a set."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A protocol, or a set of them: the mean of standardised scores."""

    names: tuple[str, ...]
    encoders: int
    """That it shares with the target."""
    cost: float | None
    """Of one encoder with all its seeds, summed over the protocols, in the unit of the recommendation."""
    tau: float | None
    at_least: float | None
    """With the confidence asked for, of all that were looked at together, if encoders are a sample. None for fewer than
    5 families."""
    pareto: bool
    """No other is as cheap with a higher tau, nor cheaper with as high a one."""
    found: Agreement | None
    """With the target, as far as errors are known."""

    @property
    def name(self) -> str:
        return " + ".join(self.names)


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What `recommend` found."""

    source: str
    options: Options
    wanted: Wanted
    target: Setting
    target_cost: float | None
    unit: str
    """Of costs: `training hours` or `training PFLOP`; empty if they are unknown."""
    candidates: tuple[Candidate, ...]
    """Every protocol by itself, and the sets on the Pareto front; from cheap to dear."""
    sets: int
    """Looked at."""
    chosen: Candidate | None
    shown: bool
    """Whether `chosen` reaches the tau with the confidence asked for; else by its scores alone."""
    needed: float | None
    """tau over the target's encoders that it takes for this; None if there are too few for any."""
    left_out: LeftOut | None
    by_chance: float | None
    """tau that the best of those that are cheaper would reach in 1 - confidence of the cases, if none knew anything."""
    along: AlongTheWay | None
    """Of the target."""
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]


def recommend(
    results: Results,
    *,
    target: Sequence[str],
    metrics: Sequence[str] = (),
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    wanted: Wanted | None = None,
    along: Results | None = None,
    options: Options | None = None,
    draws: int = DRAWS,
) -> Recommendation:
    """Cost against agreement with the target, and the least cost for the tau that is wanted.

    Args:
        results, metrics, where, across, options: see `settings_of`.
        target: conditions that one setting satisfies, or its name.
        wanted: of the protocol that is looked for.
        along: the evaluations along the way, if there are any.
        draws: of true scores, for intervals.

    Raises:
        RankingError: as `settings_of`; no setting, or several, are the target.
    """
    options, wanted = options or Options(), wanted or Wanted()
    settings, notes = settings_of(results, metrics=metrics, where=where, across=across, options=options)
    aim = _target(settings, target)
    others = [setting for setting in settings if setting is not aim]
    costs, unit, cost_notes = costs_of([aim, *others])
    names = aim.of.encoders
    merits = np.array([_merits(setting, names) for setting in others])
    count = len(others)
    most = wanted.most
    sizes = {len(of) for of in sets_of(count, most, len(names))}
    everyone = np.ones(len(names), bool)
    _, family = np.unique([aim.families[name] for name in names], return_inverse=True)
    families = len(np.unique(family))
    below = float(costs[0]) if np.isfinite(costs[0]) else np.inf
    cheaper = [of for of in sets_of(count, most, len(names)) if not costs[1:][list(of)].sum() >= below]
    chance = None
    if cheaper:
        chance = by_chance(aim.merit, merits, cheaper, level=wanted.confidence, family=family, seed=options.seed)
    confidence = confidence_for_all(chance, len(cheaper), families, wanted.confidence)
    sets = search(aim.merit, merits, costs[1:], most=most, confidence=confidence, kept=everyone, family=family)
    needed = tau_for(wanted.tau, families, confidence)
    at = sets.choose(wanted.tau, shown=True, below=below)
    shown = at is not None
    if at is None:
        at = sets.choose(wanted.tau, shown=False, below=below)
    left = None
    if at is not None:
        left = leave_out(
            aim.merit,
            merits,
            costs[1:],
            sets.members[at],
            most=most,
            wanted=needed if shown and needed is not None else wanted.tau,
            below=below,
            family=family,
            seed=options.seed,
        )
    pareto = sets.pareto()
    kept = [index for index in range(len(sets.members)) if index < count or pareto[index] or index == at]
    kept.sort(key=lambda index: (np.nan_to_num(sets.cost[index], nan=0.0), -np.nan_to_num(sets.tau[index], nan=-1.0)))
    with_errors = sorted(kept, key=lambda index: (index != at, not pareto[index]))[:_MOST_WITH_ERRORS]
    candidates = {
        index: _candidate(sets, index, bool(pareto[index]), aim, others, index in with_errors, options, draws)
        for index in kept
    }
    if max(sizes) < min(most, count):
        cost_notes.append(
            f"{count} protocols and {len(names)} encoders are too many for sets of more than {max(sizes)}"
        )
    return Recommendation(
        source=results.source,
        options=options,
        wanted=wanted,
        target=aim,
        target_cost=_known(costs[0]),
        unit=unit,
        candidates=tuple(candidates.values()),
        sets=len(sets.members),
        chosen=None if at is None else candidates[at],
        shown=shown,
        needed=needed,
        left_out=left,
        by_chance=chance,
        along=along_the_way(along, aim) if along is not None else None,
        settings=settings,
        notes=(*cost_notes, *notes),
    )


def _target(settings: Sequence[Setting], asked: Sequence[str]) -> Setting:
    names = [setting.name for setting in settings]
    if len(asked) == 1 and names.count(asked[0]) == 1:
        return settings[names.index(asked[0])]
    if len(asked) == 1 and not any(sign in asked[0] for sign in "=<>"):
        raise RankingError(
            f'there is no setting "{asked[0][:80]}"', wanted=f"one of {', '.join(cut(name) for name in names[:20])}"
        )
    rows = pl.concat([setting.rows.with_columns(_at=pl.lit(at)) for at, setting in enumerate(settings)])
    left = dict(select(rows, parse_conditions(asked), hidden=("_at", "encoder_id"))["_at"].value_counts().iter_rows())
    found = [setting for at, setting in enumerate(settings) if left.get(at, 0) == setting.rows.height]
    if len(found) != 1:
        among = ", ".join(cut(setting.name) for setting in found[:12]) or "none"
        raise RankingError(
            f"{len(found)} settings are what --target says ({among})",
            wanted=f"one of {', '.join(cut(name) for name in names[:20])}",
            fix="give one of these names, or more conditions",
        )
    return found[0]


def _merits(setting: Setting, names: Sequence[str]) -> FloatArray:
    known = dict(zip(setting.of.encoders, setting.merit.tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in names])


def _candidate(
    sets: Sets,
    index: int,
    pareto: bool,
    target: Setting,
    others: Sequence[Setting],
    with_errors: bool,
    options: Options,
    draws: int,
) -> Candidate:
    chosen = [others[member] for member in sets.members[index]]
    shared = [name for name in target.of.encoders if all(name in setting.of.encoders for setting in chosen)]
    found = None
    if with_errors and len(shared) > 1:
        of = chosen[0].of
        if len(chosen) > 1:
            of = overall([part_of(setting.cell, setting.of, shared, 1 / len(chosen)) for setting in chosen])
        found = agreement(target.of, of, families=target.families, level=options.level, draws=draws, seed=options.seed)
    return Candidate(
        names=tuple(setting.name for setting in chosen),
        encoders=int(sets.encoders[index]),
        cost=_known(sets.cost[index]),
        tau=_known(sets.tau[index]),
        at_least=_known(sets.at_least[index]),
        pareto=pareto,
        found=found,
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
