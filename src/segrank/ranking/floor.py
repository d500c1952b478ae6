"""Encoders beside their own random weights: what pretraining has brought. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segrank.ranking.cell import Cell
from segrank.ranking.difference import difference
from segrank.ranking.finding import Finding, listed
from segrank.ranking.intervals import only
from segrank.ranking.leaderboard import Options
from segrank.ranking.ranks import holm
from segrank.ranking.settings import Setting

RANDOM = "random"


def floor(settings: Sequence[Setting], options: Options) -> Finding | None:
    """Encoders that are not above the same architecture with random weights; none where no setting has both.

    Paired differences, Holm over all of them.
    """
    seen = [
        (setting, trained, difference(setting.of, trained, untrained, level=options.level), untrained)
        for setting in settings
        for trained, untrained in _pairs(setting)
    ]
    if not seen:
        return None
    up = 1 if settings[0].of.higher_is_better else -1
    known = [index for index, (_, _, found, _) in enumerate(seen) if found.p_value is not None]
    p = dict(zip(known, holm(np.array([seen[index][2].p_value for index in known], float)).tolist(), strict=True))
    below: list[str] = []
    unclear: list[str] = []
    for index, (setting, trained, found, _) in enumerate(seen):
        scale = 100 if setting.metric.share else 1
        ends = found.interval
        interval = f" ({scale * ends.low:+.2f} to {scale * ends.high:+.2f})" if ends else ""
        where = f" under {setting.name}" if setting.name else ""
        text = f"{setting.of.encoders[trained]}{where}: {scale * found.value:+.2f}{interval} against random weights"
        told = p.get(index, 1.0) <= 1 - options.level
        if told and up * found.value < 0:
            below.append(text)
        elif not told:
            unclear.append(text)
    runs = tuple(
        dict.fromkeys(
            run
            for setting, trained, _, untrained in seen
            for run in (*setting.cell.runs[trained], *setting.cell.runs[untrained])
        )
    )
    name = "an encoder below its random floor"
    also = [f"not told from its floor: {listed(unclear, 4, '; ')}"] if unclear else []
    if below:
        return Finding(
            name,
            "seen",
            "; ".join([listed(below, 4, "; "), *also]),
            "trained from its pretrained weights it is worse than from none: they may be loaded wrongly, or not train",
            "segrank encoders check; then look at the learning rate and the input normalisation",
            runs,
        )
    if unclear:
        return Finding(
            name,
            "cannot be told",
            "; ".join(also),
            "what their pretraining brought is not more than noise here, or nothing is known of the noise",
            "more seeds or images would tell",
            runs,
        )
    return Finding(
        name, "not seen", f"all {len(seen)} pairs are told apart", "each is above its random weights", "", runs
    )


def without_floors(setting: Setting) -> Setting | None:
    """The setting without the random weights of encoders that it has pretrained as well: they are no rivals, and always
    to be last would let any two orders agree. None if there is nothing else.
    """
    floors = {untrained for _, untrained in _pairs(setting)}
    kept = [at for at in range(len(setting.of.encoders)) if at not in floors]
    if not kept:
        return None
    names = tuple(setting.of.encoders[at] for at in kept)
    cell = Cell(
        encoders=names,
        seeds=tuple(setting.cell.seeds[at] for at in kept),
        runs=tuple(setting.cell.runs[at] for at in kept),
        scores=tuple(setting.cell.scores[at] for at in kept),
        higher_is_better=setting.cell.higher_is_better,
    )
    rows = setting.rows.filter(setting.rows["label"].is_in(names))
    return replace(setting, rows=rows, cell=cell, of=only(setting.of, names))


def _pairs(setting: Setting) -> list[tuple[int, int]]:
    """Places of an encoder and of the same architecture with random weights."""
    if not {"encoder", "weights"} <= set(setting.rows.columns):
        return []
    known = setting.rows.select("label", "encoder", "weights").drop_nulls().unique(maintain_order=True).rows()
    random = {_architecture(encoder): label for label, encoder, weights in known if weights == RANDOM}
    place = setting.of.encoders.index
    return [
        (place(label), place(random[_architecture(encoder)]))
        for label, encoder, weights in sorted(known)
        if weights != RANDOM and _architecture(encoder) in random
    ]


def _architecture(encoder: str) -> str:
    """timm's name without the tag that says which weights; other references as they are."""
    return encoder.partition(".")[0] if encoder.startswith("timm:") and "?" not in encoder else encoder
