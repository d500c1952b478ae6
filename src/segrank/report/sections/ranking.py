"""The ranking under each setting, with what its runs took. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.leaderboard import Leaderboard
from segrank.ranking.words import remarks
from segrank.report.figures.figure import Figure
from segrank.report.section import Choice, Section, Table
from segrank.report.sheets.rank import sheet
from segrank.report.study import Part, Study

_COLUMNS = (
    "Ranks: those that the encoder may truly have. P(best): the probability that it is truly the best one. Group: "
    "encoders without a letter in common are told apart.",
)


def ranking(study: Study, figures: Sequence[Figure]) -> Section:
    """
    Args:
        study: with one or several settings.
        figures: one for each; the first is on the first screen already.
    """
    several = len(study.parts) > 1
    notes = dict.fromkeys(note for part in study.parts for note in remarks(part.board))
    return Section(
        "ranking",
        "Ranking",
        "From the first to the last. Look at the group before the rank: encoders that share a letter cannot be told "
        "apart, so their order may be chance. Those that are not ranked stand at the end, with the reason."
        + (" Each setting has a ranking of its own." if several else ""),
        tables=[] if several else [_table(study.base, 0)],
        choices=[
            Choice(part.name, [figure] if at else [], [_table(part, at)])
            for at, (part, figure) in enumerate(zip(study.parts, figures, strict=True))
        ]
        if several
        else [],
        remarks=[*_COLUMNS, *notes],
    )


def _table(part: Part, at: int) -> Table:
    return Table(f"ranking-{at}", sheet(part.board), _runs(part.board), searched=len(part.board.boards[0].entries) > 20)


def _runs(leaderboard: Leaderboard) -> list[list[str]]:
    """In the order of the sheet's rows."""
    board = leaderboard.boards[0]
    found = {entry.encoder: [run.run for run in entry.runs] for entry in (*board.entries, *board.incomplete)}
    for run in board.unscored:
        found.setdefault(run.encoder, []).append(run.run)
    return list(found.values())
