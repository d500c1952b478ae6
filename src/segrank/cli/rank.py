"""`segrank rank`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segrank.store import DEFAULT_STORE

if TYPE_CHECKING:
    from segrank.ranking.results import Results

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
AcrossOption = Annotated[
    list[str],
    typer.Option(metavar="FIELD", help="Rank for each value of it, such as `dataset`, and over all of them together."),
]
ColumnOption = Annotated[
    list[str], typer.Option(metavar="ROLE=NAME", help="Of a file: what a column is, as in `encoder=backbone`.")
]
SameOption = Annotated[list[str], typer.Option(metavar="NAME", help="Of a file: a column in which rows have to agree.")]
DelimiterOption = Annotated[str, typer.Option(help="Of a CSV: by default a comma; TAB for tabs.")]


def rank(
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    across: AcrossOption = [],  # noqa: B006
    form: Annotated[str, typer.Option("--format", help="table, csv, json or markdown.")] = "table",
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Of the test images, from which intervals come.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    group_images: Annotated[
        str,
        typer.Option(
            metavar="REGEX", help="Images whose names have the same match are drawn together: frames of a film."
        ),
    ] = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Rank encoders within one comparable protocol, and say how sure the order is.

    Runs that differ in more than encoder and seed are not ranked together: you are told what differs, and what would
    choose. Encoders with fewer seeds than others are shown, but not ranked.

    Examples: `segrank rank --where freeze=true`, `segrank rank --across dataset`,
    `segrank rank results.csv --column encoder=backbone --metric rmse:lower`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.console.rank import FORMATS, print_leaderboard
    from segrank.ranking.leaderboard import Options
    from segrank.ranking.rank_results import rank_results

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    print_leaderboard(rank_results(results, metric=metric, where=where, across=across, options=options), form)


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
