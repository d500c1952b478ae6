"""A study as files for a paper, a program or a spreadsheet. No torch."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from segrank.errors import RankingError
from segrank.files import write_whole
from segrank.ranking.diagnose_words import answer as diagnose_answer
from segrank.ranking.diagnostics import as_data as diagnosis_data
from segrank.ranking.words import headline, remarks
from segrank.report.figures.figure import DOUBLE, Size
from segrank.report.figures.save import PictureFormat, drawn
from segrank.report.figures.theme import Theme
from segrank.report.pictures import pictures_of
from segrank.report.sheets.agree import report as agree_report
from segrank.report.sheets.effects import report as effects_report
from segrank.report.sheets.rank import report as rank_report
from segrank.report.sheets.recommend import report as recommend_report
from segrank.report.sheets.scores import scores_sheet
from segrank.report.sheets.sheet import Report, Sheet
from segrank.report.sheets.written import csv_text, latex, latex_table, markdown_table, one_line
from segrank.report.study import Refused, Study
from segrank.report.tables import tables_of

TextFormat = Literal["latex", "markdown", "json"]
TableFormat = Literal["csv", "parquet"]
Format = TextFormat | TableFormat | PictureFormat
DEFAULT_OUT: Mapping[Format, str] = {
    "latex": "report.tex", "markdown": "report.md", "json": "report.json", "csv": "report-csv",
    "parquet": "report-parquet", "svg": "report-svg", "pdf": "report-pdf", "png": "report-png",
}  # fmt: skip
"""A file, or a folder of tables or charts."""


def export(
    study: Study, form: Format, out: Path, *, size: Size = DOUBLE, theme: Theme = "light"
) -> Iterator[tuple[Path, int]]:
    """Write a study's tables or charts: latex, markdown and json into one file, the others into a folder.

    Args:
        study: from `read_study`.
        form: of the files.
        out: the file or folder.
        size, theme: of charts.

    Returns:
        each file with its size in bytes, when it is written, whole.

    Raises:
        RankingError: a file cannot be written.
    """
    for path, content in _files(study, form, out, size, theme):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise RankingError(
                f"{path} cannot be written: {error}", fix="choose another --out or free space"
            ) from error
        yield path, len(content)


def _files(study: Study, form: Format, out: Path, size: Size, theme: Theme) -> Iterator[tuple[Path, bytes]]:
    if form == "latex" or form == "markdown" or form == "json":
        yield out, _TEXTS[form](study).encode("utf-8", "replace")
    elif form == "csv" or form == "parquet":
        for name, table in tables_of(study).items():
            yield out / f"{name}.{form}", _TABLES[form](table)
    else:
        for figure in pictures_of(study, size).all():
            yield out / f"{figure.name}.{form}", drawn(figure, form, theme)


def _reports(study: Study) -> dict[str, Report | Refused]:
    """By the name of the verb that says the same."""

    def of(make: Callable[[Any], Report], found: object) -> Report | Refused:
        return found if isinstance(found, Refused) else make(found)

    return {
        "agree": of(agree_report, study.agreements),
        "recommend": of(recommend_report, study.recommendation),
        "effects": of(effects_report, study.effects),
    }


def _markdown(study: Study) -> str:
    lines = [f"# {one_line(headline(study.base.board))}"]

    def add(sheet: Sheet, title: str = "") -> None:
        headings, rows = sheet.filled()
        if rows:
            heading = [f"**{one_line(title or sheet.title)}**", ""] if title or sheet.title else []
            lines.extend(["", *heading, *markdown_table(headings, rows, sheet.text)])

    add(scores_sheet(study.parts)[0])
    for part in study.parts:
        told = rank_report(part.board)
        add(told.sheets[0], part.name)
        lines += ["", *(f"- {one_line(line)}" for line in told.remarks)]
    for report in _reports(study).values():
        if isinstance(report, Report):
            lines += ["", f"## {one_line(report.headline)}"]
            for sheet in report.sheets:
                add(sheet)
            lines += ["", *(f"- {one_line(line)}" for line in report.remarks)]
    return "\n".join([*lines, ""])


def _latex(study: Study) -> str:
    """Tables with their captions; what a narrow terminal would do without is left to the other formats."""
    lines = [r"% \usepackage{booktabs} in the preamble, with UTF-8 as in any LaTeX since 2018.", ""]
    scores, lead = scores_sheet(study.parts)
    lines += latex_table(
        scores.headings,
        scores.rows,
        scores.text,
        caption=f"{scores.title}. Bold: told apart from all others. {headline(study.base.board)}",
        label="scores",
        bold=lead,
    )
    for at, part in enumerate(study.parts):
        told, where = rank_report(part.board), f" ({part.name})" if len(study.parts) > 1 else ""
        lines += ["", *_as_latex(told.sheets[0], f"{told.headline}{where}", f"ranking-{at}")]
        lines += ["", *(f"% {latex(line)}" for line in told.remarks)]
    for name, report in _reports(study).items():
        if isinstance(report, Report):
            for at, sheet in enumerate(report.sheets):
                lines += ["", *_as_latex(sheet, sheet.title or report.headline, f"{name}-{at}")]
            lines += ["", *(f"% {latex(line)}" for line in report.remarks)]
    return "\n".join([*lines, ""])


def _as_latex(sheet: Sheet, caption: str, label: str) -> list[str]:
    headings, rows = sheet.filled()
    at = [index for index, heading in enumerate(headings) if heading not in sheet.spare]
    if not rows:
        return []
    short = [[row[index] for index in at] for row in rows]
    return latex_table([headings[index] for index in at], short, sheet.text, caption=caption, label=label)


def _json(study: Study) -> str:
    def said(report: Report | Refused) -> dict[str, Any]:
        if isinstance(report, Refused):
            return {"refused": report.why}
        return {"answer": report.headline, "remarks": report.remarks, **report.data}

    diagnosis = study.diagnosis
    data = {
        "answer": headline(study.base.board),
        "settings": [
            {"name": part.name, "remarks": remarks(part.board), **rank_report(part.board).data}
            | {"learning_curves": part.curves.to_dicts()}
            for part in study.parts
        ],
        **{name: said(report) for name, report in _reports(study).items()},
        "diagnose": {"refused": diagnosis.why}
        if isinstance(diagnosis, Refused)
        else {"answer": diagnose_answer(diagnosis), **diagnosis_data(diagnosis)},
        "notes": study.notes,
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


_TEXTS: Mapping[TextFormat, Callable[[Study], str]] = {"latex": _latex, "markdown": _markdown, "json": _json}
_TABLES: Mapping[TableFormat, Callable[[pl.DataFrame], bytes]] = {
    "csv": lambda table: csv_text(table).encode("utf-8", "replace"), "parquet": _parquet,
}  # fmt: skip
