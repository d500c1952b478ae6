"""What the verbs on results have in common: their options, and how results are opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segrank.ranking.results import Results

FORMATS = ("table", "csv", "json", "markdown")


def _known_format(form: str) -> str:
    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    return form


SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="STORE|FILE",
        envvar="SEGRANK_STORE",
        help="A results folder, or a table: .csv, .tsv, .jsonl, .ndjson, .parquet.",
    ),
]
MetricOption = Annotated[
    str, typer.Option(metavar="NAME[:lower|higher]", help="What to rank by: `miou` unless another is asked for.")
]
WhereOption = Annotated[
    list[str],
    typer.Option(
        metavar="FIELD=VALUE",
        help="Only such rows; also `!=`, `<`, `<=`, `>`, `>=`; `*` is any text. One field twice: either value.",
    ),
]
ColumnOption = Annotated[
    list[str], typer.Option(metavar="ROLE=NAME", help="Of a file: what a column is, as in `encoder=backbone`.")
]
SameOption = Annotated[list[str], typer.Option(metavar="NAME", help="Of a file: a column in which rows have to agree.")]
DelimiterOption = Annotated[str, typer.Option(help="Of a CSV: by default a comma; TAB for tabs.")]
MetricsOption = Annotated[
    str,
    typer.Option("--metrics", "--metric", metavar="A,B:lower,C", help="Several are set beside each other; `miou`."),
]
SettingsOption = Annotated[
    list[str],
    typer.Option(
        "--across", metavar="FIELD", help="Fields in which settings differ, such as `dataset`; by default all that do."
    ),
]
FormatOption = Annotated[
    str, typer.Option("--format", callback=_known_format, help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
]
ResamplesOption = Annotated[
    int, typer.Option(min=100, max=1_000_000, help="Of the test images, from which intervals come.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of resamples and draws.")]
GroupOption = Annotated[
    str,
    typer.Option(metavar="REGEX", help="Images whose names have the same match are drawn together: frames of a film."),
]


def open_results(source: Path, metrics: list[str], column: list[str], same: list[str], delimiter: str) -> Results:
    """A store's runs, or a file's rows, as the options of the verbs say."""
    from rich.console import Console

    from segrank.progress import plain
    from segrank.ranking.read_table import SUFFIXES
    from segrank.ranking.results_file import read_results_file
    from segrank.ranking.rows import FURTHER
    from segrank.ranking.table import results_of
    from segrank.store import Store

    if source.is_dir() or not (source.is_file() or source.suffix.lower() in SUFFIXES):
        if column or same or delimiter:
            raise typer.BadParameter("--column, --same and --delimiter are for files")
        further = any(name.partition(":")[0] in FURTHER for name in metrics)
        err = Console(stderr=True, soft_wrap=True)
        return results_of(
            Store(source), with_further=further, on_damage=lambda error: err.print(plain(str(error)), highlight=False)
        )
    roles = dict(pair.partition("=")[::2] for pair in column)
    return read_results_file(
        source, metrics=metrics, columns=roles, same=same, delimiter="\t" if delimiter == "TAB" else delimiter
    )


def listed(text: str) -> list[str]:
    """`a, b` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]
