"""`segrank report`: one page on a store, or on anybody's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segrank.cli.results_options import Asked, SettingsOption, on_results

Form = Literal["html", "latex", "markdown", "json", "csv", "parquet", "svg", "pdf", "png"]
Width = Literal["single", "double"]
PICTURES: tuple[Form, ...] = ("svg", "pdf", "png")


@on_results(several=True, printed=False)
def report(
    asked: Asked,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER", help="What to write; report.html, or as --format says.", show_default=False
        ),
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="latex, markdown, json: one file. csv, parquet: a folder of tables. svg, pdf, png: of charts.",
        ),
    ] = "html",
    across: SettingsOption = [],  # noqa: B006
    target: Annotated[
        list[str],
        typer.Option(metavar="FIELD=VALUE", help="Whose order a cheaper protocol should keep; by default the dearest."),
    ] = [],  # noqa: B006
    width: Annotated[
        Width | None,
        typer.Option(help="Of svg, pdf and png: a column of a paper (3.3 inches) or both (6.9; the default)."),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="svg, pdf and png on a dark ground.")] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD", help="An earlier store or table: the page says what has changed since.", show_default=False
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            min=0,
            max=32,
            metavar="N",
            help="Put so many images of the dataset into the page, with what encoders made of them. Mind its licence.",
        ),
    ] = 0,
    root: Annotated[
        Path | None, typer.Option(help="Where named datasets lie, for --images.", show_default=False)
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.")] = "",
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
) -> None:
    """Write one page with all that is known of a study: the answer first, then what it rests on.

    It is one file that loads nothing: it opens from disk, without a network, and prints. With --format the same as
    tables for a paper or a program, in which every number names its runs, or as charts at the width of a paper.

    Examples: `segrank report`, `segrank report --where seed=0 --out seed0.html`,
    `segrank report --images 12 --root /data`, `segrank report --compare last-week`,
    `segrank report --format latex`, `segrank report --format pdf --width single`,
    `segrank report results.csv --column encoder=backbone --metrics miou,depth:rmse`

    docs/report.md tells what is on it.
    """
    from segrank.cli.study_page import print_page
    from segrank.console.output import out as output
    from segrank.progress import ConsoleReporter, plain
    from segrank.report.export import DEFAULT_OUT, export
    from segrank.report.figures.figure import SIZES
    from segrank.report.study import read_parts, read_study

    if form not in PICTURES and (width or dark):
        raise typer.BadParameter("--width and --dark are for svg, pdf and png")
    if form != "html" and (title or open_it or images or compare):
        raise typer.BadParameter("--title, --images, --compare and --open are for html")
    if root and not images:
        raise typer.BadParameter("--root is for --images", param_hint="--root")
    results = asked.results()
    with ConsoleReporter() as reporter:
        study = read_study(
            results,
            along=asked.along(results),
            metrics=asked.metrics,
            where=asked.where,
            across=across,
            target=target,
            options=asked.options,
            on_step=lambda done, total: reporter.advance("read the results", done, total),
        )
    out = out or Path("report.html" if form == "html" else DEFAULT_OUT[form])
    if form != "html":
        for path, size in export(study, form, out, size=SIZES[width or "double"], theme="dark" if dark else "light"):
            output().print(plain(f"{path}: {size / 1e3:,.0f} kB"))
        return
    before = None
    if compare:
        old = asked.results(compare)
        parts, _ = read_parts(old, metrics=asked.metrics, where=asked.where, across=across, options=asked.options)
        before = old, parts
    print_page(study, out, title=title, images=images, root=root, before=before)
    if open_it:
        typer.launch(str(out))
