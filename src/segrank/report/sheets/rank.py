"""A leaderboard, in a table. No torch."""

from __future__ import annotations

from collections.abc import Callable

from segrank.ranking.export import as_data, frame
from segrank.ranking.leaderboard import Board, Entry, Leaderboard
from segrank.ranking.results import Metric
from segrank.ranking.words import OVERALL, chance, digits_for, headline, remarks, shown, title
from segrank.report.sheets.sheet import Report, Sheet

_SPARED = ("GFLOP", "ms/image", "M param.", "memory GiB", "mean rank", "train h", "licence", "seeds", "note")
_TEXT = frozenset({"encoder", "group", "licence", "note"})

Cell = Callable[[Entry], str]


def report(leaderboard: Leaderboard) -> Report:
    return Report(
        headline=headline(leaderboard),
        sheets=[sheet(leaderboard)],
        remarks=remarks(leaderboard),
        frame=frame(leaderboard),
        data=as_data(leaderboard),
    )


def sheet(leaderboard: Leaderboard) -> Sheet:
    """A row for each encoder: ranked ones in order, then those that are not ranked, then those without a score."""
    metric, boards = leaderboard.metric, leaderboard.boards
    unit = f"{title(metric)}{' %' if metric.share else ''}"
    board = leaderboard.overall or boards[0]
    level = f"{leaderboard.options.level:.0%}"
    if leaderboard.overall is None:
        columns = _columns(board, metric, unit, level)
    else:
        columns = _columns(board, OVERALL, "overall", level)
        columns |= {f"{one.name} {unit} (rank)": _place(one, metric) for one in boards}
    columns |= _FACTS
    rows = [
        {heading: cell(entry) for heading, cell in columns.items()} for entry in (*board.entries, *board.incomplete)
    ]
    there = {row["encoder"] for row in rows}
    lost = {run.encoder: run.status for one in boards for run in one.unscored if run.encoder not in there}
    rows += [dict.fromkeys(columns, "") | {"encoder": name, "note": status} for name, status in lost.items()]
    return Sheet("", list(columns), [list(row.values()) for row in rows], _TEXT, _SPARED)


def _columns(board: Board, metric: Metric, unit: str, level: str) -> dict[str, Cell]:
    digits = digits_for([entry.score for entry in board.entries if entry.score is not None], metric)
    return {
        "rank": lambda e: _text(e.rank, "d"),
        "encoder": lambda e: e.encoder,
        unit: lambda e: "" if e.score is None else shown(e.score, metric, digits),
        f"{level} interval": lambda e: " to ".join(shown(end, metric, digits) for end in e.interval or ()),
        "ranks": lambda e: " to ".join(map(str, dict.fromkeys(e.rank_interval or ()))),
        "P(best)": lambda e: chance(e.best),
        "group": lambda e: e.group,
        "mean rank": lambda e: _text(e.mean_rank, ".2f"),
        "seeds": lambda e: str(len(e.seeds)),
    }


def _place(board: Board, metric: Metric) -> Cell:
    """`41.66 (3)`: score and rank in one of several boards."""
    entries = {entry.encoder: entry for entry in (*board.entries, *board.incomplete)}
    digits = digits_for([entry.score for entry in board.entries if entry.score is not None], metric)

    def cell(entry: Entry) -> str:
        there = entries.get(entry.encoder)
        if there is None or there.score is None:
            return ""
        return f"{shown(there.score, metric, digits)} ({_text(there.rank, 'd') or 'not ranked'})"

    return cell


_FACTS: dict[str, Cell] = {
    "train h": lambda e: _text(e.costs["train_hours"], ".3g"),
    "memory GiB": lambda e: _text(e.costs["memory_gib"], ".3g"),
    "ms/image": lambda e: _text(e.costs["image_ms"], ".3g"),
    "M param.": lambda e: _text(e.costs["parameters_m"], ".4g"),
    "GFLOP": lambda e: _text(e.costs["gflops"], ".4g"),
    "licence": lambda e: e.licence or "",
    "note": lambda e: e.note,
}


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
