"""The results of encoder_table.py as a page of the documentation.

    python benchmarks/encoder_table_page.py

reads benchmarks/results/encoder_table.jsonl and writes docs/encoder-table.md.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segrank.cards import CARDS
from segrank.cards.card import SIZE_LIMITS_M

CELLS = {
    "512/16": ((512, 512), 16),
    "512/8": ((512, 512), 8),
    "1024/16": ((1024, 1024), 16),
    "512x1024/16": ((512, 1024), 16),
    "1024/8": ((1024, 1024), 8),
}
"""Crop and patch, pixels."""

Cell = dict[str, Any]
"""One line of the results: name, cell, timm, status, and what is known beyond."""

RESULTS = Path(__file__).parent / "results" / "encoder_table.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "encoder-table.md"

_STATES = {
    "gradients": "as `forward`, and backwards: every parameter gets a finite gradient.",
    "forward": "built, loaded with a checkpoint in timm's own layout, and run on an image in bf16: finite features.",
    "shapes": "built and run on the meta device only, which has shapes and no values.",
    "refused": "there is no such encoder, and segrank says why.",
    "failed": "it should work, and does not.",
}

_HEAD = """# Every encoder at every size

Made by `python benchmarks/encoder_table.py --out benchmarks/results/encoder_table.jsonl --memory GIB`, which goes on
where it was stopped, and written from that file by `python benchmarks/encoder_table_page.py`. Weights are random: what
is shown is that an encoder is built, takes its publisher's layout whole, and runs. That its features are timm's own is
another matter, which the tests hold (`tests/encoders/test_build.py`), as `segrank encoders check` does for its wiring.

For each encoder timm's own model, at its own size, was saved as a checkpoint; for each cell (crop/patch, pixels) the
encoder was built from that file as a run builds it. Loading is all or nothing: every parameter and buffer of the
encoder comes from the file, resampled where patch or grid are others, and what the file has beyond is a head, pooling,
a neck, or stages behind the features.
"""


def page(results: Sequence[Cell]) -> str:
    """Markdown, whole: a summary by size, then the table."""
    versions = sorted({result["timm"] for result in results})
    limits = sorted({result["limit_gib"] for result in results if "limit_gib" in result})
    loaded = [result for result in results if "saved" in result]
    whole = sum(result["loaded"] + result["left_out"] == result["saved"] for result in loaded)
    parts = sorted({f"`{part}`" for result in loaded for part in result["left_out_parts"]})
    in_how_many = "all" if whole == len(loaded) else str(whole)
    told = (
        f"timm {', '.join(versions)}; {len(results)} cells of {len({r['name'] for r in results})} encoders. A file was "
        f"loaded in {len(loaded)} of them; in {in_how_many} of these each tensor saved is either loaded or left out, "
        f"being no part of the features ({', '.join(parts)})."
    )
    if (missing := len(CARDS) * len(CELLS) - len(results)) > 0:
        told += f" {missing} cells have not been made yet."
    asked = "Gradients are asked for at 512/16, up to size large. 1024/8 is looked at by shapes alone, everywhere."
    for limit in limits:
        asked += (
            f" A cell whose estimate, which stands beside it, exceeds {limit:g} GiB when half as much is added for "
            "what kernels take, is known by its shapes only as well."
        )
    lines = [
        _HEAD,
        textwrap.fill(told, 120),
        "",
        *(f"- **{state}**: {meaning}" for state, meaning in _STATES.items() if _count(results, state)),
        "",
        textwrap.fill(asked, 120),
        "",
        "## By size",
        "",
        "| size | encoders | " + " | ".join(CELLS) + " |",
        "|---|---|" + "---|" * len(CELLS),
    ]
    size_of = {card.timm: card.size for card in CARDS.values()}
    for size in SIZE_LIMITS_M:
        own = [result for result in results if size_of.get(result["name"]) == size]
        if own:
            columns = [
                ", ".join(
                    f"{count} {state}"
                    for state in _STATES
                    if (count := _count([result for result in own if result["cell"] == cell], state))
                )
                for cell in CELLS
            ]
            lines.append(f"| {size} | {len({result['name'] for result in own})} | " + " | ".join(columns) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "## Every cell",
            "",
            "Beside a state: channels x rows x columns of the features.",
            "",
            table(results),
            "",
        ]
    )


def table(results: Sequence[Cell]) -> str:
    """Markdown: a row for each encoder, a column for each cell, and reasons below."""
    rows = ["| encoder | parameters, M | " + " | ".join(CELLS) + " |", "|---|---|" + "---|" * len(CELLS)]
    notes: dict[str, str] = {}
    for name in dict.fromkeys(result["name"] for result in results):
        cells = {result["cell"]: result for result in results if result["name"] == name}
        parameters = next((str(c["parameters_m"]) for c in cells.values() if "parameters_m" in c), "")
        texts = [_text(cells[cell], notes) if cell in cells else "" for cell in CELLS]
        rows.append(f"| {name} | {parameters} | " + " | ".join(texts) + " |")
    return "\n".join([*rows, *(f"\n[{number}] {reason}" for reason, number in notes.items())])


def _text(result: Cell, notes: dict[str, str]) -> str:
    text: str = result["status"]
    if "features" in result:
        text += f" {'x'.join(map(str, result['features'][1:]))}"
    if "limit_gib" in result:
        text += f" ({result['forward_gib']:.1f} GiB)"
    if "reason" in result:
        reason = "; ".join(result["reason"].removeprefix(result["name"]).strip().splitlines())
        text += f" [{notes.setdefault(reason, str(len(notes) + 1))}]"
    return text


def _count(results: Sequence[Cell], state: str) -> int:
    return Counter(result["status"] for result in results)[state]


if __name__ == "__main__":
    PAGE.write_text(page([json.loads(line) for line in RESULTS.read_text().splitlines()]))
