"""The studies that come with segrank, for the terminal."""

from __future__ import annotations

from rich.table import Table

from segrank.console.output import out
from segrank.study.study import read_study, shipped_studies


def print_studies() -> None:
    table = Table("study", "encoders", "settings", "seeds", "runs", "about", box=None)
    for name in shipped_studies():
        study = read_study(name)
        varied = ({cell.encoder for cell in study.cells}, {cell.setting for cell in study.cells})
        seeds = {cell.spec.seed for cell in study.cells}
        counts = [str(len(values)) for values in (*varied, seeds, study.cells)]
        table.add_row(name, *counts, study.about.strip())
    out().print(table)
