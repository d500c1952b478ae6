"""A figure: a chart with what else a reader needs of it, and the widths for which it is drawn. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import polars as pl

from segrank.report.figures.labels import printable
from segrank.report.figures.theme import Theme, config

PX_PER_INCH: Final = 72
"""Of PDF, where a pixel is a point."""


@dataclass(frozen=True)
class Size:
    """The width that a chart fills, axes and legends included, and the size of its text."""

    width_px: int
    font_px: float


SINGLE = Size(round(3.3 * PX_PER_INCH), 7)
"""One column of a paper with two."""
DOUBLE = Size(round(6.9 * PX_PER_INCH), 8)
"""Both columns."""
PAGE = Size(840, 12)
"""A browser."""
SIZES = {"single": SINGLE, "double": DOUBLE, "page": PAGE}


@dataclass(frozen=True, eq=False)
class Figure:
    """One chart. Its colours come with `spec`, by theme: the chart itself names none."""

    name: str
    """Of its files."""
    title: str
    """What is seen, for a heading; it is not in the picture."""
    chart: alt.LayerChart
    alternative: str
    """What the picture says, in a sentence, for those who do not see it."""
    table: pl.DataFrame
    """The numbers in it, as computed."""
    size: Size

    def spec(self, theme: Theme = "light") -> dict[str, Any]:
        """As Vega-Lite, complete and with its data: what vega-embed and vl-convert take."""
        return {**self.plain_spec(), "config": self.config(theme)}

    def plain_spec(self) -> dict[str, Any]:
        """`spec` but for what makes it light or dark."""
        return {**self.chart.to_dict(validate=False), "description": printable(self.alternative)}

    def config(self, theme: Theme) -> dict[str, Any]:
        """What makes it light or dark."""
        return config(theme, self.size.font_px)
