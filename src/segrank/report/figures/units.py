"""How numbers are shown in a picture. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segrank.ranking.results import Metric
from segrank.ranking.words import OVERALL, title


@dataclass(frozen=True)
class Unit:
    metric: Metric
    name: str
    title: str
    """With what it is counted in."""

    @property
    def scale(self) -> float:
        return 100 if self.metric.share else 1

    def applied(self, table: pl.DataFrame, *columns: str) -> pl.DataFrame:
        return table.with_columns(pl.col(columns) * self.scale)


def unit_of(metric: Metric) -> Unit:
    name = title(metric)
    better = "" if metric.direction == "higher" else ", lower is better"
    return Unit(metric, name, f"{name}{' (%)' if metric.share else ''}{better}")


OF_OVERALL = Unit(OVERALL, "overall score", "overall score (standard deviations)")
