"""Settings to set beside each other: every protocol of the results, or every metric, with a short name. No torch.

Encoders are matched from setting to setting by family, see `results`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.cell import Cell
from segrank.ranking.comparable import Block, comparable
from segrank.ranking.estimate_block import BlockEstimate, estimate_block
from segrank.ranking.families import families_of
from segrank.ranking.intervals import Estimates
from segrank.ranking.leaderboard import Options, Unscored
from segrank.ranking.protocol_names import SAY_WHAT_THEY_ARE, shown, without_common_options
from segrank.ranking.ranks import FloatArray, merit
from segrank.ranking.refusal import leading
from segrank.ranking.results import Metric, Results, across_settings
from segrank.ranking.where import as_shown
from segrank.spec import RunSpec

MOST = 64
"""Settings: of more there are too many pairs to look at."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One protocol and metric, and how it scores the encoders."""

    name: str
    values: Mapping[str, str]
    """Of the fields in which the settings differ."""
    metric: Metric
    block: Block
    """All runs under this protocol, with a score and without; encoders by the names that they have in every setting."""
    rows: pl.DataFrame
    """Runs of the encoders that have all their seeds."""
    cell: Cell
    """Of these, without counts."""
    of: Estimates
    incomplete: Mapping[str, int]
    """Encoders that are left out, and how many seeds they have."""
    usual: int
    """Seeds that they should have."""
    unscored: tuple[Unscored, ...]

    @property
    def merit(self) -> FloatArray:
        """(encoders,): the scores, turned so that higher is better."""
        return merit(self.of)

    @cached_property
    def families(self) -> Mapping[str, str]:
        """Encoder -> family: of one family they are no independent evidence on encoders in general."""
        return families_of(self.rows)


def settings_of(
    results: Results,
    *,
    metrics: Sequence[str] = (),
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    options: Options,
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """The settings, the base first, and what should be known of them, in words.

    Args:
        results: rows, from `results_of` or `read_results_file`.
        metrics: each is a setting of its own; by default the first one of the results.
        where: conditions on the rows.
        across: fields in which the settings differ, of the protocol or any other; without, all in which they do.
        options: how uncertainty is estimated.

    Raises:
        RankingError: there are fewer than two settings, or too many; settings differ in a field not named in `across`.
    """
    chosen = list({metric.name: metric for metric in map(results.metric, metrics or [""])}.values())
    more = [name for name in across if name in results.rows.columns and name not in _fields(results)]
    results = replace(results, protocol=(*results.protocol, *dict.fromkeys(more)))
    blocks, left_out = [], ""
    for metric in chosen:
        found, left_out = comparable(results, metric, where=where, across=across, every=not across)
        blocks += [(metric, block) for block in found]
    if not 1 < len(blocks) <= MOST:
        raise RankingError(
            f"{results.source} has {len(blocks)} setting{'s' * (len(blocks) != 1)} to compare",
            wanted=f"2 to {MOST}: protocols that differ in a field, or metrics",
            fix="choose with --where, or name the fields with --across"
            if len(blocks) > 1
            else f"--metrics A,B, or --across FIELD, such as {_sizes(results)}",
        )
    values = _values(results, [block for _, block in blocks])
    names = _names(values, [metric.name for metric, _ in blocks] if len(chosen) > 1 else None)
    estimated = _estimates(results, blocks, options)
    settings = [
        Setting(
            name=name,
            values=of_block,
            metric=metric,
            block=block,
            rows=one.complete_rows,
            cell=one.cell,
            of=one.of,
            incomplete={label: count for label, count in one.seeds.items() if count < one.usual},
            usual=one.usual,
            unscored=one.unscored,
        )
        for name, of_block, (metric, _), (block, one) in zip(names, values, blocks, estimated, strict=True)
    ]
    settings.sort(key=lambda setting: (setting.name != BASE, _changed(setting.values)))
    return tuple(settings), tuple(_notes(results, settings, left_out))


def settings_or_one(
    results: Results, *, metric: str, where: Sequence[str], across: Sequence[str], options: Options
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """As `settings_of`, where one setting will do.

    Raises:
        RankingError: as `settings_of`, but for that.
    """
    by = results.metric(metric)
    if across:
        return settings_of(results, metrics=[by.name], where=where, across=across, options=options)
    (block,), left_out = comparable(results, by, where=where)
    one = estimate_block(results, block, by, options, {})
    short = {label: count for label, count in one.seeds.items() if count < one.usual}
    setting = Setting(
        name="",
        values={},
        metric=by,
        block=block,
        rows=one.complete_rows,
        cell=one.cell,
        of=one.of,
        incomplete=short,
        usual=one.usual,
        unscored=one.unscored,
    )
    notes = [f"left out, with fewer than {one.usual} seeds: {', '.join(short)}"] if short else []
    if by.guessed:
        notes.append(f"{by.direction} {by.name} is taken to be better, by its name")
    return (setting,), tuple(note for note in (*notes, left_out, *results.notes) if note)


BASE = "base"


def _fields(results: Results) -> set[str]:
    return {*results.protocol, *(results.names or {}).values()}


def _sizes(results: Results) -> str:
    """A field that is no part of a protocol and yet tells settings apart, if there is one."""
    sizes = "card_size" in results.rows.columns and results.rows["card_size"].drop_nulls().n_unique() > 1
    return "card_size" if sizes else "dataset"


def _values(results: Results, blocks: Sequence[Block]) -> list[dict[str, str]]:
    """Of each block, what it has in the fields in which not all are the same."""
    rows = pl.concat([block.rows for block in blocks])
    differing = [name for name in results.protocol if len({block.protocol[name] for block in blocks}) > 1]
    fields = leading(results, rows, differing)
    return [{name: as_shown(block.rows[name])[0] for name in fields} for block in blocks]


def _names(values: Sequence[Mapping[str, str]], metrics: Sequence[str] | None) -> list[str]:
    """Values of a field that tells all apart; else `base`, and what differs from it. Before them the metric."""
    values, fields = without_common_options(values), list(values[0])
    telling = [
        name
        for name in fields
        if name in SAY_WHAT_THEY_ARE and len({of[name] for of in values}) == len(_distinct(values))
    ]
    fields = telling[:1] or fields
    if len(fields) < 2:
        names = [", ".join(shown(name, of[name]) for name in fields) for of in values]
    else:
        base = _base(values)
        apart = [{name: of[name] for name in fields if of[name] != base[name]} for of in values]
        short = [_own_value(of, values) or of for of in apart]
        names = [", ".join(shown(name, value) for name, value in of.items()) or BASE for of in short]
    if metrics is None:
        return names
    return [", ".join(filter(None, pair)) for pair in zip(metrics, names, strict=True)]


def _own_value(apart: Mapping[str, str], values: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What says what it is of, and no other setting has: `cityscapes` needs no crop beside it."""
    own = [name for name in apart if name in SAY_WHAT_THEY_ARE and sum(of[name] == apart[name] for of in values) == 1]
    return {name: apart[name] for name in own[:1]}


def _distinct(values: Sequence[Mapping[str, str]]) -> set[tuple[str, ...]]:
    return {tuple(of.values()) for of in values}


def _base(values: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The setting from which the others differ in the fewest fields; of several, the one with the most defaults."""

    def apart(of: Mapping[str, str]) -> int:
        return sum(of[name] != other[name] for other in values for name in of)

    return min(values, key=lambda of: (apart(of), _changed(of)))


def _changed(of: Mapping[str, str]) -> int:
    """Fields that have not their defaults."""
    defaults = {name: str(field.default).lower() for name, field in RunSpec.model_fields.items()}
    defaults["corruption"] = "none"
    return sum(value != defaults[name] for name, value in of.items() if name in defaults)


def _estimates(
    results: Results, blocks: Sequence[tuple[Metric, Block]], options: Options
) -> list[tuple[Block, BlockEstimate]]:
    rows = pl.concat([block.rows.with_columns(_at=pl.lit(at)) for at, (_, block) in enumerate(blocks)])
    names = across_settings(rows, ["_at"]).select("label", "across").unique("label")
    called = dict(names.iter_rows())
    draw_seeds: dict[tuple[str, ...], int] = {}
    renamed = [(metric, _renamed(block, called)) for metric, block in blocks]
    return [(block, estimate_block(results, block, metric, options, draw_seeds)) for metric, block in renamed]


def _renamed(block: Block, called: Mapping[str, str]) -> Block:
    """Encoders by their names from setting to setting; one that has no score here keeps its own."""

    def named(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("label").replace(called)) if called else rows

    return replace(block, rows=named(block.rows), without_score=named(block.without_score))


def _notes(results: Results, settings: Sequence[Setting], left_out: str) -> list[str]:
    notes = []
    guessed = [setting.metric for setting in settings if setting.metric.guessed]
    for direction in ("higher", "lower"):
        if names := list(dict.fromkeys(metric.name for metric in guessed if metric.direction == direction)):
            notes.append(f"{direction} is taken to be better, by the name, of {', '.join(names)}")
    if settings[0].name == BASE and BASE not in settings[0].values.values():
        values = ", ".join(f"{name}={value}" for name, value in settings[0].values.items())
        notes.append(f"base is {values}; other settings are called by what differs")
    for setting in settings:
        if setting.incomplete:
            short = ", ".join(f"{name} ({count})" for name, count in setting.incomplete.items())
            notes.append(f"left out of {setting.name}, with fewer than {setting.usual} seeds: {short}")
        if setting.unscored:
            lost = ", ".join(f"{run.encoder} ({run.status}, run {run.run})" for run in setting.unscored[:6])
            more = f" and {len(setting.unscored) - 6} more" if len(setting.unscored) > 6 else ""
            notes.append(f"without a score under {setting.name}: {lost}{more}")
    return [*notes, *(note for note in (left_out, *results.notes) if note)]
