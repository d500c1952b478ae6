"""How a comparison of two encoders looks: on a terminal, piped, as CSV, JSON or Markdown. No torch here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from segrank.console.output import out
from segrank.console.tables import print_table
from segrank.progress import plain
from segrank.ranking.compare import Compared, Comparison
from segrank.ranking.compare_words import answer, digits_of, probability, remarks
from segrank.ranking.results import Metric
from segrank.ranking.where import cut
from segrank.ranking.words import shown, title
from segrank.report.sheets.written import csv_text, markdown_table, one_line

_NAME_WIDTH = 40
_TEXT = ("encoder", "class", "image", "for")
Table = tuple[list[str], list[list[str]]]


def print_comparison(comparison: Comparison, form: str, most: int) -> None:
    """Print it as `table`, `csv`, `json` or `markdown`.

    Args:
        comparison: of two encoders.
        form: of those.
        most: classes, and images for each of both, that tables for people show; csv and json have all.
    """
    FORMATS[form](comparison, most)


def _print_table(comparison: Comparison, most: int) -> None:
    console = out()
    for part in comparison.parts:
        console.print(plain(_answer(comparison, part)), style="bold", soft_wrap=True)
        for headings, rows in _tables(comparison, part, most):
            print_table(headings, rows, _TEXT)
    for line in [*remarks(comparison), *_left_out(comparison, most)]:
        console.print(plain(line), soft_wrap=True)


def _print_markdown(comparison: Comparison, most: int) -> None:
    lines = []
    for part in comparison.parts:
        lines += [one_line(_answer(comparison, part)), ""]
        for headings, rows in _tables(comparison, part, most):
            lines += [*markdown_table(headings, rows, _TEXT), ""]
    print(
        "\n".join([*lines, *(f"- {one_line(line)}" for line in [*remarks(comparison), *_left_out(comparison, most)])])
    )


def _print_csv(comparison: Comparison, most: int) -> None:
    print(csv_text(frame(comparison)), end="")


def _print_json(comparison: Comparison, most: int) -> None:
    data = {
        "answers": [_answer(comparison, part) for part in comparison.parts],
        "remarks": remarks(comparison),
        **asdict(comparison),
    }
    print(json.dumps(data, indent=1, allow_nan=False))


FORMATS: dict[str, Callable[[Comparison, int], None]] = {
    "table": _print_table, "csv": _print_csv, "json": _print_json, "markdown": _print_markdown,
}  # fmt: skip


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


def _answer(comparison: Comparison, part: Compared) -> str:
    return answer(part, comparison.metric, comparison.options.level)


def _tables(comparison: Comparison, part: Compared, most: int) -> Iterator[Table]:
    level = f"{comparison.options.level:.0%} interval"
    yield _sides(part, comparison.metric, level)
    if part.classes:
        yield _classes(part, level, most)
    if part.deciding:
        yield _images(part, most)


def _sides(part: Compared, metric: Metric, level: str) -> Table:
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
    return _filled(["encoder", f"{title(metric)}{' %' * metric.share}", level, "P(better)", "seeds"], rows)


def _classes(part: Compared, level: str, most: int) -> Table:
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
    return ["class", f"{a} IoU %", f"{b} IoU %", "difference", level, "p (Holm)", "images"], rows


def _images(part: Compared, most: int) -> Table:
    assert part.deciding is not None
    a, b = _short(part)
    images = part.deciding.images
    chosen = [(a, one) for one in images[:most] if one.moves > 0]
    chosen += [(b, one) for one in images[::-1][:most] if one.moves < 0]
    rows = [
        [one.name, side, f"{100 * one.moves:+.3f}", f"{100 * (part.value - one.moves):+.3f}"] for side, one in chosen
    ]
    return ["image", "for", "moves it by", "difference without"], rows


def _short(part: Compared) -> tuple[str, str]:
    """Names for headings; those that would be the same when cut are a and b."""
    a, b = (cut(side.encoder, _NAME_WIDTH) for side in (part.a, part.b))
    return (a, b) if a != b else ("a", "b")


def _filled(headings: list[str], rows: list[list[str]]) -> Table:
    """Without columns that say nothing."""
    kept = [at for at in range(len(headings)) if any(row[at] for row in rows)]
    return [headings[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _left_out(comparison: Comparison, most: int) -> Sequence[str]:
    more = any(len(part.classes) > most for part in comparison.parts)
    return [f"Shown are the {most} classes that differ most: --format csv has all."] if more else []
