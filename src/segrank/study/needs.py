"""What a study reads and this machine lacks. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Container, Sequence

from segrank.cards import card_of
from segrank.encoders.whereabouts import Whereabouts, whereabouts
from segrank.pretrain.spec import PretrainSpec
from segrank.study.images import Datasets
from segrank.study.planned import Need, PlannedRun


def needs_of(runs: Sequence[PlannedRun], datasets: Datasets, pretrained: Container[str]) -> list[Need]:
    """Datasets and weights that are not here, then whatever else keeps a run from being started. Weights of encoders
    that are `pretrained` by the study are no need of it."""
    wanting: dict[tuple[str, str], list[PlannedRun]] = {}
    on_hub: dict[str, list[PlannedRun]] = {}
    looked: dict[tuple[str, str], Whereabouts] = {}
    for run in runs:
        if run.status == "done":
            continue
        spec, explained = run.spec, False
        if isinstance(spec, PretrainSpec):
            if run.status == "missing":
                why = datasets.look(spec.dataset, spec.split).missing or run.reason
                wanting.setdefault((f"dataset {spec.dataset}", why), []).append(run)
            continue
        of_data = {spec.dataset: spec.train_split, spec.eval_dataset or spec.dataset: spec.eval_split}
        for dataset, split in of_data.items():
            if why := datasets.look(dataset, split).missing:
                wanting.setdefault((f"dataset {dataset}", why), []).append(run)
                explained = True
        if run.encoder in pretrained:
            continue
        pair = spec.encoder, spec.weights
        at = looked[pair] = looked.get(pair) or whereabouts(*pair)
        if at.status == "missing" and at.on_hub:
            on_hub.setdefault(spec.encoder, []).append(run)
        elif at.status == "missing":
            wanting.setdefault((f"weights of {spec.encoder}", f"{at.found}. {at.advice}"), []).append(run)
            explained = True
        elif at.status == "unknown":
            wanting.setdefault((f"perhaps weights of {spec.encoder}", f"{at.found}: {at.advice}"), []).append(run)
        if run.status == "missing" and not explained:
            wanting.setdefault((f"what {run.encoder} under {run.settings[0]} reads", run.reason), []).append(run)
    needs = [Need(what, "; ".join(why.splitlines()), len(of)) for (what, why), of in wanting.items()]
    if on_hub:
        names = [card.name if (card := card_of(encoder)) else encoder for encoder in on_hub]
        several = f"weights of {len(names)} encoders" if len(names) > 1 else f"weights of {names[0]}"
        fetch = f"`segrank encoders fetch {' '.join(map(shlex.quote, names))}` where there is a network"
        why = f"on the hub, and not on this machine; a run downloads its own. For machines without network: {fetch}"
        needs.append(Need(several, why, sum(map(len, on_hub.values()))))
    return needs
