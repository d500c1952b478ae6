"""An alarm: runs whose specs differ and whose scores are the same to the last digit. No torch.

An option that nothing reads looks so. `segrank diagnose` compares such runs image by image.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from segrank.spec import EVALUATION_FIELDS, RunSpec
from segrank.study.state import State
from segrank.study.unit import Unit

_SCORED_ON = ("dataset_digest", "split", "precision", "images", "classes", "scores")


def same_scores(units: Sequence[Unit], states: Sequence[State]) -> list[str]:
    """A sentence for each group of different runs that have equal scores, class by class, on the same images."""
    groups: dict[str, dict[str, tuple[Unit, State]]] = defaultdict(dict)
    for unit, state in zip(units, states, strict=True):
        if state.scores is not None:
            groups[json.dumps([state.scores.get(name) for name in _SCORED_ON])][unit.key] = unit, state
    return [_sentence(list(group.values())) for group in groups.values() if len(group) > 1]


def _sentence(group: list[tuple[Unit, State]]) -> str:
    units = [unit for unit, _ in group]
    fields = [name for name in RunSpec.model_fields if name not in EVALUATION_FIELDS]
    differing = [name for name in fields if len({str(getattr(unit.spec, name)) for unit in units}) > 1]
    keys = ", ".join(unit.key for unit in units[:4]) + (" and more" if len(units) > 4 else "")
    iou = ((group[0][1].scores or {}).get("scores") or {}).get("iou") or ()
    one = "; they find one class only, which differing networks may" if sum(bool(value) for value in iou) == 1 else ""
    fields_said = ", ".join(differing) or "no field"
    return f"runs {keys} differ in {fields_said} and have the same scores: does that reach them?{one}"
