"""What the place of a new encoder is, in words. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.phrases import sentence
from segrank.ranking.place import TOGETHER, Placed, Placement
from segrank.ranking.words import OF_THESE_WEIGHTS

_MOST_NAMED = 6


def answer(placement: Placement, part: Placed) -> str:
    """Its place by its score, the places that it may truly have, and from whom it cannot be separated."""
    new = placement.encoder
    where = f"{sentence(part.name)[:-1] if part.name == TOGETHER else part.name}: " if part.name else ""
    count = len(part.rivals) + 1
    place = f"{new} is {_ordinal(part.rank)} of {count} by its score"
    if not part.rivals:
        return f"{where}no other encoder is left to place {new} among."
    if part.rank_interval is None:
        return f"{where}{place}. Whether that is more than noise cannot be told."
    low, high = part.rank_interval
    weights = OF_THESE_WEIGHTS * ("seeds" not in part.covers)
    level = f"{placement.options.level:.0%}"
    span = f"its true rank is {low}" if low == high else f"its true rank may be any from {low} to {high}"
    found = [
        (part.named("better"), "better than"),
        (part.named("worse"), "worse than"),
        (part.named("not separable"), "not separable from"),
    ]
    verdicts = "; ".join(f"{words} {_named(names)}" for names, words in found if names)
    return f"{where}{weights}{place}; {span} ({level}). It is {verdicts}."


def remarks(placement: Placement) -> list[str]:
    """What a reader has to know besides."""
    options = placement.options
    lines = []
    parts = [*placement.parts, *([placement.together] if placement.together else [])]
    for part in parts:
        begin = f"{part.name}: " if part.name else ""
        if part.not_covered:
            lines.append(begin + sentence(part.not_covered))
        if part.left_out:
            lines.append(f"{begin}Left out of the known encoders: {_named(part.left_out)}.")
    if any(part.covers for part in parts):
        lines.append(
            f"The verdicts, and the rank interval, are of {options.level:.0%} and corrected for looking at all known "
            "encoders (Holm); intervals of differences and P(better) are of each pair by itself."
        )
    lines.append("This is its place under the same protocol as theirs; another protocol may order encoders otherwise.")
    if placement.together:
        lines.append(
            "All together: the mean over the protocols, each with the same weight, of how many standard deviations of "
            "the encoders a score is above their mean."
        )
    return [*lines, *map(sentence, placement.notes)]


def _ordinal(rank: int) -> str:
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def _named(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
