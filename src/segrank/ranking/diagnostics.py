"""Diagnostics of a study, in words: what its runs say against its ranking, or its protocol. No torch.

They look for what arXiv 2404.12172 found to go wrong, and for what silently goes wrong in such studies. Each says what
was seen, what that means and what to do; that something `cannot be told` where noise could hide it; and nothing where
there are no data for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cells import MIOU
from segrank.ranking.comparable import comparable
from segrank.ranking.convergence import convergence, last_quarter
from segrank.ranking.finding import Finding, listed
from segrank.ranking.floor import floor, without_floors
from segrank.ranking.leaderboard import Options
from segrank.ranking.order_diagnostics import order_diagnostics
from segrank.ranking.patch_ceiling import patch_ceiling
from segrank.ranking.results import Metric, Results
from segrank.ranking.same_results import same_results
from segrank.ranking.settings import Setting, settings_or_one

LabelMaps = Callable[[str, str, str], Iterable[NDArray[np.uint8]]]
"""Dataset, as a spec names it, split, and the digest that this had when it was scored -> label maps of some of its
images, evenly spread."""
BINDS = 0.9
"""Of the ceiling: an encoder that reaches so much of it is said to be bound by it. Ours, not from a source."""
CEILING = "the patch grid's ceiling binds"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found."""

    source: str
    metric: Metric
    options: Options
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    """What was seen first, then what cannot be told, then what was looked for in vain."""
    notes: tuple[str, ...]


def diagnose(
    results: Results,
    *,
    metric: str = "",
    where: Sequence[str] = (),
    labels: LabelMaps | None = None,
    options: Options | None = None,
) -> Diagnosis:
    """Look for what speaks against a ranking, over all settings of the results.

    Args:
        results: from `results_of` or `read_results_file`.
        metric: of the scores.
        where: conditions on the rows.
        labels: reads label maps, for the ceiling of patch grids; without, nothing is said of it.
        options: how uncertainty is estimated.

    Raises:
        RankingError: there are no scores, too many settings, or two scores of an encoder for a seed.
    """
    options = options or Options()
    by = results.metric(metric)
    # naming every field keeps evaluations on other splits and on spoilt images, which a ranking leaves out
    several = len(comparable(results, by, where=where, across=results.protocol)[0]) > 1
    across = results.protocol if several else ()
    settings, notes = settings_or_one(results, metric=by.name, where=where, across=across, options=options)
    rivals = [rival for setting in settings if (rival := without_floors(setting))]
    gains = last_quarter(results, rivals) if by.name == MIOU else {}
    found = [
        same_results(results),
        *order_diagnostics(rivals, gains, options),
        convergence(rivals, gains),
        floor(settings, options),
        *(_ceilings(rivals, labels) if labels and by.name == MIOU else ()),
    ]
    order = ("seen", "cannot be told", "not seen")
    findings = sorted((one for one in found if one), key=lambda one: order.index(one.verdict))
    return Diagnosis(results.source, by, options, settings, tuple(findings), notes)


def _ceilings(settings: Sequence[Setting], labels: LabelMaps) -> list[Finding]:
    """One for all grids that the settings score on."""
    binding: list[str] = []
    free: list[str] = []
    runs: list[str] = []
    known: dict[tuple[str, ...], float] = {}
    for setting in settings:
        row = setting.rows.row(0, named=True)
        grid = tuple(str(row[name]) for name in ("eval_dataset", "eval_split", "eval_digest", "crop", "patch_size"))
        dataset, split, digest, crop, patch = grid
        if grid not in known:
            height, _, width = crop.partition("x")
            maps = labels(dataset, split, digest)
            known[grid] = patch_ceiling(maps, json.loads(row["classes"]), (int(height), int(width)), int(patch)).miou
        best = int(setting.merit.argmax())
        score = float(setting.of.value[best])
        text = (
            f"{setting.name or dataset}: {setting.of.encoders[best]} has {100 * score:.2f}, one label for each patch "
            f"would have {100 * known[grid]:.2f}"
        )
        (binding if score >= BINDS * known[grid] else free).append(text)
        runs += setting.cell.runs[best]
    if binding:
        means = f"the best encoder is at {BINDS:.0%} of that or above: the grid, and not the encoder, may limit it"
        do = "smaller patches or a larger crop, before encoders are compared at the top"
        return [Finding(CEILING, "seen", listed(binding, 4, "; "), means, do, tuple(dict.fromkeys(runs)))]
    means = "there is room above the best encoder"
    return [Finding(CEILING, "not seen", listed(free, 4, "; "), means, "", tuple(dict.fromkeys(runs)))]


def as_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """All that is known, for JSON. Every finding names the runs behind it."""
    return {
        "source": diagnosis.source,
        "metric": asdict(diagnosis.metric),
        "options": asdict(diagnosis.options),
        "settings": [
            {"name": one.name, "values": dict(one.values), "covers": one.of.covers, "not_covered": one.of.note}
            for one in diagnosis.settings
        ],
        "findings": [asdict(one) for one in diagnosis.findings],
        "notes": diagnosis.notes,
    }
