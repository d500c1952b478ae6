"""`segrank report`: one page on a store, or on anybody's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.results_options import (
    ColumnOption,
    DelimiterOption,
    GroupOption,
    MetricsOption,
    ResamplesOption,
    SameOption,
    SeedOption,
    SettingsOption,
    SourceArgument,
    WhereOption,
    listed,
    open_results,
)
from segrank.store import DEFAULT_STORE


def report(
    source: SourceArgument = Path(DEFAULT_STORE),
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("report.html"),
    metrics: MetricsOption = "",
    where: WhereOption = [],  # noqa: B006
    across: SettingsOption = [],  # noqa: B006
    target: Annotated[
        list[str],
        typer.Option(metavar="FIELD=VALUE", help="Whose order a cheaper protocol should keep; by default the dearest."),
    ] = [],  # noqa: B006
    title: Annotated[str, typer.Option(help="Of the page.")] = "",
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Write one page with all that is known of a study: the answer first, then what it rests on.

    It is one file that loads nothing: it opens from disk, without a network, and prints.

    Examples: `segrank report`, `segrank report --where seed=0 --out seed0.html`,
    `segrank report results.csv --column encoder=backbone --metrics miou,depth:rmse`

    docs/report.md tells what is on it.
    """
    from segrank.console.output import out as console
    from segrank.data.official import OFFICIAL
    from segrank.progress import ConsoleReporter, plain
    from segrank.ranking.leaderboard import Options
    from segrank.ranking.table import results_of
    from segrank.report.build import page_of
    from segrank.report.study import read_study
    from segrank.report.write import write_page

    names = listed(metrics)
    results = open_results(source, names, column, same, delimiter)
    with ConsoleReporter() as reporter:
        study = read_study(
            results,
            along=results_of(results.store, final=False) if results.store else None,
            metrics=names,
            where=where,
            across=across,
            target=target,
            options=Options(resamples=resamples, seed=seed, group_images=group_images),
            on_step=lambda done, total: reporter.advance("read the results", done, total),
        )
    licences = {name: official.card.licence for name, official in OFFICIAL.items()}
    size = write_page(page_of(study, title=title, licences=licences), out)
    console().print(plain(f"{out}: {size / 1e6:.1f} MB"))
    if open_it:
        typer.launch(str(out))
