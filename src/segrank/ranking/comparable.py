"""Which rows may be ranked together: those that agree in everything but encoder and seed. No torch.

The protocol of a row is what `Results.protocol` lists: of a store, all fields of the spec but the encoder, its weights
and the seed, the digests of the training and of the evaluated data, how it was scored, and on which classes. Rows of
one protocol are a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from segrank.errors import RankingError
from segrank.files import nearest
from segrank.ranking.protocol_names import shown, without_common_options
from segrank.ranking.refusal import refusal, refuse_doubles
from segrank.ranking.results import OK, Metric, Results
from segrank.ranking.where import Condition, as_shown, cut, distinct, parse_conditions, select


@dataclass(frozen=True)
class Block:
    """Rows of one protocol."""

    name: str
    """What tells it from the other blocks: its values of the first fields asked for; empty if it is the only one."""
    values: Mapping[str, str]
    """The same by field."""
    protocol: Mapping[str, str]
    """Every field of the protocol, as shown."""
    rows: pl.DataFrame
    """With a score: `ok`, and finite."""
    without_score: pl.DataFrame
    """Runs under the same protocol, as far as that is known of them, that have no score, and why: column `status`."""


def comparable(
    results: Results, metric: Metric, *, where: Sequence[str] = (), across: Sequence[str] = (), every: bool = False
) -> tuple[tuple[Block, ...], str]:
    """The rows that may be ranked together, a block for each protocol; and what was left out, in words.

    Of a run that was scored in several ways, the one that its own spec asks for is ranked by, unless a condition or
    `across` names how runs were scored; and spoilt images count only where a condition or `across` names that.

    Args:
        results: all there is.
        metric: to rank by.
        where: conditions on the rows, see `segrank.ranking.where`.
        across: fields in which blocks may differ, such as `dataset`; what cannot but differ with them may as well.
        every: blocks may differ in any field. The names of blocks are then too long to read: see `settings`.

    Raises:
        RankingError: a condition that nothing satisfies; no scores; rows that differ in a field that is not in
            `across`, which is named with its values and with the conditions that would choose among them; an encoder
            with two scores for the same seed.
    """
    _check_across(results, across)
    conditions = parse_conditions(where)
    rows = _with_status(select(results.rows, conditions, hidden=("encoder_id",)), metric)
    scored, left_out = _usual(results, rows.filter(pl.col("status") == OK), conditions, across)
    if scored.is_empty():
        raise RankingError(
            f"{results.source}{' under these conditions' if where else ''} has no score to rank by", wanted=metric.name
        )
    free = {field for name in across for field in (name, *(results.follows or {}).get(name, ()))}
    if differing := [name for name in results.protocol if name not in free and scored[name].n_unique() > 1]:
        if not every:
            raise refusal(results, scored, differing, across)
        across = (*across, *differing)
    runs = _with_status(select(results.rows, _of_runs(results, conditions)), metric)
    blocks = _blocks(results, scored, runs, across)
    names = Counter(block.name for block in blocks)
    if (twice := names.most_common(1)[0])[1] > 1:
        same = [name for name in results.protocol if name in free]
        raise refusal(results, scored.filter(_equals(scored, blocks, twice[0])), same, ())
    for block in blocks:
        refuse_doubles(results, block.rows, block.name)
    return blocks, left_out


def complete(rows: pl.DataFrame) -> tuple[int, dict[str, int]]:
    """How many seeds an encoder should have, and how many each has, by label.

    It should have as many as most encoders have; of several such numbers, the largest.
    """
    counts = dict(rows.group_by("label").agg(pl.col("seed").n_unique()).sort("label").iter_rows())
    usual = Counter(counts.values())
    return max(usual, key=lambda seeds: (usual[seeds], seeds)), counts


def _check_across(results: Results, across: Sequence[str]) -> None:
    fields = {*results.protocol, *(results.names or {}).values()}
    for name in across:
        if name not in fields:
            raise RankingError(
                f'"{name[:80]}" is no field of the protocol of {results.source}',
                wanted=f"one of {', '.join(sorted(fields))}" if fields else "a column setting, dataset or split",
                fix=nearest(name, sorted(fields)),
            )


def _with_status(rows: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """A row that is `ok` but has no finite score is not: its status says what it has."""
    score = pl.col(metric.name)
    return rows.with_columns(
        pl.when(pl.col("status") != OK)
        .then("status")
        .when(score.is_null())
        .then(pl.lit(f"no {metric.name}"))
        .when(score.is_nan())
        .then(pl.lit(f"{metric.name} is NaN"))
        .when(score.is_infinite())
        .then(pl.lit(f"{metric.name} is infinite"))
        .otherwise("status")
        .alias("status")
    )


def _usual(
    results: Results, scored: pl.DataFrame, conditions: Sequence[Condition], across: Sequence[str]
) -> tuple[pl.DataFrame, str]:
    named = {*across, *(condition.field for condition in conditions)}
    if not results.own or named & {"evaluation", results.own}:
        return scored, ""
    ways = _ways(results)
    if not named & ways:
        kept = scored.filter(pl.col(results.own))
    elif not named & {"corruption", "severity"}:
        kept = scored.filter(pl.col("severity") == 0)
    else:
        return scored, ""
    if kept.height == scored.height or kept.is_empty():
        return scored, ""
    others = [name for name in ("eval_dataset", "eval_split", "score_precision", "corruption") if name in ways]
    rest = scored.join(kept.select("evaluation"), on="evaluation", how="anti")
    values = [
        f"{name} {', '.join(cut(value) for value in extra[:4])}"
        for name in others
        if (extra := [value for value in distinct(rest[name]) if value not in distinct(kept[name])])
    ]
    return kept, f"{rest.height} further evaluations are left out ({'; '.join(values)}): --where chooses them"


def _ways(results: Results) -> set[str]:
    """Fields that say how a run was scored, digests by the names of what was digested."""
    return {(results.names or {}).get(name, name) for name in results.evaluation} | set(results.evaluation)


def _of_runs(results: Results, conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions that a run without a score can satisfy: those that do not ask how it was scored."""
    scoring = {
        *results.evaluation,
        *((results.names or {}).get(name, name) for name in results.evaluation),
        "evaluation",
    }
    return [condition for condition in conditions if condition.field not in scoring]


def _blocks(results: Results, scored: pl.DataFrame, runs: pl.DataFrame, across: Sequence[str]) -> tuple[Block, ...]:
    training = [name for name in results.protocol if name not in results.evaluation]
    groups = scored.group_by(results.protocol, maintain_order=True) if results.protocol else [((), scored)]
    blocks = []
    for values, rows in groups:
        of_block = dict(zip(results.protocol, values, strict=True))
        alike = runs
        for name in training:  # nothing is known of some fields of a run that left no record
            alike = alike.filter(pl.col(name).eq_missing(pl.lit(of_block[name])) | pl.col(name).is_null())
        # a run that was scored here is there; one that was scored elsewhere only is missing here
        alike = alike.filter(~pl.col("run").is_in(rows["run"].to_list())).unique(
            "run", keep="first", maintain_order=True
        )
        without = alike.with_columns(
            pl.when(pl.col("status") == OK).then(pl.lit("not scored here")).otherwise("status").alias("status")
        )
        shown = {name: as_shown(rows[name])[0] for name in {*across, *results.protocol}}
        blocks.append(Block("", {name: shown[name] for name in across}, shown, rows, without))
    names = _names([block.values for block in blocks])
    blocks = [replace(block, name=name) for block, name in zip(blocks, names, strict=True)]
    return tuple(sorted(blocks, key=lambda block: block.name))


def _names(values: Sequence[Mapping[str, str]]) -> list[str]:
    """As many of each block's values as it takes to tell the blocks apart."""
    fields, values = list(values[0]), without_common_options(values)
    for count in range(len(fields) + 1):
        names = [", ".join(shown(field, of[field]) for field in fields[:count]) for of in values]
        if len(set(names)) == len(values):
            return names
    return names


def _equals(scored: pl.DataFrame, blocks: Sequence[Block], name: str) -> pl.Series:
    runs = [row for block in blocks if block.name == name for row in block.rows["run"].to_list()]
    return scored["run"].is_in(runs)
