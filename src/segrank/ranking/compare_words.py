"""What a comparison of two encoders says, in words. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.class_differences import ClassDifference
from segrank.ranking.compare import Compared, Comparison
from segrank.ranking.difference import MOST_SEEDS, POWER
from segrank.ranking.phrases import sentence
from segrank.ranking.results import Metric
from segrank.ranking.words import OF_THESE_WEIGHTS, digits_for, shown, title


def answer(part: Compared, metric: Metric, level: float) -> str:
    """Who is better, by how much, and whether that is settled."""
    where = f"On {part.name}: " if part.name else ""
    unit = title(metric)
    if part.value == 0:
        return f"{where}{part.a.encoder} and {part.b.encoder} have the same {unit}: {shown(part.a.score, metric)}."
    ahead, behind = _ahead(part, metric)
    sign = 1 if part.value > 0 else -1
    digits = digits_of(part, metric)
    by = f"by {shown(abs(part.value), metric, digits)} {'points of ' * metric.share}{unit}"
    if part.interval is None:
        return f"{where}{ahead} is ahead of {behind} {by}. Whether that is more than noise cannot be told."
    low, high = (shown(end, metric, digits) for end in sorted(sign * end for end in part.interval))
    weights = OF_THESE_WEIGHTS * ("seeds" not in part.covers)
    interval = f"{level:.0%} interval {low} to {high}"
    if part.settled:
        return f"{where}{weights}{ahead} is better than {behind} {by} ({interval})."
    sure = probability(part.better if ahead == part.a.encoder else 1 - (part.better or 0))
    return (
        f"{where}{weights}{ahead} is ahead of {behind} {by}, which is not settled: {interval}; the probability that it "
        f"is truly better is {sure}."
    )


def remarks(comparison: Comparison) -> list[str]:
    """What a reader has to know besides."""
    level = comparison.options.level
    lines = [
        (f"{part.name}: " if part.name else "") + text
        for part in comparison.parts
        for text in _of_part(part, comparison.metric, level, comparison.options.resamples)
    ]
    if len(comparison.parts) > 1:
        lines.append(
            f"Each of the {len(comparison.parts)} comparisons is by itself: among several, some will seem settled by "
            "chance."
        )
    return [*lines, *map(sentence, comparison.notes)]


def _of_part(part: Compared, metric: Metric, level: float, resamples: int) -> list[str]:
    lines = [_settling(part)] if part.needed else []
    if part.not_covered:
        lines.append(sentence(part.not_covered))
    if part.covers:
        lines.append(_method(part, level, resamples))
    if part.classes:
        lines.append(_classes(part.classes, level))
    if part.deciding and part.value:
        lines.append(_turning(part, metric))
    return [*lines, *map(sentence, part.notes)]


def _settling(part: Compared) -> str:
    assert part.needed is not None
    needed, ways, hopeless = part.needed, [], []
    if needed.seeds:
        ways.append(f"{needed.seeds:,} seeds each instead of {len(part.a.runs)} on these images")
    elif "seeds" in part.covers:
        hopeless.append(f"seeds alone (up to {MOST_SEEDS:,})")
    if needed.images:
        ways.append(f"{needed.images:,} images instead of {part.images:,} with these seeds")
    elif part.images is not None:
        hopeless.append("images alone (up to 1,000 times as many)")
    lines = [f"About {' or '.join(ways)} would settle it with a probability of {POWER:.0%}"] if ways else []
    lines += [f"{'more ' * (not ways)}{' and '.join(hopeless)} would not settle it"] if hopeless else []
    return f"{sentence('; '.join(lines))[:-1]}, if the difference is what it seems: a rough guide."


def _method(part: Compared, level: float, resamples: int) -> str:
    over = []
    if "images" in part.covers:
        over.append(f"{part.images:,} images ({resamples:,} paired resamples)")
    if "seeds" in part.covers:
        paired = "paired seeds" if part.paired_seeds else "seeds each, not paired"
        count = " and ".join(map(str, dict.fromkeys((len(part.a.runs), len(part.b.runs)))))
        learnt = f", whose spread is learnt from {part.seeds_known_from} encoders" * (part.seeds_known_from > 2)
        over.append(f"{count} {paired}{learnt}")
    return f"Intervals: {level:.0%}, over {' and '.join(over)}. P(better) is that of the t distribution."


def _classes(classes: Sequence[ClassDifference], level: float) -> str:
    known = [one for one in classes if one.interval is not None and one.p_holm is not None]
    alone = sum(one.interval is not None and (one.interval[0] > 0 or one.interval[1] < 0) for one in known)
    apart = sum(one.p_holm is not None and one.p_holm <= 1 - level for one in known)
    single = len(classes) - len(known)
    return (
        f"Of {len(classes)} classes {alone} differ if each is looked at by itself, where chance alone makes about "
        f"{(1 - level) * len(known):.1f}; corrected for their number (Holm), {apart}. Intervals of classes are not "
        f"corrected.{f' {single} of them are in a single image, and have none.' if single else ''}"
    )


def _turning(part: Compared, metric: Metric) -> str:
    assert part.deciding is not None
    ahead, behind = _ahead(part, metric)
    turning = part.deciding.to_turn
    if turning is None:
        return f"No images of those most for {ahead} turn it when they are left out."
    names = f": {', '.join(turning)}" if len(turning) <= 5 else ""
    images = f"{len(turning)} image{'s' * (len(turning) > 1)}"
    return f"Without {images} of {part.images:,}, {behind} would be ahead{names}."


def _ahead(part: Compared, metric: Metric) -> tuple[str, str]:
    first = (part.value > 0) == (metric.direction == "higher")
    return (part.a.encoder, part.b.encoder) if first else (part.b.encoder, part.a.encoder)


def digits_of(part: Compared, metric: Metric) -> int:
    """Decimals that show a difference that is not 0."""
    return digits_for([part.a.score, part.b.score], metric)


def probability(value: float | None) -> str:
    """Never 0 or 1."""
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else ">0.999" if value > 0.999 else f"{value:.3f}"
