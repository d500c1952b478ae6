"""A study as one HTML file that loads nothing and runs nothing but its own scripts. No torch.

What comes from files is escaped by jinja2, or is JSON in which no `<` is left. A content-security policy allows the
scripts and the style that are in the file, by their digests, and nothing else: no code from text, no request. Vega
compiles no expression for that, but interprets it (`ast`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import jinja2
import polars as pl
import vl_convert
from markupsafe import Markup

from segrank.report.answer import Answer
from segrank.report.figures.figure import Figure
from segrank.report.figures.theme import Theme
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("theme.js", "grid.js", "runs.js", "charts.js", "choices.js", "classes.js", "images.js", "start.js")
"""In this order."""
_LONG = 34
"""Text of a cell that is broken into lines."""
_FITTED_PX = 470
"""Width that a chart is drawn for at least; where there is less, it is shown smaller."""
_LEAST_PX = {"agreement": 760, "ranks-across-settings": 640, "effects": 640, "steps": 640}
"""Of charts with long names, or a column for each setting: where there is less, they are scrolled."""
STATIC_ROWS = 60
"""Of a table that is in the HTML; a longer one is made by scripts, a screen after another."""


@dataclass(frozen=True)
class Page:
    title: str
    eyebrow: str
    """What it is of, and of when."""
    answer: Answer
    sections: Sequence[Section]
    footer: str


def html(page: Page) -> str:
    """The whole file."""
    style, scripts = _asset("page.css"), (_charts_library(), "\n".join(map(_asset, SCRIPTS)))
    data: dict[str, Any] = {"charts": {}, "configs": {}, "tables": {}, "parts": {}}
    sections = [_section(section, data) for section in page.sections]
    answer = {
        "headline": page.answer.headline,
        "beside": page.answer.beside,
        "below": page.answer.below,
        "figures": _figures(page.answer.figures, "answer", data, said=page.answer.headline),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html").render(
        title=page.title,
        eyebrow=page.eyebrow,
        footer=page.footer,
        version=version("segrank"),
        policy=_policy(style, scripts),
        css=Markup(style),  # noqa: S704  our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704  our own files, and vl-convert's
        data=Markup(script_json(data)),  # noqa: S704  no < is left in it
        answer=answer,
        sections=sections,
    )


def script_json(data: object) -> str:
    """JSON that stays inside its <script>, whatever is in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(style: str, scripts: Iterable[str]) -> str:
    allowed = " ".join(map(_source, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


@cache
def _charts_library() -> str:
    """Vega, Vega-Lite and vega-embed, which vl-convert carries: 0.9 MB."""
    text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in text.lower()
    assert "<!--" not in text
    return text


def _section(section: Section, data: dict[str, Any]) -> dict[str, Any]:
    if section.data is not None:
        data["parts"][section.name] = section.data
    return {
        "name": section.name,
        "title": section.title,
        "lead": section.lead,
        "figures": _figures(section.figures, section.name, data, said=section.lead),
        "tables": [_table(table, section.title, data) for table in section.tables],
        "choices": [
            {
                "title": choice.title,
                "figures": _figures(choice.figures, f"{section.name}-{at}", data),
                "tables": [_table(table, choice.title, data) for table in choice.tables],
            }
            for at, choice in enumerate(section.choices)
        ],
        "findings": section.items,
        "remarks": section.remarks,
        "codes": section.codes,
        "widget": section.widget,
    }


def _figures(figures: Sequence[Figure], name: str, data: dict[str, Any], said: str = "") -> list[dict[str, Any]]:
    return [_figure(figure, f"{name}-{at}", data, said) for at, figure in enumerate(figures)]


def _figure(figure: Figure, name: str, data: dict[str, Any], said: str) -> dict[str, Any]:
    """The chart once, and what makes it light or dark beside it; what is said above it is not said below again."""
    spec = figure.plain_spec()
    configs = {theme: figure.config(theme) for theme in get_args(Theme)}
    data["charts"][name] = spec
    at = next((at for at, known in data["configs"].items() if known == configs), str(len(data["configs"])))
    data["configs"][at] = configs
    least = _LEAST_PX.get(figure.name, _FITTED_PX)
    spec["usermeta"] = {"config": at, "least": least, "fits": least == _FITTED_PX}
    return {
        "name": name,
        "title": figure.title,
        "alternative": "" if figure.alternative in said else figure.alternative,
        "table": _table(Table(f"{name}-numbers", _numbers(figure.table)), figure.title, data),
    }


def _numbers(table: pl.DataFrame) -> Sheet:
    text = frozenset(name for name, dtype in table.schema.items() if dtype == pl.String)
    rows = [["" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in table.rows()]
    return Sheet("", table.columns, rows, text)


def _table(table: Table, caption: str, data: dict[str, Any]) -> dict[str, Any]:
    headings, rows = table.sheet.filled() if table.sheet.rows else (list(table.sheet.headings), [])
    runs = table.runs or [()] * len(rows)
    lazy = len(rows) > STATIC_ROWS
    if lazy:
        data["tables"][table.name] = {"rows": rows, "runs": [list(of) for of in table.runs]}
    return {
        "name": table.name,
        "title": table.sheet.title,
        "caption": caption,
        "headings": [
            {"name": heading, "look": _look(heading in table.sheet.text, column)}
            for heading, column in zip(headings, zip(*rows, strict=True) if rows else [()] * len(headings), strict=True)
        ],
        "head": next((at for at, heading in enumerate(headings) if heading in table.sheet.text), -1),
        "rows": [{"cells": cells, "runs": of} for cells, of in zip(rows, runs, strict=True)],
        "with_runs": bool(table.runs),
        "searched": table.searched,
        "lazy": lazy,
    }


def _look(text: bool, cells: Sequence[str]) -> str:
    """Classes of a column: text begins left, and only what is long is broken into lines."""
    return " ".join(["text"] * text + ["long"] * (text and max(map(len, cells), default=0) > _LONG))
