"""What became of results folders as a whole, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segrank.console.output import out
from segrank.progress import plain
from segrank.ranking.phrases import counted
from segrank.stores.gc import Garbage, Swept
from segrank.stores.merge import Merged

_KINDS = {"attempts": "left by attempts", "leftovers": "left by writes that were cut", "weights": "weights"}


def print_merged(merged: Merged, into: Path) -> None:
    for told in merged.differing:
        _say(f"differs: {told}")
    for told in merged.left_out:
        _say(f"left out: {told}")
    parts = [f"{counted(len(merged.added), 'run')} added"]
    for runs, what in (
        (merged.completed, "completed"),
        (merged.there, "there already"),
        (merged.differing, "not the same as there, which stays"),
        (merged.left_out, "left out"),
    ):
        parts += [f"{len(runs):,} {what}"] if runs else []
    parts += [f"{counted(merged.pretrainings, 'pretraining')} added"] if merged.pretrainings else []
    _say(f"{into}: {', '.join(parts)}")
    if merged.unfinished:
        _say(f"{counted(merged.unfinished, 'run')} not finished: finish there, and merge again")


def print_exported(runs: int, path: Path, size: int) -> None:
    _say(f"{path}: {counted(runs, 'run')}, {_bytes(size)}")


def print_garbage(found: Sequence[Garbage], store: Path) -> None:
    _print_sums(found)
    total = sum(one.size for one in found)
    _say(f"{store}: {_bytes(total)} could go; --delete removes it" if found else f"{store}: nothing to remove")


def print_swept(swept: Swept, store: Path) -> None:
    for told in swept.kept:
        _say(f"kept: {told}")
    _print_sums(swept.gone)
    _say(f"{store}: {_bytes(sum(one.size for one in swept.gone))} gone")


def _print_sums(found: Sequence[Garbage]) -> None:
    for kind, what in _KINDS.items():
        some = [one for one in found if one.kind == kind]
        if some:
            runs = len({one.key for one in some if one.key})
            of = f", of {counted(runs, 'run')}" if runs else ""
            _say(f"{_bytes(sum(one.size for one in some))} {what}{of}")


def _say(text: str) -> None:
    out().print(plain(text), soft_wrap=True)


def _bytes(size: float) -> str:
    """`1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
