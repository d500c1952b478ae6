"""All that a page tells of a study, computed once: what each verb on results finds, or why nothing. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from segrank.errors import RankingError, StoreError
from segrank.ranking.agree import Agreements, agree
from segrank.ranking.along_the_way import AlongTheWay, along_the_way
from segrank.ranking.comparable import comparable
from segrank.ranking.diagnostics import Diagnosis, diagnose
from segrank.ranking.effects import Effects, effects
from segrank.ranking.leaderboard import Leaderboard, Options
from segrank.ranking.learning_curves import SCHEMA as CURVES
from segrank.ranking.learning_curves import learning_curves
from segrank.ranking.protocol_costs import costs_of
from segrank.ranking.rank_results import rank_results
from segrank.ranking.recommend import Recommendation, Wanted, recommend
from segrank.ranking.results import Metric, Results
from segrank.ranking.settings import Setting, settings_of, settings_or_one
from segrank.record import Record
from segrank.store import Store

T = TypeVar("T")
_FEWEST_FAMILIES = 3
"""With encoders of several sizes, for these to be taken as settings, as arXiv 2404.12172 does."""


@dataclass(frozen=True)
class Refused:
    """A question that these results do not answer."""

    why: str


@dataclass(frozen=True, eq=False)
class Part:
    """A setting, its ranking, and how that came about during training."""

    setting: Setting
    board: Leaderboard
    along: AlongTheWay | None
    curves: pl.DataFrame
    """See `learning_curves`; without rows where nothing was scored along the way."""

    @property
    def name(self) -> str:
        return self.setting.name


@dataclass(frozen=True, eq=False)
class Study:
    """What `read_study` found."""

    results: Results
    metric: Metric
    options: Options
    parts: tuple[Part, ...]
    """One for each setting, the base first."""
    records: Mapping[str, Record]
    """By run; empty for a table, and without those that cannot be read."""
    agreements: Agreements | Refused
    recommendation: Recommendation | Refused
    effects: Effects | Refused
    diagnosis: Diagnosis | Refused
    notes: tuple[str, ...]

    @property
    def base(self) -> Part:
        return self.parts[0]


def read_study(
    results: Results,
    *,
    along: Results | None = None,
    metrics: Sequence[str] = (),
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    target: Sequence[str] = (),
    wanted: Wanted | None = None,
    options: Options | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Study:
    """Ask everything that is asked of results.

    Args:
        results: from `results_of` or `read_results_file`.
        along: the evaluations along the way, if there are any.
        metrics, where, across: see `settings_of`; the first metric is the one that is spoken of where there is one.
        target: of the recommendation: conditions that one setting satisfies, or its name; the dearest by default.
        wanted: of the protocol that may stand for it.
        options: how uncertainty is estimated.
        on_step: told how much is done.

    Raises:
        RankingError: there is nothing to rank, or settings cannot be told apart. What only one question needs does not
            keep the others from being answered.
    """
    options, steps = options or Options(), 5
    results = replace(results, known={})
    along = along and replace(along, known=results.known)
    if not across:
        results = _by_size(results)
    chosen = [results.metric(text) for text in metrics or [""]]
    on_step(0, steps)
    parts, notes = read_parts(results, along=along, metrics=metrics, where=where, across=across, options=options)
    settings = [part.setting for part in parts]
    on_step(1, steps)
    names = [metric.name for metric in chosen]
    several = len(settings) > 1
    alone = Refused("There is one setting: nothing to set it beside.")
    agreements = (
        _asked(lambda: agree(results, metrics=names, where=where, across=across, options=options)) if several else alone
    )
    on_step(2, steps)
    aim = target or [_dearest(settings)]
    recommendation = (
        _asked(
            lambda: recommend(
                results,
                target=aim,
                metrics=names,
                where=where,
                across=across,
                wanted=wanted,
                along=along,
                options=options,
            )
        )
        if several
        else alone
    )
    on_step(3, steps)
    fields = list(settings[0].values)
    found = _asked(lambda: effects(results, metric=names[0], where=where, across=fields, options=options))
    on_step(4, steps)
    diagnosis = _asked(lambda: diagnose(results, metric=names[0], where=where, options=options))
    on_step(5, steps)
    return Study(
        results=results,
        metric=chosen[0],
        options=options,
        parts=parts,
        records=_records(results.store, results.rows["run"].unique().to_list()) if results.store else {},
        agreements=agreements,
        recommendation=recommendation,
        effects=found,
        diagnosis=diagnosis,
        notes=tuple(dict.fromkeys((*notes, *results.notes))),
    )


def read_parts(
    results: Results,
    *,
    along: Results | None = None,
    metrics: Sequence[str] = (),
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    options: Options,
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The settings with their rankings, and what should be known of them. Args and errors as of `read_study`."""
    if not across:
        results = _by_size(results)
    if results.known is None:
        results = replace(results, known={})
    along = along and replace(along, known=results.known)
    settings, notes = _settings(results, [results.metric(text) for text in metrics or [""]], where, across, options)
    parts = tuple(
        Part(
            setting,
            _board(results, setting, options),
            along_the_way(along, setting) if along else None,
            learning_curves(along, setting) if along else pl.DataFrame(schema=CURVES),
        )
        for setting in settings
    )
    return parts, notes


def _by_size(results: Results) -> Results:
    """With the encoder's size as part of the protocol, if base and large variants of the same families are there."""
    if "card_size" not in results.rows.columns or "card_size" in results.protocol:
        return results
    sizes = results.rows.filter(pl.col("card_size").is_not_null()).group_by("family")
    several = sizes.agg(pl.col("card_size").n_unique()).filter(pl.col("card_size") > 1).height
    if several < _FEWEST_FAMILIES:
        return results
    note = (
        f"of {several} families there are encoders of several sizes: each size is a setting; --across dataset, or "
        "whatever else differs, ranks them together"
    )
    return replace(results, protocol=(*results.protocol, "card_size"), notes=(*results.notes, note))


def _settings(
    results: Results, metrics: Sequence[Metric], where: Sequence[str], across: Sequence[str], options: Options
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """As many as there are: one will do."""
    first, names = metrics[0], [metric.name for metric in metrics]
    if len(metrics) == 1 and len(comparable(results, first, where=where, across=across, every=not across)[0]) == 1:
        return settings_or_one(results, metric=first.name, where=where, across=(), options=options)
    return settings_of(results, metrics=names, where=where, across=across, options=options)


def _board(results: Results, setting: Setting, options: Options) -> Leaderboard:
    """The ranking of the runs that make up a setting, whose scores are chosen already."""
    block = setting.block
    rows = pl.concat([block.rows, block.without_score], how="diagonal_relaxed")
    of_setting = replace(results, rows=rows, own="", notes=())
    return rank_results(of_setting, metric=setting.metric.name, options=options)


def _records(store: Store, runs: Sequence[str]) -> dict[str, Record]:
    found = {}
    for run in sorted(runs):
        try:
            record = store.record(run)
        except StoreError:  # whoever read the results was told
            continue
        if record is not None:
            found[run] = record
    return found


def _dearest(settings: Sequence[Setting]) -> str:
    """The setting that takes the most; the first one where that is not known."""
    costs, _, _ = costs_of(settings)
    return settings[int(np.nanargmax(costs)) if np.isfinite(costs).any() else 0].name


def _asked(question: Callable[[], T]) -> T | Refused:
    try:
        return question()
    except RankingError as error:
        return Refused(str(error))
