"""Colours and type of every chart, light and dark. Charts name styles and ranges, and these say what they look like.

Colours of kinds are those of Okabe and Ito (Color Universal Design, 2008), which people with any common colour vision
tell apart, without those that are too pale for thin lines on the ground. What colour says is also said by shape, dash,
fill or a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is what vl-convert carries; it is as wide as Arial, so that an SVG looks the same with that."""


@dataclass(frozen=True)
class _Colours:
    ground: str
    ink: str
    muted: str
    """Text of less weight, and what is not in question: 4.5 to 1 on the ground."""
    grid: str
    lead: str
    kinds: tuple[str, ...]
    low_to_high: tuple[str, ...]
    """From -1 by 0 to 1: orange, ground, blue."""
    on_strong: str
    """Text on the ends of `low_to_high`."""


_COLOURS: dict[Theme, _Colours] = {
    "light": _Colours(
        ground="#ffffff",
        ink="#1a1a1a",
        muted="#6b6b6b",
        grid="#e3e3e3",
        lead="#0072b2",
        kinds=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1a1a1a"),
        low_to_high=("#b35806", "#f1a340", "#fee0b6", "#f7f7f7", "#c6dbef", "#6baed6", "#08519c"),
        on_strong="#ffffff",
    ),
    "dark": _Colours(
        ground="#16191d",
        ink="#ececec",
        muted="#a0a4a8",
        grid="#33383e",
        lead="#56b4e9",
        kinds=("#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#f0e442"),
        low_to_high=("#ffb56b", "#b3661d", "#5c3b1c", "#2a2e33", "#1f4560", "#3b83b5", "#a5d8f7"),
        on_strong="#101214",
    ),
}


def config(theme: Theme, font_px: float) -> dict[str, Any]:
    """Vega-Lite's `config`. A page that changes its theme embeds the same chart with another one."""
    of = _COLOURS[theme]
    line = font_px / 7
    text = {"font": FONT, "fontSize": font_px, "color": of.ink}
    return {
        "background": of.ground,
        "padding": font_px / 2,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelFontSize": font_px, "titleFontSize": font_px, "labelColor": of.ink, "titleColor": of.ink,
            "titleFontWeight": "normal", "gridColor": of.grid, "gridWidth": 0.7 * line, "domain": False,
            "tickColor": of.grid, "tickWidth": 0.7 * line, "tickSize": font_px / 2, "labelPadding": font_px / 3,
            "titlePadding": font_px / 2, "labelLimit": 0, "titleLimit": 0,
        },
        "legend": {
            "labelFontSize": font_px, "titleFontSize": font_px, "labelColor": of.ink, "titleColor": of.ink,
            "titleFontWeight": "normal", "orient": "bottom", "direction": "horizontal", "labelLimit": 0,
            "symbolSize": 5 * font_px, "symbolStrokeWidth": 1.5 * line, "rowPadding": 2, "columnPadding": font_px,
            "padding": 0, "offset": font_px / 2,
        },
        "range": {
            "category": list(of.kinds), "diverging": list(of.low_to_high),
            "symbol": ["circle", "square", "triangle-up", "diamond", "cross"],
        },
        "point": {"size": 4.5 * font_px, "color": of.ink, "strokeWidth": 1.3 * line, "opacity": 1},
        "line": {"strokeWidth": 1.3 * line, "color": of.ink},
        "rule": {"color": of.ink, "strokeWidth": 1.1 * line},
        "tick": {"color": of.ink, "thickness": 0.8 * line},
        "bar": {"color": of.lead},
        "text": text,
        "style": {
            "lead": {"color": of.lead, "stroke": of.lead},
            "hollow": {"color": of.ground, "stroke": of.ink},
            "muted": {"color": of.muted, "stroke": of.muted},
            "wanted": {"color": of.muted, "strokeWidth": line, "strokeDash": [font_px / 2, font_px / 3]},
            "repeated": {"color": of.muted, "strokeWidth": line, "strokeDash": [line, font_px / 4]},
            "front": {"color": of.lead, "strokeWidth": 1.2 * line, "opacity": 0.6},
            "interval": {"color": of.muted, "strokeWidth": line, "opacity": 0.6},
            "band": {"color": of.muted, "opacity": 0.3},
            "zero": {"color": of.muted, "strokeWidth": line},
            "seed": {"color": of.muted, "opacity": 0.7},
            "background-line": {"color": of.muted, "strokeWidth": line, "opacity": 0.35},
            "background-dot": {"color": of.muted, "size": 3 * font_px, "opacity": 0.7},
            "background-tick": {"color": of.muted, "opacity": 0.6},
            "muted-text": {"color": of.muted},
            "cell": {"stroke": of.ground, "strokeWidth": 2 * line},
            "empty-cell": {"color": of.ground, "stroke": of.grid, "strokeWidth": line},
            "on-weak": {"color": of.ink},
            "on-strong": {"color": of.on_strong},
        },
    }  # fmt: skip
