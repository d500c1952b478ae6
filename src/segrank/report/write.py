"""A page as a file. No torch."""

from __future__ import annotations

from pathlib import Path

from segrank.errors import RankingError
from segrank.files import write_whole
from segrank.report.page import Page, html


def write_page(page: Page, path: Path) -> int:
    """Write it whole or not at all.

    Returns:
        its size in bytes.

    Raises:
        RankingError: the file cannot be written.
    """
    content = html(page).encode("utf-8", "replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise RankingError(f"{path} cannot be written: {error}", fix="choose another --out or free space") from error
    return len(content)
