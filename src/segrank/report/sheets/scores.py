"""The table of a paper: encoders down, settings across. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.leaderboard import Board, Entry
from segrank.ranking.words import digits_for, not_told_from_first, shown, title
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Part


def scores_sheet(parts: Sequence[Part]) -> tuple[Sheet, set[tuple[int, int]]]:
    """Scores, half their interval and ranks; encoders in the order of the first setting, then those of the others.

    Returns:
        the sheet, and (row, column) of the scores that lead: the first of a setting, where it is told apart from all.
    """
    boards = [part.board.boards[0] for part in parts]
    at = {name: row for row, name in enumerate(dict.fromkeys(e.encoder for board in boards for e in _all(board)))}
    rows = [[name, *[""] * len(parts)] for name in at]
    bold = set()
    for column, (part, board) in enumerate(zip(parts, boards, strict=True), start=1):
        established = not_told_from_first(board) == [] and len(board.entries) > 1
        digits = digits_for([entry.score for entry in board.entries if entry.score is not None], part.setting.metric)
        for entry in _all(board):
            rows[at[entry.encoder]][column] = _cell(entry, part, digits)
            if established and entry.rank == 1:
                bold.add((at[entry.encoder], column))
    units = [f"{title(part.setting.metric)}{' %' * part.setting.metric.share}" for part in parts]
    headings = [f"{part.name} {unit}".strip() for part, unit in zip(parts, units, strict=True)]
    if len(set(units)) == 1 and len(parts) > 1:
        headings = [part.name for part in parts]
    caption = f"{units[0] if len(set(units)) == 1 else 'Scores'} ± half the interval (rank)"
    return Sheet(caption, ["encoder", *headings], rows, frozenset({"encoder"})), bold


def _all(board: Board) -> tuple[Entry, ...]:
    return (*board.entries, *board.incomplete)


def _cell(entry: Entry, part: Part, digits: int) -> str:
    """`48.57 ± 0.31 (2)`; without a rank where it has none."""
    if entry.score is None:
        return ""
    metric = part.setting.metric
    half = f" ± {shown((entry.interval[1] - entry.interval[0]) / 2, metric, digits)}" if entry.interval else ""
    return f"{shown(entry.score, metric, digits)}{half} ({entry.rank or 'not ranked'})"
