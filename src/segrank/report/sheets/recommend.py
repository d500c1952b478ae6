"""What `segrank recommend` found, in tables. No torch."""

from __future__ import annotations

from segrank.ranking.agree_words import ranged
from segrank.ranking.recommend import Recommendation
from segrank.ranking.recommend_export import as_data, frame, share
from segrank.ranking.recommend_words import answer, percent, remarks
from segrank.report.sheets.sheet import Report, Sheet


def report(of: Recommendation) -> Report:
    return Report(
        headline=answer(of),
        sheets=[_candidates(of), _along(of)],
        remarks=remarks(of),
        frame=frame(of),
        data=as_data(of),
    )


def _candidates(of: Recommendation) -> Sheet:
    rows = [
        [
            one.name,
            str(one.encoders),
            "" if one.cost is None else f"{one.cost:.3g}",
            "" if (part := share(one.cost, of.target_cost)) is None else percent(part),
            "" if one.tau is None else f"{one.tau:.2f}",
            "" if one.at_least is None else f"{one.at_least:.2f}",
            ranged(one.found.interval if one.found else None),
            "*" if one.pareto else "",
        ]
        for one in of.candidates
    ]
    level = f"{of.options.level:.0%} interval"
    headings = ["protocol", "encoders", of.unit, f"of {of.target.name}", "tau", "at least", level, "Pareto"]
    return Sheet(f"Agreement with {of.target.name}", headings, rows, frozenset({"protocol"}))


def _along(of: Recommendation) -> Sheet:
    points = of.along.points if of.along else ()
    rows = [
        [percent(point.progress), "" if point.tau is None else f"{point.tau:.2f}", str(point.encoders)]
        for point in points
    ]
    return Sheet(f"{of.target.name} along the way", ["steps", "tau with its final order", "encoders"], rows)
