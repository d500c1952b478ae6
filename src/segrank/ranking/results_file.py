"""Anybody's table of results as `Results`. No torch.

Needed: a column for the encoder and one for a metric. Optional, by these names or told by `columns`:

    family                      what an encoder is called from setting to setting
    setting, dataset, split     what else a score belongs to: rows that differ here are not ranked together
    seed                        whole number: repetitions of the same thing
    run                         a name for the run; without `seed`, several runs of an encoder are repetitions
    status                      `ok`, or why there is no score
    licence, device, train_hours, memory_gib, image_ms, parameters_m, gflops     shown beside the scores

Columns called like a field of `RunSpec` (`steps`, `lr`, `batch_size`, ...) have to agree as well. All others can be
asked for with --where, and else are not looked at, which is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from segrank.errors import RankingError
from segrank.files import nearest
from segrank.ranking.read_table import Cell, Table, read_table
from segrank.ranking.results import COMMON, OK, Metric, Results, direction_of
from segrank.spec import RunSpec

ROLES = ("encoder", "family", "setting", "dataset", "split", "seed", "run", "status", "licence", "device")
COSTS = tuple(name for name, dtype in COMMON.items() if dtype == pl.Float64())
GROUPING = ("setting", "dataset", "split")
_SPEC_FIELDS = tuple(field for field in RunSpec.model_fields if field not in ("encoder", "weights", "seed"))
_ENCODER_TOO = ("backbone", "model")
"""Names under which the encoder is looked for, if only one of them is there."""
_MISSING = frozenset(["", "na", "n/a", "none", "null", "-", "–", "—"])
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_OURS = ("encoder_id", "label", "evaluation")
"""Columns that we add. A file's own of these names get the prefix `file_`."""


def read_results_file(
    path: str | Path,
    *,
    metrics: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    same: Sequence[str] = (),
    delimiter: str = "",
) -> Results:
    """Read a table of results.

    Args:
        path: a file that `read_table` reads.
        metrics: names of columns, with `:lower` or `:higher` where the name leaves it open; by default `miou`.
        columns: role -> column, where a column has another name than its role.
        same: further columns that have to agree among the rows of a ranking.
        delimiter: of a CSV.

    Raises:
        RankingError: the file cannot be read, a column is missing, or a cell is not what its column wants.
    """
    path = Path(path)
    table = read_table(path, delimiter)
    roles = _roles(table, path, columns or {})
    wanted = _metrics(table, path, metrics)
    if strange := [name for name in same if name not in table.columns]:
        raise _no_column(table, path, strange[0])
    values = {name: _column(table, name) for name in table.columns}
    rows: dict[str, Any] = {
        f"file_{name}" if name in _OURS else name: list(map(_as_text, values[name])) for name in values
    }
    for role in (*ROLES, *COSTS):
        rows[role] = list(map(_as_text, values[roles[role]])) if role in roles else [None] * len(table.rows)
    notes = []
    for name in COSTS:
        if name in roles:
            rows[name], unread = _costs(values[roles[name]])
            notes += [f"{unread} cells of {roles[name]} are no numbers, and are left out"] if unread else []
    _require_encoders(table, path, rows["encoder"], roles["encoder"])
    rows["label"] = rows["encoder_id"] = rows["encoder"]
    rows["family"] = [family or label for family, label in zip(rows["family"], rows["label"], strict=True)]
    rows["run"] = [run or place for run, place in zip(rows["run"], table.places, strict=True)]
    rows["evaluation"] = [None] * len(table.rows)
    rows["status"] = [status if status and status.lower() != OK else OK for status in rows["status"]]
    protocol = tuple(dict.fromkeys([*(r for r in GROUPING if r in roles), *same, *_spec_fields(table, roles, wanted)]))
    rows["seed"] = _seeds(table, path, roles, rows, protocol)
    for metric in wanted:
        rows[metric.name] = _scores(table, path, metric.name, values[metric.name])
    used = {*roles.values(), *protocol, *(metric.name for metric in wanted)}
    if unused := [name for name in table.columns if name not in used]:
        more = f" and {len(unused) - 12} more" if len(unused) > 12 else ""
        notes.append(f"columns not looked at: {', '.join(name[:40] for name in unused[:12])}{more}")
    schema = {name: pl.String() for name in rows} | COMMON | {metric.name: pl.Float64() for metric in wanted}
    return Results(
        source=str(path),
        rows=pl.DataFrame(rows, schema=schema),
        metrics=wanted,
        protocol=protocol,
        evaluation=("split",) if "split" in roles else (),
        notes=tuple(notes),
    )


def _roles(table: Table, path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Role -> column, for the roles that the file has."""
    known = (*ROLES, *COSTS)
    for role, name in columns.items():
        if role not in known:
            raise RankingError(
                f'"{role[:80]}" is nothing that a column can be', wanted=", ".join(known), fix=nearest(role, known)
            )
        if name not in table.columns:
            raise _no_column(table, path, name)
    roles = {role: role for role in known if role in table.columns} | dict(columns)
    if "encoder" not in roles:
        guesses = [name for name in _ENCODER_TOO if name in table.columns]
        if len(guesses) != 1:
            raise RankingError(
                f"{path} does not say which column names the encoder",
                wanted=f"one of its columns {_some(table.columns)}",
                fix="--column encoder=NAME",
            )
        roles["encoder"] = guesses[0]
    return roles


def _metrics(table: Table, path: Path, asked: Sequence[str]) -> tuple[Metric, ...]:
    if not asked:
        asked = [name for name in table.columns if name.lower() == "miou"]
        if not asked:
            raise RankingError(
                f"{path} has no column miou",
                wanted=f"the column to rank by, one of {_some(table.columns)}",
                fix="--metric NAME, with :lower or :higher where the name leaves it open",
            )
    found = []
    for text in dict.fromkeys(asked):
        name, _, said = text.rpartition(":")
        if text in table.columns or said not in ("lower", "higher"):
            name, said = text, direction_of(text) or ""
        if name not in table.columns:
            raise _no_column(table, path, name)
        if not said:
            raise RankingError(
                f'whether more or less of "{name[:80]}" is better cannot be told from its name',
                fix=f"--metric '{name}:higher' or --metric '{name}:lower'",
            )
        found.append(Metric(name, "lower" if said == "lower" else "higher", guessed=name == text))
    return tuple(found)


def _spec_fields(table: Table, roles: Mapping[str, str], metrics: Sequence[Metric]) -> list[str]:
    taken = {*roles.values(), *(metric.name for metric in metrics)}
    return [name for name in _SPEC_FIELDS if name in table.columns and name not in taken]


def _require_encoders(table: Table, path: Path, encoders: Sequence[str | None], column: str) -> None:
    for place, name in zip(table.places, encoders, strict=True):
        if name is None:
            raise RankingError(f'{path}, {place}, column "{column}": no encoder', wanted="a name in every row")


def _seeds(
    table: Table, path: Path, roles: Mapping[str, str], rows: Mapping[str, Sequence[Any]], protocol: Sequence[str]
) -> list[int]:
    """As the file says; else by counting an encoder's named runs; else 0, so that a second row is a double."""
    if "seed" in roles:
        return [
            _whole_number(path, place, roles["seed"], cell)
            for place, cell in zip(table.places, _column(table, roles["seed"]), strict=True)
        ]
    if "run" not in roles:
        return [0] * len(table.rows)
    counted: dict[tuple[Any, ...], dict[str, int]] = {}
    seeds = []
    for index, run in enumerate(rows["run"]):
        runs = counted.setdefault((rows["encoder"][index], *(rows[name][index] for name in protocol)), {})
        seeds.append(runs.setdefault(run, len(runs)))
    return seeds


def _whole_number(path: Path, place: str, column: str, cell: Cell) -> int:
    number = _number(cell)
    if number is None or not number.is_integer() or not 0 <= number < 2**63:
        raise _bad_cell(path, place, column, cell, "a whole number")
    return int(number)


def _scores(table: Table, path: Path, name: str, cells: Sequence[Cell]) -> list[float | None]:
    """Numbers; none where a cell is empty. NaN and infinities stay what they are, and are never ranked.

    Raises:
        RankingError: text that is no number, with line and column.
    """
    numbers: list[float | None] = []
    for place, cell in zip(table.places, cells, strict=True):
        missing = cell is None or (isinstance(cell, str) and cell.lower() in _MISSING)
        number = None if missing else _number(cell)
        if number is None and not missing:
            raise _bad_cell(path, place, name, cell, "a number such as 0.4857 or 48.57, or an empty cell")
        numbers.append(number)
    return numbers


def _costs(cells: Sequence[Cell]) -> tuple[list[float | None], int]:
    """Numbers, and how many cells hold something else: what a run took is not worth an error."""
    numbers = [number if (number := _number(cell)) is not None and math.isfinite(number) else None for cell in cells]
    return numbers, sum(cell is not None and number is None for cell, number in zip(cells, numbers, strict=True))


def _number(cell: Cell) -> float | None:
    """None for what is no number. Python's `float` would take `1_000` and digits of other scripts too."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, str):
        if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return float(cell)
        return float(cell) if _NUMBER.fullmatch(cell) else None
    try:
        return float(cell)
    except OverflowError:
        return None


def _bad_cell(path: Path, place: str, column: str, cell: Cell, wanted: str) -> RankingError:
    text = str(cell)
    fix = "write it without a comma, and the decimal point as a point" if re.fullmatch(r"[\d.,]+", text) else ""
    return RankingError(f'{path}, {place}, column "{column[:80]}": "{text[:80]}" is no number', wanted=wanted, fix=fix)


def _no_column(table: Table, path: Path, name: str) -> RankingError:
    return RankingError(
        f'{path} has no column "{name[:80]}"',
        wanted=f"one of {_some(table.columns)}",
        fix=nearest(name, table.columns),
    )


def _column(table: Table, name: str) -> list[Cell]:
    index = table.columns.index(name)
    return [row[index] for row in table.rows]


def _as_text(cell: Cell) -> str | None:
    return None if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)


def _some(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(name[:60] for name in names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))
