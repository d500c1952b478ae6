"""Names in pictures: they come from files, so they are cut short, kept apart, and nothing but text. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    """On one line. An SVG may hold no control character."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def short(text: str, width: int, head: float = 0.5) -> str:
    """Printable, of `width` characters at most; what is too long loses its middle, and `head` of it stands in front."""
    line = printable(text)
    if len(line) <= width:
        return line
    front = round(head * (width - 1))
    return f"{line[:front]}{ELLIPSIS}{line[len(line) - (width - 1 - front) :]}"


def labels(names: Sequence[str], width: int) -> list[str]:
    """Short ones in the same order, cut where they stay different as far as there is such a place, else numbered."""
    plain = [name.removeprefix("timm:") for name in names]
    ways = [[short(name, width, head) for name in plain] for head in (0.5, 0.35, 0.65, 0.2, 0.8)]
    cut = max(ways, key=lambda way: len(set(way)))
    several = {text for text, count in Counter(cut).items() if count > 1}
    seen: Counter[str] = Counter()
    found = []
    for text in cut:
        seen[text] += 1
        mark = f" #{seen[text]}" if text in several else ""
        found.append(short(text, width - len(mark)) + mark)
    return found


def room(share: float, width_px: float, font_px: float) -> int:
    """Characters that fit a share of a width, in a font whose letters are 0.55 of its size wide in the mean."""
    return max(8, int(share * width_px / (0.55 * font_px)))
