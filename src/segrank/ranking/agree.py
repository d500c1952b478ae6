"""How far settings, datasets or metrics order the encoders alike: every pair of them. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import polars as pl

from segrank.ranking.agreement import DRAWS, Agreement, agreement
from segrank.ranking.leaderboard import Options
from segrank.ranking.results import Results
from segrank.ranking.settings import Setting, settings_of

MOST_DRAWN = 120
"""Pairs of settings whose true orders are drawn: it takes about a second each."""


@dataclass(frozen=True, eq=False)
class Pair:
    x: Setting
    y: Setting
    found: Agreement


@dataclass(frozen=True, eq=False)
class Agreements:
    """What `agree` found."""

    source: str
    options: Options
    settings: tuple[Setting, ...]
    pairs: tuple[Pair, ...]
    """Of all settings, in their order."""
    notes: tuple[str, ...]


def agree(
    results: Results,
    *,
    metrics: Sequence[str] = (),
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    options: Options | None = None,
    draws: int = DRAWS,
) -> Agreements:
    """Kendall's tau-b between every two settings, over the encoders that both have, and what may be said of it.

    Args:
        results, metrics, where, across, options: see `settings_of`.
        draws: of true scores, for intervals.

    Raises:
        RankingError: as `settings_of`.
    """
    options = options or Options()
    settings, notes = settings_of(results, metrics=metrics, where=where, across=across, options=options)
    both = list(combinations(settings, 2))
    some = len(both) > MOST_DRAWN and any(setting.of.covers for setting in settings)
    if some:
        notes = (
            f"of {len(both)} pairs, only those with {settings[0].name} have an interval of the true orders",
            *notes,
        )
    pairs = tuple(
        Pair(
            x,
            y,
            agreement(
                x.of,
                y.of,
                families=x.families,
                level=options.level,
                draws=0 if some and x is not settings[0] else draws,
                seed=options.seed,
            ),
        )
        for x, y in both
    )
    return Agreements(results.source, options, settings, pairs, notes)


def frame(agreements: Agreements) -> pl.DataFrame:
    """A row for each pair: numbers as computed."""
    return pl.DataFrame([_row(pair) for pair in agreements.pairs], schema=_SCHEMA)


_NUMBERS = (
    "tau", "p_value", "low", "high", "encoders_low", "encoders_high", "weighted_tau", "weighted_low", "weighted_high",
    "ceiling_x", "ceiling_y", "if_same", "if_same_low", "if_same_high", "p_same_order",
)  # fmt: skip
_SCHEMA = pl.Schema(
    {"x": pl.String, "y": pl.String, "encoders": pl.Int64}
    | dict.fromkeys(_NUMBERS, pl.Float64)
    | {"pairs": pl.Int64, "flips": pl.Int64, "real_flips": pl.Int64, "note": pl.String}
)


def _row(pair: Pair) -> dict[str, Any]:
    found = pair.found
    count = len(found.encoders)
    known = {
        "interval": found.interval, "encoders": found.interval_encoders, "weighted": found.weighted_interval,
        "if_same": found.if_same,
    }  # fmt: skip
    ends = {
        ("" if name == "interval" else f"{name}_") + end: getattr(interval, end) if interval else None
        for name, interval in known.items()
        for end in ("low", "high")
    }
    judged = found.flips and found.flips[0].verdict != "unknown"
    return {
        "x": pair.x.name,
        "y": pair.y.name,
        "encoders": count,
        "tau": found.tau,
        "p_value": found.p_value,
        "weighted_tau": found.weighted_tau,
        **ends,
        "ceiling_x": found.ceiling_x.expected if found.ceiling_x else None,
        "ceiling_y": found.ceiling_y.expected if found.ceiling_y else None,
        "if_same": found.if_same.expected if found.if_same else None,
        "p_same_order": found.same_order,
        "pairs": count * (count - 1) // 2,
        "flips": found.flipped,
        "real_flips": found.really_flipped if judged else None,
        "note": found.note or None,
    }


def as_data(agreements: Agreements) -> dict[str, Any]:
    """All that is known, for JSON: every setting names the runs behind its scores."""
    return {
        "source": agreements.source,
        "options": asdict(agreements.options),
        "settings": [setting_as_data(setting) for setting in agreements.settings],
        "pairs": [{"x": pair.x.name, "y": pair.y.name, **asdict(pair.found)} for pair in agreements.pairs],
        "notes": agreements.notes,
    }


def setting_as_data(setting: Setting) -> dict[str, Any]:
    cell = setting.cell
    return {
        "name": setting.name,
        "values": dict(setting.values),
        "metric": asdict(setting.metric),
        "covers": setting.of.covers,
        "not_covered": setting.of.note,
        "encoders": {
            name: {"score": value, "runs": [{"run": run, "seed": seed} for run, seed in zip(runs, seeds, strict=True)]}
            for name, value, runs, seeds in zip(
                cell.encoders, setting.of.value.tolist(), cell.runs, cell.seeds, strict=True
            )
        },
        "incomplete": dict(setting.incomplete),
        "unscored": [asdict(run) for run in setting.unscored],
    }
