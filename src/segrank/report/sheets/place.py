"""The place of a new encoder, in tables. No torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from segrank.ranking.compare_words import probability
from segrank.ranking.place import TOGETHER, Placed, Placement
from segrank.ranking.place_words import answer, remarks
from segrank.ranking.results import Metric
from segrank.ranking.words import digits_for, shown, title
from segrank.report.sheets.sheet import Report, Sheet

_TEXT = frozenset({"encoder", "the new one is"})
_SPARED = ("seeds", "P(new better)")
_OVERALL = Metric("overall", "higher")


def report(placement: Placement) -> Report:
    """Over several protocols, their sum is the headline; the answers of each stand above their tables."""
    parts = _parts(placement)
    answers = [answer(placement, part) for part in parts]
    titles = ["", *answers[1:]]
    return Report(
        headline=answers[0],
        sheets=[_sheet(placement, part, name) for part, name in zip(parts, titles, strict=True)],
        remarks=remarks(placement),
        frame=frame(placement),
        data={"answers": answers, **asdict(placement)},
    )


def frame(placement: Placement) -> pl.DataFrame:
    """A row for the new encoder and each known one, under each protocol: numbers as computed, not in percent."""
    rows: list[dict[str, Any]] = []
    for part in _parts(placement):
        low, high = part.rank_interval or (None, None)
        new = {"encoder": placement.encoder, "rank": part.rank, "score": part.score, "p_best": part.best}
        rows.append({"part": part.name, **new, "rank_low": low, "rank_high": high, "seeds": _seeds(part.runs)})
        for rival in part.rivals:
            low_end, high_end = rival.interval or (None, None)
            of_rival = {"encoder": rival.encoder, "rank": rival.rank, "score": rival.score}
            of_rival |= {"difference": rival.difference, "low": low_end, "high": high_end, "p_better": rival.better}
            of_rival |= {"p_holm": rival.p_holm, "new_is": rival.verdict, "seeds": _seeds(rival.runs)}
            rows.append({"part": part.name, **of_rival})
    schema = pl.Schema(
        {"part": pl.String, "encoder": pl.String, "rank": pl.Int64, "score": pl.Float64, "difference": pl.Float64}
        | {"low": pl.Float64, "high": pl.Float64, "p_better": pl.Float64, "p_holm": pl.Float64, "new_is": pl.String}
        | {"rank_low": pl.Int64, "rank_high": pl.Int64, "p_best": pl.Float64, "seeds": pl.Int64}
    )
    return pl.DataFrame(rows, schema=schema)


def _parts(placement: Placement) -> list[Placed]:
    """Over several protocols, their sum first."""
    return [*([placement.together] if placement.together else []), *placement.parts]


def _sheet(placement: Placement, part: Placed, name: str) -> Sheet:
    metric = _OVERALL if part.name == TOGETHER else placement.metric
    digits = digits_for([part.score, *(rival.score for rival in part.rivals)], metric)
    rows = [
        (
            rival.rank,
            [
                str(rival.rank),
                rival.encoder,
                shown(rival.score, metric, digits),
                shown(rival.difference, metric, digits),
                " to ".join(shown(end, metric, digits) for end in rival.interval or ()),
                probability(rival.better),
                rival.verdict if rival.verdict != "unknown" else "",
                str(_seeds(rival.runs)),
            ],
        )
        for rival in part.rivals
    ]
    new = [str(part.rank), placement.encoder, shown(part.score, metric, digits), "", "", "", "", str(_seeds(part.runs))]
    rows.insert(sum(rank < part.rank for rank, _ in rows), (part.rank, new))
    unit = f"{title(metric)}{' %' * metric.share}"
    level = f"{placement.options.level:.0%} interval"
    headings = ["rank", "encoder", unit, "new - it", level, "P(new better)", "the new one is", "seeds"]
    return Sheet(name, headings, [row for _, row in rows], _TEXT, _SPARED)


def _seeds(runs: tuple[Any, ...]) -> int:
    return len({run.seed for run in runs})
