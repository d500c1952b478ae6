"""Factors: what of an encoder may explain its scores, and what may be behind that. No torch.

A factor is a card's field, and a confound one that goes along with pretraining without being the point of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from segrank.errors import RankingError
from segrank.files import nearest
from segrank.ranking.results import Results


class Factor(NamedTuple):
    """How encoders are put into groups."""

    title: str
    column: str
    levels: Mapping[str, str] | None = None
    """Value -> group; encoders with another value take no part. None: each value is a group."""


FACTORS: dict[str, Factor] = {
    "mim": Factor("masked image modelling", "card_mim", {"none": "no", "pixels": "yes", "abstract": "yes"}),
    "mim_target": Factor(
        "what masked image modelling predicts", "card_mim", {"abstract": "abstract", "pixels": "pixels"}
    ),
    "abstract": Factor(
        "masked image modelling of abstract targets", "card_mim", {"none": "no", "pixels": "no", "abstract": "yes"}
    ),
    "supervision": Factor("supervision", "card_supervised_by"),
    "promptable": Factor("promptable segmentation", "card_promptable", {"false": "no", "true": "yes"}),
}
CONFOUNDS = {
    "parameters_m": "parameters (millions)",
    "card_image": "pretraining resolution (pixels)",
    "card_grid": "pretraining grid (patches along a side)",
    "card_images_seen_m": "images seen in pretraining (millions)",
}
"""Column -> what it is called."""


def factors_named(results: Results, names: Sequence[str]) -> tuple[Factor, ...]:
    """Those of `FACTORS`, or any column of the results; all of `FACTORS` if none are named.

    Raises:
        RankingError: there is neither, with the nearest name.
    """
    found = []
    for name in dict.fromkeys(names or FACTORS):
        if name not in FACTORS and name not in results.rows.columns:
            known = (*FACTORS, *results.rows.columns)
            raise RankingError(
                f'"{name[:80]}" is no factor of {results.source}',
                wanted=f"one of {', '.join(FACTORS)}, or a column",
                fix=nearest(name, known),
            )
        found.append(FACTORS.get(name) or Factor(name, name))
    return tuple(found)


def levels_of(factor: Factor, names: Sequence[str], values: Sequence[str | None]) -> dict[str, str]:
    """Encoder -> group, for the encoders of which it is known; empty where they are not of two groups at least."""
    found = {}
    for name, value in zip(names, values, strict=True):
        level = value or "none" if factor.levels is None else factor.levels.get(value or "")
        if value is not None and level is not None:
            found[name] = level
    groups = len(set(found.values()))
    return found if 2 <= groups < len(found) else {}
