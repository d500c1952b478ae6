"""`segrank agree`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from segrank.cli.results_options import Asked, SettingsOption, on_results


@on_results(several=True)
def agree(
    asked: Asked,
    across: SettingsOption = [],  # noqa: B006
) -> None:
    """Say how far settings, datasets or metrics order the encoders alike, and whether noise explains the rest.

    Kendall's tau-b between every two of them, with intervals; which encoders change places, and whether really; and
    the tau that noise alone would leave of one order.

    Examples: `segrank agree`, `segrank agree --across dataset`, `segrank agree --across card_size`,
    `segrank agree results.csv --metrics miou,depth:rmse,normals:lower`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.ranking.agree import agree as agree_on
    from segrank.report.sheets.agree import report

    found = agree_on(asked.results(), metrics=asked.metrics, where=asked.where, across=across, options=asked.options)
    asked.print(report(found))
