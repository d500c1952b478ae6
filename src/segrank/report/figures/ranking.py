"""The ranking: a dot with its interval for each encoder, from the first to the last. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from segrank.ranking.leaderboard import Board, Entry, Leaderboard
from segrank.ranking.words import answer, chance, not_told_from_first
from segrank.report.figures.axes import GAP, chart_of, fitted
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.intervals import Beside, dots_with_intervals
from segrank.report.figures.labels import printable
from segrank.report.figures.units import OF_OVERALL, Unit, unit_of

_SCHEMA = pl.Schema(
    {"at": pl.Int64, "rank": pl.Int64, "encoder": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    | {"rank_low": pl.Int64, "rank_high": pl.Int64, "p_best": pl.Float64, "group": pl.String, "seeds": pl.Int64}
    | {"note": pl.String, "look": pl.String}
)


def ranking(leaderboard: Leaderboard, board: Board | None = None, *, size: Size = DOUBLE) -> Figure:
    """Scores with their intervals; beside them the groups and the probability to be the best.

    Filled: the first, and those that cannot be told from it. Small ticks: single seeds. At the foot those that are not
    ranked, with a cross.

    Args:
        leaderboard: from `rank_results`.
        board: one of its; the overall order by default, if it has one.
    """
    board = board or leaderboard.overall or leaderboard.boards[0]
    unit = OF_OVERALL if board is leaderboard.overall else unit_of(leaderboard.metric)
    shown = [*board.entries, *(entry for entry in board.incomplete if entry.score is not None)]
    table = _table(board, shown)
    return Figure(
        name="ranking",
        title=f"Ranking by {unit.name}",
        chart=_chart(unit.applied(table, "value", "low", "high"), _seeds(shown, unit, size), board, unit, size),
        alternative=printable(answer(board, unit.metric, unit.name)),
        table=table.drop("at", "look").rename({"value": "score"}),
        size=size,
    )


def _seeds(shown: Sequence[Entry], unit: Unit, size: Size) -> alt.Chart:
    """Single scores, where an encoder's is their mean."""
    rows = [
        {"at": at, "value": unit.scale * run.score}
        for at, entry in enumerate(shown)
        for run in entry.runs
        if unit is not OF_OVERALL and len(entry.runs) > 1
    ]
    ticks: alt.Chart = chart_of(pl.DataFrame(rows, schema={"at": pl.Int64, "value": pl.Float64})).mark_tick(
        style="seed", height=size.font_px * 0.5, yOffset=size.font_px * 0.55
    )
    return ticks.encode(x="value:Q", y=alt.Y("at:O", axis=None))


def _table(board: Board, shown: Sequence[Entry]) -> pl.DataFrame:
    first = {entry.encoder for entry in board.entries if entry.rank == 1}
    near = {entry.encoder for entry in not_told_from_first(board) or ()}
    rows = [
        {
            "at": at,
            "rank": entry.rank,
            "encoder": entry.encoder,
            "value": entry.score,
            "low": entry.interval[0] if entry.interval else None,
            "high": entry.interval[1] if entry.interval else None,
            "rank_low": entry.rank_interval[0] if entry.rank_interval else None,
            "rank_high": entry.rank_interval[1] if entry.rank_interval else None,
            "p_best": entry.best,
            "group": entry.group or None,
            "seeds": len(entry.seeds),
            "note": entry.note or None,
            "look": "out" if entry.rank is None else "lead" if entry.encoder in first | near else "rest",
        }
        for at, entry in enumerate(shown)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _chart(table: pl.DataFrame, seeds: alt.Chart, board: Board, unit: Unit, size: Size) -> alt.LayerChart:
    tied = {rank for rank in table["rank"].drop_nulls() if table.filter(pl.col("rank") == rank).height > 1}
    names = [
        f"{name}{GAP}{'–' if rank is None else f'{rank}=' if rank in tied else rank}"
        for name, rank in zip(fitted(table["encoder"].to_list(), 0.4, size), table["rank"], strict=True)
    ]
    groups = [group or ("" if rank else "not ranked") for group, rank in table.select("group", "rank").iter_rows()]
    beside = []
    if board.ranking.best is not None:
        beside.append(Beside("P(best)", [chance(best) for best in table["p_best"]], 8))
    if any(groups):
        beside.append(Beside("group", groups, 8))
    told = ("encoder", "rank", "value", "low", "high", "rank_low", "rank_high", "p_best", "group", "seeds", "note")
    return dots_with_intervals(table, names, unit.title, size, tooltip=told, beside=beside, below=[seeds])
