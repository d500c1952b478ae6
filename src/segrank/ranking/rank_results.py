"""From results to a leaderboard. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy import stats

from segrank.errors import RankingError
from segrank.ranking.cell import Cell
from segrank.ranking.comparable import Block, comparable
from segrank.ranking.estimate_block import estimate_block
from segrank.ranking.intervals import Estimates, score
from segrank.ranking.leaderboard import COSTS, Board, Entry, Leaderboard, Options, Scored, Unscored
from segrank.ranking.overall import overall, part_of
from segrank.ranking.ranks import Ranking, rank
from segrank.ranking.results import Metric, Results


def rank_results(
    results: Results,
    *,
    metric: str = "",
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    options: Options | None = None,
) -> Leaderboard:
    """Rank encoders within one comparable protocol, or within each of several and then over all.

    Args:
        results: rows to rank, from `results_of` or `read_results_file`.
        metric: to rank by.
        where, across: see `comparable`.
        options: how uncertainty is estimated.

    Raises:
        RankingError: the rows may not be ranked together, evaluations cannot be paired, or no encoder is in all blocks.
    """
    options = options or Options()
    by = results.metric(metric)
    blocks, left_out = comparable(results, by, where=where, across=across)
    draw_seeds: dict[tuple[str, ...], int] = {}
    ranked = [_rank_block(results, block, by, options, draw_seeds) for block in blocks]
    notes = tuple(note for note in (*results.notes, left_out) if note)
    if by.guessed:
        notes = (f"{by.direction} {by.name} is taken to be better, by its name", *notes)
    if len(ranked) == 1:
        return Leaderboard(results.source, by, options, (ranked[0].board,), None, notes)
    boards, together = _overall(ranked, options)
    return Leaderboard(results.source, by, options, boards, together, notes)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A board, with what an overall order needs of it."""

    board: Board
    cell: Cell


def _rank_block(
    results: Results, block: Block, metric: Metric, options: Options, draw_seeds: dict[tuple[str, ...], int]
) -> _Ranked:
    found = estimate_block(results, block, metric, options, draw_seeds)
    of, rows, usual, seeds, unscored = found.of, found.rows, found.usual, found.seeds, found.unscored
    ranking = rank(of, level=options.level, draws=options.resamples, seed=options.seed)
    entries = _entries(rows, metric)
    short = [
        replace(entries[label], note=_why_incomplete(label, count, usual, unscored))
        for label, count in seeds.items()
        if count < usual
    ]
    board = Board(
        name=block.name,
        protocol=block.protocol,
        entries=_in_order(of, ranking, entries, options),
        incomplete=tuple(short),
        unscored=unscored,
        of=of,
        ranking=ranking,
        notes=_notes(results, found.complete_rows, ranking),
    )
    return _Ranked(board, found.cell)


def _entries(rows: pl.DataFrame, metric: Metric) -> dict[str, Entry]:
    """Encoders by label, not ranked yet."""
    runs = ("run", "evaluation", "seed", metric.name)
    saw = ["card_saw"] if "card_saw" in rows.columns else []
    scored_on = rows["eval_dataset"][0].partition("?")[0] if saw else ""
    table = (
        rows.sort("label", "seed")
        .group_by("label", maintain_order=True)
        .agg(
            *(pl.col(name).alias(f"runs {at}") for at, name in enumerate(runs)),
            pl.col(metric.name).mean().alias("mean score"),
            *((pl.col(name).max() if name == "memory_gib" else pl.col(name).mean()).alias(name) for name in COSTS),
            pl.col("licence").drop_nulls().first(),
            *(pl.col(name).first() for name in saw),
        )
    )
    found = {}
    for row in table.iter_rows(named=True):
        seen = scored_on in (row.get("card_saw") or "").split(", ") and bool(scored_on)
        found[row["label"]] = Entry(
            encoder=row["label"],
            score=row["mean score"],
            runs=tuple(Scored(*run) for run in zip(*(row[f"runs {at}"] for at in range(len(runs))), strict=True)),
            costs={name: row[name] for name in COSTS},
            licence=row["licence"],
            note=f"pretraining saw images of {scored_on}" if seen else "",
        )
    return found


def _in_order(of: Estimates, ranking: Ranking, entries: Mapping[str, Entry], options: Options) -> tuple[Entry, ...]:
    """The entries with what the ranking says of them."""
    found = []
    for index in ranking.order:
        estimate = score(of, index, level=options.level)
        interval = estimate.interval
        found.append(
            replace(
                entries[of.encoders[index]],
                score=estimate.value,
                rank=ranking.rank[index],
                interval=(interval.low, interval.high) if interval else None,
                rank_interval=ranking.interval[index] if ranking.interval else None,
                best=ranking.best[index] if ranking.best else None,
                group=ranking.letters[index] if ranking.letters else "",
            )
        )
    return tuple(found)


def _overall(ranked: Sequence[_Ranked], options: Options) -> tuple[tuple[Board, ...], Board]:
    """The boards with their weights, and the overall order of the encoders that all of them rank."""
    shared = [name for name in ranked[0].cell.encoders if all(name in one.cell.encoders for one in ranked)]
    if not shared:
        counts = ", ".join(f"{one.board.name}: {len(one.cell.encoders)} encoders" for one in ranked)
        raise RankingError(
            f"no encoder is ranked in all of {len(ranked)} parts ({counts})",
            wanted="at least one encoder with a complete score in each",
            fix="choose some of them with --where, or add the missing runs",
        )
    parts = [part_of(one.cell, one.board.of, shared, 1 / len(ranked)) for one in ranked]
    boards = tuple(
        replace(one.board, weight=part.weight, unit=part.unit) for one, part in zip(ranked, parts, strict=True)
    )
    of = overall(parts)
    ranking = rank(of, level=options.level, draws=options.resamples, seed=options.seed)
    merits = [part.of.value if part.of.higher_is_better else -part.of.value for part in parts]
    ranks = np.mean([stats.rankdata(-merit) for merit in merits], axis=0)  # ties share the mean of their places
    mean_rank = dict(zip(shared, ranks.tolist(), strict=True))
    entries = [
        replace(entry, mean_rank=mean_rank[entry.encoder])
        for entry in _in_order(of, ranking, {name: _joint(ranked, name) for name in shared}, options)
    ]
    everyone = {entry.encoder for one in ranked for entry in (*one.board.entries, *one.board.incomplete)}
    return boards, Board(
        name="overall",
        protocol=_agreed(boards),
        entries=tuple(entries),
        incomplete=tuple(_joint(ranked, name) for name in sorted(everyone - set(shared))),
        unscored=(),
        of=of,
        ranking=ranking,
        notes=tuple(
            f"on {board.name} all have the same score: it decides nothing" for board in boards if not board.unit
        ),
    )


def _joint(ranked: Sequence[_Ranked], encoder: str) -> Entry:
    """What an encoder's entries say together: all its runs, their costs, and where it is missing."""
    entries, missing = [], []
    for one in ranked:
        there = next((e for e in (*one.board.entries, *one.board.incomplete) if e.encoder == encoder), None)
        if there is not None:
            entries.append(there)
        if there is None or there.rank is None:
            missing.append(f"{one.board.name} ({there.note})" if there else one.board.name)
    runs = {(run.run, run.evaluation): run for entry in entries for run in entry.runs}
    known = {name: [e.costs[name] for e in entries if e.costs[name] is not None] for name in COSTS}
    return Entry(
        encoder=encoder,
        score=None,
        runs=tuple(runs.values()),
        costs={name: _joint_cost(name, [v for v in values if v is not None]) for name, values in known.items()},
        licence=next((entry.licence for entry in entries if entry.licence), None),
        note=f"not ranked on {', '.join(missing)}" if missing else "; ".join({e.note: None for e in entries if e.note}),
    )


def _joint_cost(name: str, values: Sequence[float]) -> float | None:
    if not values:
        return None
    return max(values) if name == "memory_gib" else float(np.mean(values))


def _agreed(boards: Sequence[Board]) -> dict[str, str]:
    first = boards[0].protocol
    return {name: value for name, value in first.items() if all(board.protocol[name] == value for board in boards)}


def _why_incomplete(encoder: str, seeds: int, usual: int, unscored: Sequence[Unscored]) -> str:
    lost = [f"seed {one.seed}: {one.status}" for one in unscored if one.encoder == encoder]
    return "; ".join([f"{seeds} of {usual} seeds", *lost])


def _notes(results: Results, rows: pl.DataFrame, ranking: Ranking) -> tuple[str, ...]:
    notes = []
    devices = sorted(rows["device"].drop_nulls().unique().to_list())
    if len(devices) > 1:
        notes.append(f"costs are of different devices: {', '.join(devices[:6])}")
    if results.store and len(set(ranking.rank)) < len(ranking.rank):
        notes.append("some encoders have equal scores to the last digit: are they the same, or was an option ignored?")
    return tuple(notes)
