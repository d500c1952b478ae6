"""`segrank place`: where a new encoder lands among known ones."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.results_options import Asked, on_results


@on_results()
def place(
    asked: Asked,
    encoder: Annotated[
        str, typer.Argument(metavar="NEW", help="An encoder, as `segrank rank` shows it; `*` is any text.")
    ],
) -> None:
    """Place a new encoder among known ones, from a few cheap runs.

    Under each protocol that it shares with others: its rank and the ranks that it may truly have, the probability that
    it is better than each, and from whom it cannot be separated. It may have fewer seeds than they have. If it shares
    a protocol with no other, you are told what differs.

    Examples: `segrank place dinov3-base`, `segrank place dinov3-base --where freeze=true`

    docs/reading-a-ranking.md explains what it says.
    """
    from segrank.ranking.place import place as place_encoder
    from segrank.report.sheets.place import report

    found = place_encoder(asked.results(), encoder, metric=asked.metric, where=asked.where, options=asked.options)
    asked.print(report(found))
