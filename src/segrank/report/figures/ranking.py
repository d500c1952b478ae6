"""The ranking: a dot with its interval for each encoder, from the first to the last. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt
import polars as pl

from segrank.ranking.leaderboard import Board, Entry, Leaderboard
from segrank.ranking.words import answer, not_told_from_first
from segrank.report.figures.axes import GAP, by_place, chart_of, column, layered, quantity, told
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.labels import labels, printable, room
from segrank.report.figures.units import Unit, of_overall, probability, unit_of

_SCHEMA = pl.Schema(
    {"at": pl.Int64, "rank": pl.Int64, "encoder": pl.String, "score": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    | {"rank_low": pl.Int64, "rank_high": pl.Int64, "p_best": pl.Float64, "group": pl.String, "seeds": pl.Int64}
    | {"note": pl.String, "mark": pl.String}
)
_NAME_WIDTH = 40
_TOLD = ("encoder", "rank", "score", "low", "high", "rank_low", "rank_high", "p_best", "group", "seeds", "note")


def ranking(leaderboard: Leaderboard, board: Board | None = None, *, size: Size = DOUBLE) -> Figure:
    """Scores with their intervals; beside them the groups and the probability to be the best.

    Filled: the first, and those that cannot be told from it. Small ticks: single seeds. At the foot those that are not
    ranked, with a cross.

    Args:
        leaderboard: from `rank_results`.
        board: one of its; the overall order by default, if it has one.
    """
    board = board or leaderboard.overall or leaderboard.boards[0]
    unit = of_overall if board is leaderboard.overall else unit_of(leaderboard.metric)
    shown = [*board.entries, *(entry for entry in board.incomplete if entry.score is not None)]
    table = _table(board, shown)
    seeds = [
        {"at": at, "score": run.score}
        for at, entry in enumerate(shown)
        for run in entry.runs
        if board is not leaderboard.overall and len(entry.runs) > 1
    ]
    return Figure(
        name="ranking",
        title=f"Ranking by {unit.name}",
        chart=_chart(
            unit.applied(table, "score", "low", "high"),
            unit.applied(pl.DataFrame(seeds, schema={"at": pl.Int64, "score": pl.Float64}), "score"),
            board,
            unit,
            size,
        ),
        alternative=printable(answer(board, unit.metric, unit.name)),
        table=table.drop("at", "mark"),
        size=size,
    )


def _table(board: Board, shown: list[Entry]) -> pl.DataFrame:
    first = {entry.encoder for entry in board.entries if entry.rank == 1}
    near = {entry.encoder for entry in not_told_from_first(board) or ()}
    rows = [
        {
            "at": at,
            "rank": entry.rank,
            "encoder": entry.encoder,
            "score": entry.score,
            "low": entry.interval[0] if entry.interval else None,
            "high": entry.interval[1] if entry.interval else None,
            "rank_low": entry.rank_interval[0] if entry.rank_interval else None,
            "rank_high": entry.rank_interval[1] if entry.rank_interval else None,
            "p_best": entry.best,
            "group": entry.group or None,
            "seeds": len(entry.seeds),
            "note": entry.note or None,
            "mark": "out" if entry.rank is None else "lead" if entry.encoder in first | near else "rest",
        }
        for at, entry in enumerate(shown)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _chart(table: pl.DataFrame, seeds: pl.DataFrame, board: Board, unit: Unit, size: Size) -> alt.LayerChart:
    tied = {rank for rank in table["rank"].drop_nulls() if table.filter(pl.col("rank") == rank).height > 1}
    width = min(_NAME_WIDTH, room(0.4, size.width_px, size.font_px))
    names = [
        f"{name}{GAP}{'–' if rank is None else f'{rank}=' if rank in tied else rank}"
        for name, rank in zip(labels(table["encoder"].to_list(), width), table["rank"], strict=True)
    ]
    sure = board.ranking.best is not None
    notes = ["" if rank else "not ranked" for rank in table["rank"]]
    groups = [group or note for group, note in zip(table["group"], notes, strict=True)]
    left = alt.Axis(title=None, labelExpr=by_place(names), ticks=False, grid=True, translate=0)
    y = alt.Y("at:O", axis=None)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=quantity(unit.title), scale=alt.Scale(zero=False, nice=True))

    def beside(texts: Iterable[str], heading: str, lines: float) -> alt.Y:
        return alt.Y("at:O", axis=column(list(texts), heading, size, lines))

    def dots(mark: str, y: alt.Y = y, **looks: Any) -> alt.Chart:
        chart: alt.Chart = chart_of(table.filter(pl.col("mark") == mark)).mark_point(filled=True, **looks)
        return chart.encode(x=x("score"), y=y, tooltip=told(table, *_TOLD))

    layers = [
        chart_of(table).mark_rule().encode(x=x("low"), x2="high:Q", y=alt.Y("at:O", axis=left)),
        chart_of(seeds)
        .mark_tick(style="seed", height=size.font_px * 0.5, yOffset=size.font_px * 0.55)
        .encode(x=x("score"), y=y),
        dots("lead", y if not sure else beside(map(probability, table["p_best"]), "P(best)", 0), style="lead"),
        dots("rest", y if not any(groups) else beside(groups, "group", 4.5 * sure), style="hollow"),
        dots("out", style="muted", shape="cross"),
    ]
    return layered(layers, size, alt.Step(size.font_px * 1.75))
