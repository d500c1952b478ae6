"""Where there is room for the names of points. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from segrank.report.figures.axes import letters_px
from segrank.report.figures.figure import Size


class Place(NamedTuple):
    """Of a text beside its point, in sizes of the text."""

    align: Literal["left", "right", "center"]
    dx: float
    dy: float


_PLACES = (
    Place("left", 0.8, 0), Place("right", -0.8, 0), Place("left", 0.5, -0.9), Place("left", 0.5, 0.9),
    Place("right", -0.5, -0.9), Place("right", -0.5, 0.9), Place("center", 0, -1.2), Place("center", 0, 1.2),
)  # fmt: skip
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, pixels."""


def free_places(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    plot_px: tuple[float, float],
    size: Size,
    *,
    lines: Sequence[Box] = (),
) -> list[Place | None]:
    """A place for each text, so that none lies over another one, over a point or beyond the plot, nor on a line if that
    can be had; the first ones choose first. None where there is no such place.

    Args:
        points: (x, y) of every point, pixels from the top left.
        texts: of the first of them.
        plot_px: width and height.
        size: of the text.
        lines: flat boxes.
    """
    radius = 0.5 * size.font_px
    taken: list[Box] = [(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    found: list[Place | None] = []
    for (x, y), text in zip(points, texts, strict=False):
        boxes = [(place, _box(x, y, place, letters_px(len(text), size), size.font_px)) for place in _PLACES]
        free = next(
            (one for avoided in ([*taken, *lines], taken) for one in boxes if _fits(one[1], plot_px, avoided)), None
        )
        found.append(free[0] if free else None)
        taken += [free[1]] if free else []
    return found


def _box(x: float, y: float, place: Place, wide: float, font: float) -> Box:
    left = x + place.dx * font - wide * {"left": 0, "right": 1, "center": 0.5}[place.align]
    middle = y + place.dy * font
    return left, middle - font / 2, left + wide, middle + font / 2


def _fits(box: Box, plot: tuple[float, float], taken: Sequence[Box]) -> bool:
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= plot[0] and box[3] <= plot[1]
    return inside and not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
