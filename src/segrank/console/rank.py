"""How a leaderboard looks: on a terminal, piped, as CSV, JSON or Markdown. No torch here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence

from segrank.console.output import out
from segrank.console.tables import markdown_table, one_line, print_csv, print_table
from segrank.progress import plain
from segrank.ranking.export import as_data, frame
from segrank.ranking.leaderboard import Board, Entry, Leaderboard
from segrank.ranking.results import Metric
from segrank.ranking.where import cut
from segrank.ranking.words import OVERALL, digits_for, headline, remarks, shown, title

_GAP = 3
_SPARED = ("GFLOP", "ms/image", "M param.", "memory GiB", "mean rank", "train h", "licence", "seeds", "note")
"""Columns of a table that go first where a terminal is too narrow, in this order."""
_ENCODER_WIDTH = 48
"""Of a terminal's table: longer names are cut there, and nowhere else."""


def print_leaderboard(leaderboard: Leaderboard, form: str) -> None:
    """Print it as `table`, `csv`, `json` or `markdown`."""
    FORMATS[form](leaderboard)


def _print_table(leaderboard: Leaderboard) -> None:
    console = out()
    console.print(plain(headline(leaderboard)), style="bold", soft_wrap=True)
    wide = not sys.stdout.isatty()
    headings, rows = cells(leaderboard, width=None if wide else _ENCODER_WIDTH)
    spared = [] if wide else _spared(headings, rows, console.width)
    kept = [at for at, heading in enumerate(headings) if heading not in spared]
    print_table([headings[at] for at in kept], [[row[at] for at in kept] for row in rows], _TEXT)
    left_out = [f"No room for {', '.join(spared)}: --format csv has all columns."] if spared else []
    for line in [*remarks(leaderboard), *left_out]:
        console.print(plain(line), soft_wrap=True)


def _spared(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Columns that a narrow terminal does without."""
    widths = {heading: max(map(len, [heading, *column])) for heading, *column in zip(headings, *rows, strict=True)}
    spared = []
    for heading in _SPARED:
        if sum(widths.values()) + _GAP * len(widths) <= width:
            break
        if widths.pop(heading, None):
            spared.append(heading)
    return spared


def _print_markdown(leaderboard: Leaderboard) -> None:
    lines = [one_line(headline(leaderboard)), "", *markdown_table(*cells(leaderboard), _TEXT)]
    lines += ["", *(f"- {one_line(line)}" for line in remarks(leaderboard))]
    print("\n".join(lines))


def _print_csv(leaderboard: Leaderboard) -> None:
    print_csv(frame(leaderboard))


def _print_json(leaderboard: Leaderboard) -> None:
    data = {"answer": headline(leaderboard), "remarks": remarks(leaderboard), **as_data(leaderboard)}
    print(json.dumps(data, indent=1, allow_nan=False))


FORMATS: dict[str, Callable[[Leaderboard], None]] = {
    "table": _print_table, "csv": _print_csv, "json": _print_json, "markdown": _print_markdown,
}  # fmt: skip


Cell = Callable[[Entry], str]
_TEXT = {"encoder", "group", "licence", "note"}


def cells(leaderboard: Leaderboard, width: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text, as people read them; columns without any value are left out.

    Args:
        leaderboard: of one protocol, or with an overall order.
        width: names of encoders are cut to it.
    """
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
    if width:
        rows = [{**row, "encoder": cut(row["encoder"], width)} for row in rows]
    filled = [heading for heading in columns if any(row[heading] for row in rows)]
    return filled, [[row[heading] for heading in filled] for row in rows]


def _columns(board: Board, metric: Metric, unit: str, level: str) -> dict[str, Cell]:
    digits = digits_for([entry.score for entry in board.entries if entry.score is not None], metric)
    return {
        "rank": lambda e: _text(e.rank, "d"),
        "encoder": lambda e: e.encoder,
        unit: lambda e: "" if e.score is None else shown(e.score, metric, digits),
        f"{level} interval": lambda e: " to ".join(shown(end, metric, digits) for end in e.interval or ()),
        "ranks": lambda e: " to ".join(map(str, dict.fromkeys(e.rank_interval or ()))),
        "P(best)": lambda e: _probability(e.best),
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


def _probability(value: float | None) -> str:
    """Never 0 or 1: it comes from draws."""
    if value is None:
        return ""
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"
