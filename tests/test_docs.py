"""The documentation: complete, and whole without a network. That its links lead somewhere, `make check` looks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import segrank

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def pages(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else pages(target)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(pages(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_api_reference_has_every_public_name() -> None:
    described = re.findall(r"^::: segrank\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(described) == sorted(segrank.__all__)


def test_links_of_pages_lead_into_the_docs() -> None:
    """What lies elsewhere in the checkout is not part of the site."""
    links = {path.name: re.findall(r"\]\(([^)]*)\)", path.read_text()) for path in DOCS.rglob("*.md")}
    outside = [(name, target) for name, targets in links.items() for target in targets if target.startswith("..")]
    assert not outside


def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    build = [str(Path(sys.executable).with_name("zensical")), "build"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    site = tmp_path / "site"
    assert len(list(site.rglob("*.html"))) > 15
    for page in site.rglob("*.html"):
        loaded = re.findall(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?([^"'\s>]+)""", page.read_text())
        loaded += re.findall(r"""<link\b[^>]*rel=["']?stylesheet[^>]*href=["']?([^"'\s>]+)""", page.read_text())
        assert loaded, page
        assert not [url for url in loaded if "//" in url], page
        assert "doc-object" in page.read_text() or page.name != "api.html"
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*|@import", sheet.read_text()), sheet
