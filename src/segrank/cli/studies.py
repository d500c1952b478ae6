"""`segrank studies`: those that come with segrank."""

from __future__ import annotations

from typing import Annotated

import typer


def studies(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of them, as its file; without, all.")] = "",
) -> None:
    """List the studies that come with segrank, or print one, to begin your own with.

    Examples: `segrank studies`, `segrank studies factorial > mine.yaml`
    """
    from segrank.console.studies import print_studies
    from segrank.study.study import read_study

    if name:
        typer.echo(read_study(name).source, nl=False)
    else:
        print_studies()
