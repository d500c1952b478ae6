"""Fixtures that several folders of tests use. Nothing heavy is imported here."""

from __future__ import annotations

import os
from pathlib import Path

# before torch is imported: test processes with a thread for every core each would wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: not item.path.name.startswith("test_chaos"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is learnt from archives is kept here, not in the user's cache."""
    os.environ["SEGRANK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights: $SEGRANK_SHARED, or `shared` beside the project."""
    folder = Path(os.environ.get("SEGRANK_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"no real data: there is no {folder} (set SEGRANK_SHARED)")
    return folder
