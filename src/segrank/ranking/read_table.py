"""Read anybody's table: CSV, JSON lines or Parquet, with the place of every row. Files are taken to be hostile."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segrank.errors import RankingError

MAX_BYTES = 64 * 2**20
MAX_ROWS = 200_000
MAX_COLUMNS = 5_000
MAX_CELLS = 4_000_000
"""What 1,500 encoders under 8 settings with 5 seeds and 60 columns come to. As Python values they take about 0.4 GB."""

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """A file's rows, not interpreted: text of a CSV is text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    places: tuple[str, ...]
    """Where each row stands: `line 3`, or in Parquet `row 3`, both counted from 1."""


def read_table(path: Path, delimiter: str = "") -> Table:
    """Read a table; its name's ending says what it is.

    Args:
        path: .csv, .tsv, .jsonl, .ndjson or .parquet.
        delimiter: of a CSV; by default a comma, in .tsv a tab.

    Raises:
        RankingError: the file is not there, too large, empty, damaged or not what its name says, with the line.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise RankingError(f"{path} is no table that segrank reads", wanted=", ".join(SUFFIXES))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RankingError(f"{path} has {path.stat().st_size / 2**20:.0f} MiB", wanted=f"at most {MAX_BYTES >> 20}")
        table = _READERS[suffix](path, delimiter)
    except OSError as error:
        raise RankingError(f"{path} cannot be read: {error.strerror or error}", fix="check the path") from None
    if not table.rows:
        raise RankingError(f"{path} holds no row of results", wanted="a line of column names and a line for each run")
    return table


def _csv(path: Path, delimiter: str) -> Table:
    delimiter = delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows, places, began = [], [], 1
    try:
        for cells in reader:
            place, began = f"line {began}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(path, [cell.strip() for cell in cells], delimiter)
                continue
            if len(cells) != len(header):
                raise RankingError(
                    f"{path}, {place}: {len(cells)} cells under {len(header)} columns",
                    wanted="as many cells as columns",
                    fix="put text that holds the delimiter into double quotes, or give the right --delimiter",
                )
            rows.append(tuple(cell.strip() or None for cell in cells))
            places.append(place)
            _check_size(path, len(rows), len(header))
    except csv.Error as error:
        raise RankingError(
            f"{path}, line {reader.line_num}: {error}", wanted="CSV with quotes that are closed"
        ) from None
    return Table(tuple(header), tuple(rows), tuple(places))


def _header(path: Path, names: list[str], delimiter: str) -> list[str]:
    if len(names) == 1 and (others := [other for other in ";\t|," if other != delimiter and other in names[0]]):
        raise RankingError(
            f"{path} has the one column {names[0][:80]!r}",
            wanted=f"columns separated by {delimiter!r}",
            fix=f"--delimiter {'TAB' if others[0] == chr(9) else repr(others[0])}",
        )
    _check_size(path, 1, len(names))
    if empty := [position for position, name in enumerate(names, start=1) if not name]:
        raise RankingError(f"{path}: column {empty[0]} has no name", fix="name every column in the first line")
    if twice := [name for position, name in enumerate(names) if name in names[:position]]:
        raise RankingError(f'{path}: two columns are called "{twice[0][:80]}"', fix="rename one of them")
    return names


def _json_lines(path: Path, delimiter: str) -> Table:
    del delimiter  # JSON has none
    columns: dict[str, None] = {}
    objects, places = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise RankingError(f"{path}, line {number}: {str(error)[:200]}", wanted="a JSON object on a line") from None
        if not isinstance(content, dict):
            raise RankingError(f"{path}, line {number} holds a JSON {type(content).__name__}", wanted="an object")
        columns.update(dict.fromkeys(content))
        objects.append(content)
        places.append(f"line {number}")
        _check_size(path, len(objects), len(columns))
    rows = tuple(tuple(_scalar(content.get(name)) for name in columns) for content in objects)
    return Table(tuple(columns), rows, tuple(places))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return dict(pairs)


def _parquet(path: Path, delimiter: str) -> Table:
    del delimiter
    try:
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        _check_size(path, lazy.select(pl.len()).collect().item(), len(schema))  # from the footer, before any data
        rows = lazy.collect().rows()
    except pl.exceptions.PolarsError as error:
        raise RankingError(f"{path} is no Parquet file: {str(error)[:200]}", fix="write it again") from None
    places = tuple(f"row {number}" for number in range(1, len(rows) + 1))
    return Table(tuple(schema), tuple(tuple(map(_scalar, row)) for row in rows), places)


def _scalar(value: Any) -> Cell:
    """Numbers, truth values and nothing as they are; the rest as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return text.strip() or None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RankingError(f"{path}, line {line}: not UTF-8", fix="save the table as UTF-8") from None


def _check_size(path: Path, rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise RankingError(
            f"{path} has {rows:,} rows or more, and {columns:,} columns",
            wanted=f"at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells",
            fix="keep the columns and rows that are to be ranked",
        )


_READERS: dict[str, Callable[[Path, str], Table]] = {
    ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet,
}  # fmt: skip
SUFFIXES = tuple(_READERS)
