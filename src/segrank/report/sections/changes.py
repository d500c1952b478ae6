"""What has changed since an earlier store or table: runs that came, went or came out otherwise, and ranks. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from segrank.ranking.leaderboard import Entry
from segrank.ranking.phrases import counted
from segrank.ranking.results import OK, Metric, Results
from segrank.ranking.words import shown, title
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Part, Study

Before = tuple[Results, tuple[Part, ...]]
"""Results, and what `read_parts` made of them."""
_RANKS = ("setting", "encoder", "rank was", "rank is", "score was", "score is")
_TEXT = frozenset({"run", "encoder", "setting", "what", "was", "is"})


def changes(study: Study, before: Before) -> Section:
    old, parts = before
    runs = list(_runs(old, study.results, study.metric))
    kinds = Counter(what for what, *_ in runs)
    known = {part.name: part for part in parts}
    ranks = [row for part in study.parts if part.name in known for row in _ranks(known[part.name], part)]
    moved = [row for row in ranks if row[2] != row[3]]
    said = ", ".join(f"{counted(number, 'run')} {what}" for what, number in kinds.items()) or "the same runs"
    missing = [part.name for part in study.parts if part.name not in known]
    return Section(
        "changes",
        "Changes",
        f"Since {old.source}: {said}. "
        + (f"{counted(len(moved), 'encoder')} changed rank. " if moved else "No encoder that was there changed rank. ")
        + "A rank may change because others came or went: look at the score beside it."
        + (f" Settings that were not there: {', '.join(name or 'this one' for name in missing)}." if missing else ""),
        tables=[
            table
            for table in (
                Table(
                    "changes-ranks",
                    Sheet(
                        "Ranks", ("setting", "encoder", "rank was", "rank is", "score was", "score is"), ranks, _TEXT
                    ),
                    searched=len(ranks) > 20,
                ),
                Table(
                    "changes-runs",
                    Sheet("Runs", ("what", "run", "encoder", "was", "is"), runs, _TEXT),
                    [[run] for _, run, *_ in runs],
                    searched=len(runs) > 20,
                ),
            )
            if table.sheet.rows
        ],
    )


def _runs(old: Results, new: Results, metric: Metric) -> Iterator[list[str]]:
    """By their keys: the same key is the same experiment."""
    before, after = (_outcomes(results, metric) for results in (old, new))
    for run in sorted(before.keys() | after.keys()):
        was, now = before.get(run), after.get(run)
        if was is None and now is not None:
            yield ["new", run, now[0], "", now[1]]
        elif was is not None and now is None:
            yield ["gone", run, was[0], was[1], ""]
        elif was is not None and now is not None and was[1] != now[1]:
            yield ["otherwise", run, now[0], was[1], now[1]]


def _outcomes(results: Results, metric: Metric) -> dict[str, tuple[str, str]]:
    """Run -> its encoder, and its scores or why there is none."""
    if metric.name not in results.rows.columns:
        return {}
    found: dict[str, tuple[str, str]] = {}
    rows = results.rows.sort("run", "evaluation").select("run", "label", "status", metric.name)
    for run, label, status, score in rows.iter_rows():
        told = status if status != OK or score is None else f"{title(metric)} {shown(score, metric)}"
        found[run] = (label, f"{found[run][1]}, {told}" if run in found else told)
    return found


def _ranks(old: Part, new: Part) -> Iterator[list[str]]:
    before = {entry.encoder: entry for entry in _entries(old)}
    for entry in _entries(new):
        was = before.get(entry.encoder)
        yield [
            new.name,
            entry.encoder,
            _rank(was),
            _rank(entry),
            _score(was, old.setting.metric),
            _score(entry, new.setting.metric),
        ]
    now = {entry.encoder for entry in _entries(new)}
    for name, was in before.items():
        if name not in now:
            yield [new.name, name, _rank(was), "", _score(was, old.setting.metric), ""]


def _entries(part: Part) -> tuple[Entry, ...]:
    board = part.board.boards[0]
    return (*board.entries, *board.incomplete)


def _rank(entry: Entry | None) -> str:
    return "" if entry is None or entry.rank is None else str(entry.rank)


def _score(entry: Entry | None, metric: Metric) -> str:
    return "" if entry is None or entry.score is None else shown(entry.score, metric)
