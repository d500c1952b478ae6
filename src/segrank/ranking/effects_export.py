"""Effects as data: a table of numbers, or JSON in which every number names the runs behind it. No torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from segrank.ranking.effects import Effects

_SCHEMA = pl.Schema(
    {"kind": pl.String, "response": pl.String, "effect": pl.String, "contrast": pl.String, "value": pl.Float64}
    | {"low": pl.Float64, "high": pl.Float64, "p_value": pl.Float64, "p_holm": pl.Float64, "p_smallest": pl.Float64}
    | {"permutations": pl.Int64, "exact": pl.Boolean, "detectable": pl.Float64, "families": pl.Int64}
    | {"verdict": pl.String}
)


def frame(found: Effects) -> pl.DataFrame:
    """A row for each contrast, step and association: numbers as computed, not rounded and not in percent."""
    rows: list[dict[str, Any]] = []
    for effect in found.effects:
        for contrast in effect.contrasts:
            low, high = contrast.interval or (None, None)
            rows.append(
                {
                    "kind": effect.kind,
                    "response": effect.response,
                    "effect": effect.name,
                    "contrast": contrast.name,
                    "value": contrast.value,
                    "low": low,
                    "high": high,
                    "p_value": effect.test.p_value,
                    "p_holm": effect.adjusted,
                    "p_smallest": effect.test.smallest,
                    "permutations": effect.test.permutations,
                    "exact": effect.test.exact,
                    "detectable": effect.detectable,
                    "families": effect.encoders,
                    "verdict": effect.verdict,
                }
            )
    for step in found.steps:
        low, high = step.interval or (None, None)
        rows.append(
            {
                "kind": f"step, {step.lineage.kind}",
                "response": "score",
                "effect": step.lineage.changed,
                "contrast": f"{step.lineage.child} - {step.lineage.parent}{f' ({step.setting})' * bool(step.setting)}",
                "value": step.value,
                "low": low,
                "high": high,
                "p_value": step.p_value,
                "p_holm": step.adjusted,
                "verdict": step.verdict,
            }
        )
    for one in found.associations:
        low, high = one.interval or (None, None)
        rows.append(
            {
                "kind": "confound",
                "response": "score",
                "effect": one.confound,
                "contrast": "Spearman's correlation",
                "value": one.correlation,
                "low": low,
                "high": high,
                "p_value": one.test.p_value,
                "p_holm": one.adjusted,
                "p_smallest": one.test.smallest,
                "permutations": one.test.permutations,
                "exact": one.test.exact,
                "families": len(one.encoders),
            }
        )
    return pl.DataFrame(rows, schema=_SCHEMA)


def as_data(found: Effects) -> dict[str, Any]:
    """All that is known, for JSON. Effects name families of encoders, and each family its runs."""
    units = found.units
    return {
        "source": found.source,
        "metric": asdict(found.metric),
        "options": asdict(found.options),
        "settings": [
            {"name": one.name, "values": dict(one.values), "covers": one.of.covers, "not_covered": one.of.note}
            for one in found.settings
        ],
        "families": {
            name: {
                "encoders": units.members[at],
                "runs": units.runs[at],
                "scores": units.scores[:, at].tolist(),
                "ranks": units.ranks[:, at].tolist(),
                "card": {column: values[at] for column, values in {**units.facts, **units.numbers}.items()},
            }
            for at, name in enumerate(units.names)
        },
        "effects": [asdict(effect) for effect in found.effects],
        "untested": found.untested,
        "steps": [{**asdict(step), "lineage": step.lineage._asdict()} for step in found.steps],
        "additivity": {response: asdict(one) for response, one in found.additivity.items()},
        "associations": [asdict(one) for one in found.associations],
        "entangled": [{**asdict(one), "inseparable": one.inseparable} for one in found.entangled],
        "same_split": found.same_split,
        "notes": found.notes,
    }
