"""A leaderboard as data: a table of numbers, or JSON in which every number names the runs behind it. No torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from segrank.ranking.leaderboard import COSTS, Board, Entry, Leaderboard


def frame(leaderboard: Leaderboard) -> pl.DataFrame:
    """A row for each encoder: ranked ones in order, then those that are not ranked, then those without a score.

    Numbers are as computed: not rounded, and not in percent. In an overall order the score is `overall`, and there are
    the columns `<metric> <block>` and `rank <block>` for each block.
    """
    board = leaderboard.overall or leaderboard.boards[0]
    score = "overall" if leaderboard.overall else leaderboard.metric.name
    rows = [_row(entry, score) | _by_block(leaderboard, entry.encoder) for entry in (*board.entries, *board.incomplete)]
    seen = {row["encoder"] for row in rows}
    for run in (run for one in leaderboard.boards for run in one.unscored):
        if run.encoder not in seen:
            seen.add(run.encoder)
            rows.append({"encoder": run.encoder, "note": run.status, **_by_block(leaderboard, run.encoder)})
    schema = pl.Schema(
        {"rank": pl.Int64, "encoder": pl.String, score: pl.Float64, "low": pl.Float64, "high": pl.Float64}
        | {"rank_low": pl.Int64, "rank_high": pl.Int64, "p_best": pl.Float64, "group": pl.String}
        | {"mean_rank": pl.Float64, "seeds": pl.Int64}
        | {name: pl.Int64 if name.startswith("rank ") else pl.Float64 for name in _by_block(leaderboard, "")}
        | dict.fromkeys(COSTS, pl.Float64)
        | {"licence": pl.String, "note": pl.String}
    )
    return pl.DataFrame(rows, schema=schema)


def _row(entry: Entry, score: str) -> dict[str, Any]:
    low, high = entry.interval or (None, None)
    rank_low, rank_high = entry.rank_interval or (None, None)
    return {
        "rank": entry.rank,
        "encoder": entry.encoder,
        score: entry.score,
        "low": low,
        "high": high,
        "rank_low": rank_low,
        "rank_high": rank_high,
        "p_best": entry.best,
        "group": entry.group or None,
        "mean_rank": entry.mean_rank,
        "seeds": len(entry.seeds),
        **entry.costs,
        "licence": entry.licence,
        "note": entry.note or None,
    }


def _by_block(leaderboard: Leaderboard, encoder: str) -> dict[str, Any]:
    if len(leaderboard.boards) == 1:
        return {}
    found: dict[str, Any] = {}
    for board in leaderboard.boards:
        there = next((e for e in (*board.entries, *board.incomplete) if e.encoder == encoder), None)
        found[f"{leaderboard.metric.name} {board.name}"] = there.score if there else None
        found[f"rank {board.name}"] = there.rank if there else None
    return found


def as_data(leaderboard: Leaderboard) -> dict[str, Any]:
    """All that is known, for JSON. Every entry lists its runs with evaluation, seed and score."""
    return {
        "source": leaderboard.source,
        "metric": asdict(leaderboard.metric),
        "options": asdict(leaderboard.options),
        "notes": leaderboard.notes,
        "boards": [_board(board) for board in leaderboard.boards],
        "overall": _board(leaderboard.overall) if leaderboard.overall else None,
    }


def _board(board: Board) -> dict[str, Any]:
    groups = board.ranking.groups
    return {
        "name": board.name,
        "protocol": dict(board.protocol),
        "weight": board.weight,
        "unit": board.unit,
        "covers": board.of.covers,
        "not_covered": board.of.note,
        "notes": board.notes,
        "groups": groups and [[board.of.encoders[index] for index in group] for group in groups],
        "entries": [{**asdict(entry), "seeds": entry.seeds} for entry in board.entries],
        "incomplete": [{**asdict(entry), "seeds": entry.seeds} for entry in board.incomplete],
        "unscored": [asdict(run) for run in board.unscored],
    }
