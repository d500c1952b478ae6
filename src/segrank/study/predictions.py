"""What was predicted for runs, kept in STORE/predictions/STUDY.json, and how far off it was. No torch."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from segrank.errors import StoreError
from segrank.files import write_whole
from segrank.store import Store
from segrank.study.observations import took_s
from segrank.study.predict import Prediction

_SCHEMA = 1


class Accuracy(NamedTuple):
    """Of past predictions that rested on the same: what runs took, over what was predicted."""

    basis: str
    runs: int
    median: float
    least: float
    largest: float


def save_predictions(store: Store, study: str, place: str, predicted: Mapping[str, tuple[Prediction, bool]]) -> None:
    """Keep what is predicted now. Of a run that was begun before, the earlier prediction stands.

    Args:
        store: the results folder.
        study: its name.
        place: for which it was predicted: see `observations.place_of`.
        predicted: key of a run -> its prediction, and whether it was begun.

    Raises:
        StoreError: the folder cannot be written.
    """
    path = store.folder / "predictions" / f"{study}.json"
    before = _runs(store, study)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    runs = dict(before)
    for key, (prediction, begun) in predicted.items():
        if prediction.counted_s is not None and not (begun and key in before):
            runs[key] = {
                "counted_s": prediction.counted_s,
                "spread": prediction.spread,
                "basis": prediction.basis,
                "place": place,
                "made": made,
            }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"schema": _SCHEMA, "runs": runs}, indent=1) + "\n")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}", fix="free space, or look at permissions") from error


def past_ratios(store: Store, place: str) -> dict[str, list[float]]:
    """By what a prediction rested on: what runs took over what was predicted, of those that are done."""
    ratios: dict[str, list[float]] = {}
    for path in sorted((store.folder / "predictions").glob("*.json")):
        for key, saved in _runs(store, path.stem).items():
            predicted = saved.get("counted_s")
            if saved.get("place") != place or not isinstance(predicted, int | float) or not predicted > 0:
                continue
            took = took_s(store.run_folder(key))
            if took:
                ratios.setdefault(str(saved.get("basis")), []).append(took / predicted)
    return ratios


def accuracies(ratios: Mapping[str, Iterable[float]]) -> list[Accuracy]:
    """For people: median and range, the most frequent first."""
    found = []
    for basis, values in ratios.items():
        ordered = sorted(values)
        middle = math.sqrt(ordered[(len(ordered) - 1) // 2] * ordered[len(ordered) // 2])
        found.append(Accuracy(basis, len(ordered), middle, ordered[0], ordered[-1]))
    return sorted(found, key=lambda one: -one.runs)


def _runs(store: Store, study: str) -> dict[str, dict[str, Any]]:
    """What was saved; nothing of what is damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads((store.folder / "predictions" / f"{study}.json").read_bytes())
        if isinstance(content, dict) and content.get("schema") == _SCHEMA and isinstance(content.get("runs"), dict):
            return {key: saved for key, saved in content["runs"].items() if isinstance(saved, dict)}
    return {}
