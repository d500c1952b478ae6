"""A recommendation as data: a table of numbers, or JSON in which every setting names its runs. No torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from segrank.ranking.agree import setting_as_data
from segrank.ranking.recommend import Candidate, Recommendation

_SCHEMA = pl.Schema(
    {"protocols": pl.String, "number": pl.Int64, "encoders": pl.Int64, "cost": pl.Float64, "of_target": pl.Float64}
    | dict.fromkeys(("tau", "at_least", "low", "high"), pl.Float64)
    | {"pareto": pl.Boolean, "chosen": pl.Boolean}
)


def frame(of: Recommendation) -> pl.DataFrame:
    """A row for each candidate: numbers as computed."""
    rows: list[dict[str, Any]] = []
    for one in of.candidates:
        interval = one.found.interval if one.found else None
        rows.append(
            {
                "protocols": one.name,
                "number": len(one.names),
                "encoders": one.encoders,
                "cost": one.cost,
                "of_target": share(one.cost, of.target_cost),
                "tau": one.tau,
                "at_least": one.at_least,
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
                "pareto": one.pareto,
                "chosen": one is of.chosen,
            }
        )
    return pl.DataFrame(rows, schema=_SCHEMA)


def share(cost: float | None, of: float | None) -> float | None:
    return cost / of if cost is not None and of else None


def as_data(of: Recommendation) -> dict[str, Any]:
    """All that is known, for JSON: every setting names the runs behind its scores."""
    return {
        "source": of.source,
        "options": asdict(of.options),
        "wanted": asdict(of.wanted),
        "target": {"name": of.target.name, "cost": of.target_cost},
        "unit": of.unit,
        "sets": of.sets,
        "candidates": [_as_data(one, of) for one in of.candidates],
        "chosen": None if of.chosen is None else of.chosen.names,
        "shown": of.shown,
        "needed": of.needed,
        "by_chance": of.by_chance,
        "left_out": of.left_out and asdict(of.left_out),
        "along_the_way": of.along
        and {
            "points": [asdict(point) for point in of.along.points],
            "stable_from": of.along.stable_from(of.wanted.tau),
        },
        "settings": [setting_as_data(setting) for setting in of.settings],
        "notes": of.notes,
    }


def _as_data(one: Candidate, of: Recommendation) -> dict[str, Any]:
    return {
        "protocols": one.names,
        "encoders": one.encoders,
        "cost": one.cost,
        "of_target": share(one.cost, of.target_cost),
        "tau": one.tau,
        "at_least": one.at_least,
        "pareto": one.pareto,
        "agreement": one.found and asdict(one.found),
    }
