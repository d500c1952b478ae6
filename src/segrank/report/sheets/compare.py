"""A comparison of two encoders, in tables. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import polars as pl

from segrank.ranking.compare import Compared, Comparison
from segrank.ranking.compare_words import answer, digits_of, probability, remarks
from segrank.ranking.results import Metric
from segrank.ranking.where import cut
from segrank.ranking.words import shown, title
from segrank.report.sheets.sheet import Report, Sheet

_NAME_WIDTH = 40
_TEXT = frozenset({"encoder", "class", "image", "for"})


def report(comparison: Comparison, most: int) -> Report:
    """
    Args:
        comparison: of two encoders.
        most: classes, and images for each of both, that tables for people show; csv and json have all.
    """
    answers = [answer(part, comparison.metric, comparison.options.level) for part in comparison.parts]
    sheets = []
    for at, part in enumerate(comparison.parts):
        first, *others = _sheets(comparison, part, most)
        # the first answer is the headline; those of further parts stand above their tables
        sheets += [replace(first, title=answers[at] if at else ""), *others]
    more = any(len(part.classes) > most for part in comparison.parts)
    left_out = [f"Shown are the {most} classes that differ most: --format csv has all."] if more else []
    return Report(
        headline=answers[0],
        sheets=sheets,
        remarks=[*remarks(comparison), *left_out],
        frame=frame(comparison),
        data={"answers": answers, **asdict(comparison)},
    )


def frame(comparison: Comparison) -> pl.DataFrame:
    """A row for the score, each class and each image of each part: numbers as computed, not in percent.

    `difference` is a - b; of an image, the difference with it - the difference without it.
    """
    rows: list[dict[str, Any]] = []
    for part in comparison.parts:
        common = {"part": part.name, "encoder_a": part.a.encoder, "encoder_b": part.b.encoder}
        low, high = part.interval or (None, None)
        whole = {"of": "score", "name": comparison.metric.name, "a": part.a.score, "b": part.b.score}
        whole |= {"difference": part.value, "low": low, "high": high, "p_better": part.better, "p_value": part.p_value}
        rows.append(common | whole | {"images": part.images})
        for one in part.classes:
            low, high = one.interval or (None, None)
            of_class = {"of": "class", "name": one.name, "a": one.a, "b": one.b, "difference": one.value, "low": low}
            of_class |= {"high": high, "p_value": one.p_value, "p_holm": one.p_holm, "images": one.images}
            rows.append(common | of_class)
        for image in part.deciding.images if part.deciding else ():
            rows.append(common | {"of": "image", "name": image.name, "difference": image.moves})
    numbers = dict.fromkeys(("a", "b", "difference", "low", "high", "p_better", "p_value", "p_holm"), pl.Float64())
    texts = dict.fromkeys(("part", "encoder_a", "encoder_b", "of", "name"), pl.String())
    return pl.DataFrame(rows, schema=pl.Schema(texts | numbers | {"images": pl.Int64()}))


def _sheets(comparison: Comparison, part: Compared, most: int) -> Iterator[Sheet]:
    level = f"{comparison.options.level:.0%} interval"
    yield _sides(part, comparison.metric, level)
    if part.classes:
        yield _classes(part, level, most)
    if part.deciding:
        yield _images(part, most)


def _sides(part: Compared, metric: Metric, level: str) -> Sheet:
    digits = digits_of(part, metric)

    def interval(ends: tuple[float, float] | None) -> str:
        return " to ".join(shown(end, metric, digits) for end in ends or ())

    better = {part.a: part.better, part.b: None if part.better is None else 1 - part.better}
    rows = [
        [
            side.encoder,
            shown(side.score, metric, digits),
            interval(side.interval),
            probability(sure),
            str(len(side.runs)),
        ]
        for side, sure in better.items()
    ]
    rows.append(["difference", shown(part.value, metric, digits), interval(part.interval), "", ""])
    return Sheet("", ["encoder", f"{title(metric)}{' %' * metric.share}", level, "P(better)", "seeds"], rows, _TEXT)


def _classes(part: Compared, level: str, most: int) -> Sheet:
    chosen = sorted(part.classes, key=lambda one: -abs(one.value))[:most]
    a, b = _short(part)
    rows = [
        [
            one.name,
            f"{100 * one.a:.2f}",
            f"{100 * one.b:.2f}",
            f"{100 * one.value:+.2f}",
            " to ".join(f"{100 * end:.2f}" for end in one.interval or ()),
            probability(one.p_holm),
            str(one.images),
        ]
        for one in chosen
    ]
    headings = ["class", f"{a} IoU %", f"{b} IoU %", "difference", level, "p (Holm)", "images"]
    return Sheet("", headings, rows, _TEXT, ("images", "p (Holm)"))


def _images(part: Compared, most: int) -> Sheet:
    assert part.deciding is not None
    a, b = _short(part)
    images = part.deciding.images
    chosen = [(a, one) for one in images[:most] if one.moves > 0]
    chosen += [(b, one) for one in images[::-1][:most] if one.moves < 0]
    rows = [
        [one.name, side, f"{100 * one.moves:+.3f}", f"{100 * (part.value - one.moves):+.3f}"] for side, one in chosen
    ]
    return Sheet("", ["image", "for", "moves it by", "difference without"], rows, _TEXT)


def _short(part: Compared) -> tuple[str, str]:
    """Names for headings; those that would be the same when cut are a and b."""
    a, b = (cut(side.encoder, _NAME_WIDTH) for side in (part.a, part.b))
    return (a, b) if a != b else ("a", "b")
