"""The page of all encoders is made of its results, and none of them is a failure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from encoder_table_page import CELLS, PAGE, RESULTS, page

from segrank.cards import CARDS


def test_the_page_says_what_the_results_say() -> None:
    results = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    assert PAGE.read_text() == page(results)
    cells = [(result["name"], result["cell"]) for result in results]
    assert len(set(cells)) == len(cells)
    assert {name for name, _ in cells} <= {card.timm for card in CARDS.values()}
    assert {cell for _, cell in cells} <= set(CELLS)
    assert "failed" not in {result["status"] for result in results}
    for result in results:
        if "saved" in result:
            assert result["loaded"] + result["left_out"] == result["saved"], result["name"]
