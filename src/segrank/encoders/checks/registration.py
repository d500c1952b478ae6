"""What a fit of places seen to places shown says of the wiring, in words."""

from __future__ import annotations

import numpy as np

from segrank.encoders.checks.places import Array, Fit, locate
from segrank.encoders.checks.report import Finding, Status
from segrank.encoders.checks.subject import Subject
from segrank.encoders.encoder import Encoder

OFFSET = 0.25
"""Cells: half of the half patch that must be told from nothing. Rightly wired: random weights at most 0.08, the real
ViT-S 0.10 after 48 places; shifted by half a patch 0.40 to 0.57."""
EDGE = 0.4
"""Cells that the matrix may move the outermost cells by. Rightly wired: at most 0.3; an image enlarged by 8/7 and cut:
1 on 16x16 cells, 0.5 on 8x8. What is less than that on a small grid is seen on a larger one."""
NOISE = 0.06
"""Cells: standard error of the offset from which more places are shown."""
FEWEST, MOST = 16, 48
"""Places shown."""


def check_registration(subject: Subject, encoder: Encoder) -> Finding:
    """At the crop, and at one of another shape, where rows and columns cannot be taken for one another."""
    parts: list[str] = []
    measured: dict[str, float] = {}
    status: Status = "ok"
    advice = ""
    shape = next(size for size in (*subject.smaller(), subject.crop) if size[0] != size[1])
    for crop in dict.fromkeys((subject.crop, shape)):
        built = encoder if crop == subject.crop else subject.build(crop)[0]
        seen = _enough(built)
        verdict, words, what = judge(seen, built.grid)
        parts.append(f"{crop[0]}x{crop[1]}: {words}")
        if crop == subject.crop or verdict == "wrong":
            measured |= {
                "offset_y": float(seen.offset[0]), "offset_x": float(seen.offset[1]),
                "error": float(seen.error.max()), "near": seen.near, "edge": edge_shift(seen, built.grid),
            }  # fmt: skip
        if verdict == "wrong" or (verdict == "unsure" and status == "ok"):
            status, advice = verdict, what
    return Finding(
        name="registration",
        status=status,
        evidence="; ".join(parts),
        advice=advice,
        measured=measured,
    )


def judge(seen: Fit, grid: tuple[int, int]) -> tuple[Status, str, str]:
    """Status, evidence and advice."""
    if np.isnan(seen.seen).any():
        return "wrong", "a pattern changes no feature at all", "the features do not depend on the image"
    words = (
        f"offset {_signed(seen.offset[0])} down, {_signed(seen.offset[1])} right (±{seen.error.max():.2f} patches, "
        f"{len(seen.shown)} places), {edge_shift(seen, grid):.2f} at the edge"
    )
    axes = "".join(f" {value:.2f}" for value in seen.matrix.ravel())
    words += f", axes{axes}"
    for layout, moved in _layouts(seen.shown, grid).items():
        hits = float((np.linalg.norm(seen.seen - moved, axis=1) <= 1).mean())
        if hits > 0.7 and hits > seen.near + 0.2:
            return "wrong", f"{words}; {hits:.0%} of patterns are seen where {layout}", _ADVICE[layout]
    still = np.abs(seen.offset) <= OFFSET
    if seen.near >= 0.7 and still.all() and edge_shift(seen, grid) <= EDGE:
        if seen.error.max() > OFFSET / 2:
            return "unsure", words, "the places scatter too much to tell half a patch: try a larger crop"
        return "ok", words, ""
    if seen.near >= 0.5 and seen.error.max() <= OFFSET / 2:
        if not still.all():
            size = "half a patch" if np.abs(seen.offset).max() < 0.75 else "a patch"
            return "wrong", words, f"features are shifted by about {size}: look for padding, a crop or a rolled image"
        edges = "the middle is right and the edges are not: the image or the features are cut or resized on the way"
        return "wrong", words, f"{edges} (a centre crop; align_corners=True)"
    if seen.sharp < 0.15:
        spread = f"{words}; the change is spread over the grid ({seen.sharp:.0%} in one place)"
        return "unsure", spread, "features do not answer locally: with random or global ones this cannot be decided"
    words += f"; {1 - seen.near:.0%} of patterns are seen more than a patch away"
    if seen.near < 0.5:
        return "wrong", words, "tokens are put on the grid in a wrong order, or the image is cut or resized on the way"
    return "unsure", words, "the places scatter: try a larger crop"


def edge_shift(seen: Fit, grid: tuple[int, int]) -> float:
    """How far the matrix moves the middle of an edge, in cells: 0 for the unit matrix."""
    halves = (np.array(grid) - 1) / 2
    return float(np.abs((seen.matrix - np.eye(2)) * halves[None, :]).max())


_FRONT = "they would be with {} tokens too many in front of the patches"
_ADVICE = {
    "they would be on a transposed grid": "tokens run row by row: reshape to (rows, columns), not (columns, rows), "
    "and do not swap height and width",
    "they would be upside down": "the rows are turned round",
    "they would be in a mirror": "the columns are turned round",
    **{
        _FRONT.format(count): f"drop the {count} class or register tokens in front: set num_prefix_tokens"
        for count in (1, 2, 3, 4, 5)
    },
}


def _layouts(shown: Array, grid: tuple[int, int]) -> dict[str, Array]:
    """Where the patterns would be seen under each well-known fault (n 2)."""
    rows, columns = grid
    row, column = shown[:, 0], shown[:, 1]
    cell_row, cell_column = np.rint(row).astype(int), np.rint(column).astype(int)
    # column by column, but laid out row by row: on a square grid that is the transposed one
    index = cell_column * rows + cell_row
    moved = {
        "they would be on a transposed grid": np.column_stack([index // columns, index % columns]).astype(float),
        "they would be upside down": np.column_stack([rows - 1 - row, column]),
        "they would be in a mirror": np.column_stack([row, columns - 1 - column]),
    }
    for count in (1, 2, 3, 4, 5):
        index = cell_row * columns + cell_column + count
        fraction = np.column_stack([row - cell_row, column - cell_column])
        moved[_FRONT.format(count)] = np.column_stack([index // columns, index % columns]) + fraction
    return moved


def _enough(encoder: Encoder) -> Fit:
    """More places while the offset is noisy."""
    seen = locate(encoder, FEWEST)
    if seen.error.max() > NOISE:
        seen = locate(encoder, MOST)
    return seen


def _signed(value: float) -> str:
    return f"{value:+.2f}"
