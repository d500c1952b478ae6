"""Every run: what became of it, its scores, what it took, and the spec that repeats it. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from segrank.files import canonical_json
from segrank.ranking.words import shown, title
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Study
from segrank.spec import RunSpec

_COSTS = {"train h": "train_hours", "memory GiB": "memory_gib", "ms/image": "image_ms"}
_DETAILS = ("evaluation", "train_digest", "eval_digest", "device", "error")


def runs(study: Study) -> Section:
    rows = study.results.rows
    names = _settings(study)
    metrics = list({part.setting.metric.name: part.setting.metric for part in study.parts}.values())
    scores = [f"{title(metric)}{' %' if metric.share else ''}" for metric in metrics]
    evaluated = [name for name in ("eval_dataset", "eval_split", "corruption") if name in rows.columns]
    headings = ["run", "encoder", "setting", "seed", "status", *scores, *_COSTS, *evaluated]
    rows = rows.sort("label", "seed", "run")
    cells = [
        [
            row["run"],
            row["label"],
            names.get((row["run"], row["evaluation"]), ""),
            _text(row["seed"]),
            row["status"],
            *("" if row[metric.name] is None else shown(row[metric.name], metric) for metric in metrics),
            *("" if row[name] is None else f"{row[name]:.3g}" for name in _COSTS.values()),
            *(_text(row[name]) for name in evaluated),
        ]
        for row in rows.iter_rows(named=True)
    ]
    text = frozenset({"run", "encoder", "setting", "status", *evaluated})
    return Section(
        "runs",
        "Runs",
        "All runs that were ever begun, those without a score too. Numbers elsewhere on this page lead here. Choose a "
        "run to see its spec, which repeats it, and with what it was made.",
        tables=[Table("runs-table", Sheet("", headings, cells, text), searched=True)],
        data=_details(rows),
    )


def _settings(study: Study) -> dict[tuple[str, str | None], str]:
    """(run, evaluation) -> the setting it is part of."""
    found: dict[tuple[str, str | None], str] = {}
    for part in study.parts:
        for rows in (part.setting.block.rows, part.setting.block.without_score):
            found |= dict.fromkeys(rows.select("run", "evaluation").iter_rows(), part.name)
    return found


def _details(rows: pl.DataFrame) -> dict[str, Any]:
    """Columns of what a run's panel shows: each value once, and for each row which it is; specs as YAML has them."""
    defaults = RunSpec(encoder="small:any", dataset="any").model_dump(exclude={"encoder", "dataset"})
    fields = [name for name in RunSpec.model_fields if name in rows.columns]
    return {
        "spec": {name: _encoded(map(canonical_json, rows[name])) for name in fields},
        "defaults": {name: canonical_json(value) for name, value in defaults.items()},
        "others": {name: _encoded(map(_text, rows[name])) for name in _DETAILS if name in rows.columns},
    }


def _encoded(column: Iterable[str]) -> dict[str, Any]:
    values: dict[str, int] = {}
    at = [values.setdefault(value, len(values)) for value in column]
    return {"values": list(values), "at": at if len(values) > 1 else None}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
