"""How a plan looks: a row for each setting or run, what is missing, and what it comes to. No torch here."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import polars as pl

from segrank.console.output import out
from segrank.console.tables import print_table
from segrank.pretrain.spec import PretrainSpec
from segrank.progress import plain
from segrank.report.sheets.written import csv_text
from segrank.study.planned import PlannedRun, StudyPlan, Total

_TEXT = {"setting", "encoder", "status", "rests on"}
_MOST_ENCODERS = 4
"""Of those that need something alike, named in a line."""


def print_plan(plan: StudyPlan, form: str, *, each_run: bool) -> None:
    """Args: form: `table`, `csv` or `json`; each_run: a row for each run instead of each setting."""
    {"table": _print_table, "csv": _print_csv, "json": _print_json}[form](plan, each_run)


def _print_table(plan: StudyPlan, each_run: bool) -> None:
    console = out()

    def say(text: str, style: str = "") -> None:
        console.print(plain(text), style=style, soft_wrap=True)

    say(headline(plan), "bold")
    headings, rows = _of_runs(plan) if each_run else _of_settings(plan)
    print_table(headings, rows, _TEXT)
    for line in (*_totals(plan), *_accuracy(plan)):
        say(line)
    if plan.needs:
        say("Missing:", "bold")
    for need in plan.needs:
        runs = "1 run" if need.runs == 1 else f"{need.runs} runs"
        say(f"  {need.what} ({runs}): {need.why}")
    for line in advice(plan):
        say(line)


def headline(plan: StudyPlan) -> str:
    """`paper: 80 runs on cpu of host: 3 done, 77 waiting`."""
    counted = Counter(run.status for run in plan.runs)
    standing = ", ".join(f"{number} {status}" for status, number in counted.most_common())
    first = sum(isinstance(run.spec, PretrainSpec) for run in plan.runs)
    pretrainings = f"{first} pretraining{'s' * (first != 1)} and " * (first > 0)
    runs = len(plan.runs) - first
    return f"{plan.name}: {pretrainings}{runs} run{'s' * (runs != 1)} on {plan.place}: {standing or 'none'}"


def _of_settings(plan: StudyPlan) -> tuple[list[str], list[list[str]]]:
    groups: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        groups.setdefault(", ".join(run.settings), []).append(run)
    headings = ["setting", "runs", "done", "time each", "left", "memory GiB", "disk GiB", "PFLOP each", "rests on"]
    rows = []
    for setting, runs in groups.items():
        todo, total = [run for run in runs if run.status != "done"], plan.total(runs)
        worst = max(todo, key=lambda run: run.prediction.spread, default=None)
        rows.append(
            [
                setting,
                str(len(runs)),
                str(len(runs) - len(todo)),
                _spanned([run.prediction.seconds for run in runs], duration),
                _left(total),
                _spanned([_memory(run) for run in runs], _gib),
                _gib(total.kept_gib) if todo else "",
                _spanned([run.prediction.flops and run.prediction.flops / 1e15 for run in runs], "{:.3g}".format),
                worst.prediction.rests_on if worst else "all done",
            ]
        )
    return headings, rows


def _of_runs(plan: StudyPlan) -> tuple[list[str], list[list[str]]]:
    headings = ["encoder", "setting", "seed", "status", "time", "range", "memory GiB", "disk GiB", "rests on"]
    rows = []
    for run in plan.runs:
        prediction = run.prediction
        status = run.status if not run.step or run.status == "done" else f"{run.status} at step {run.step}"
        done = run.status == "done"
        rows.append(
            [
                run.encoder,
                ", ".join(run.settings),
                str(run.spec.seed),
                status,
                _known(run.took_s if done else prediction.seconds, duration),
                "" if done or not prediction.range_s else " to ".join(map(duration, prediction.range_s)),
                _known(_memory(run), _gib),
                _known(prediction.kept_gib, _gib),
                "took so long" if done else prediction.rests_on,
            ]
        )
    return headings, rows


def _totals(plan: StudyPlan) -> list[str]:
    total = plan.total()
    if not total.runs:
        took = sum(run.took_s or 0 for run in plan.runs)
        return [f"All runs are done. They took {duration(took)}."]
    lines = []
    if total.runs > total.unknown:
        time = f"{duration(total.seconds)} (between {duration(total.low_s)} and {duration(total.high_s)})"
        where = "one run after another" if plan.device == "cpu" or plan.slots == 1 else "of GPU time"
        at_once = f", {duration(total.wall_s)} on {plan.slots} GPUs" if plan.device != "cpu" and plan.slots > 1 else ""
        lines.append(f"Left: {time} {where}{at_once}.")
    if total.unknown:
        lines.append(f"No time is known for {total.unknown} of {total.runs} runs.")
    needed = []
    if total.device_gib:
        needed.append(f"up to {_gib(total.device_gib)} GiB on a GPU")
    if total.host_gib:
        needed.append(f"up to {_gib(total.host_gib * (plan.slots if plan.device == 'cpu' else 1))} GiB of memory")
    free = f", of {_gib(plan.free_gib)} that are free" if plan.free_gib is not None else ""
    needed.append(f"up to {_gib(total.disk_gib)} GiB of disk{free}; {_gib(total.kept_gib)} GiB stay")
    compute = f"{total.flops / 1e15:,.3g} PFLOP; " if total.flops else ""
    return [*lines, f"{compute}{', '.join(needed)}."]


def _accuracy(plan: StudyPlan) -> list[str]:
    lines = []
    for one in plan.accuracy:
        runs = "1 run" if one.runs == 1 else f"{one.runs} runs"
        spread = "" if one.runs == 1 else f" (from {one.least:.2f} to {one.largest:.2f})"
        lines.append(f"Past predictions from {one.basis}: {runs} took {one.median:.2f} times as long{spread}.")
    return lines


def advice(plan: StudyPlan) -> list[str]:
    """What to do next."""
    total = plan.total()
    lines = []
    if plan.absent:
        pairs = ", ".join(f"{encoder} under {setting}" for encoder, setting in plan.absent[:_MOST_ENCODERS])
        more = f" and {len(plan.absent) - _MOST_ENCODERS} more" if len(plan.absent) > _MOST_ENCODERS else ""
        lines.append(f"No such variant, so not run: {pairs}{more}.")
    if plan.uncalibrated and plan.device == "cuda" and plan.place == "a GPU":
        lines.append("There is no GPU here: run this where there is one, with --calibrate, to know times.")
    elif plan.uncalibrated:
        kinds = "1 kind of run" if plan.uncalibrated == 1 else f"{plan.uncalibrated} kinds of run"
        lines.append(f"{kinds} could be measured here in a minute or so each: --calibrate")
    if plan.free_gib is not None and total.disk_gib > plan.free_gib:
        lines.append("The disk is too small: --no-keep-weights keeps scores and counts alone, or use another --store.")
    return lines


def _print_csv(plan: StudyPlan, each_run: bool) -> None:
    print(csv_text(pl.DataFrame([_flat(run) for run in plan.runs], infer_schema_length=None)), end="")


def _print_json(plan: StudyPlan, each_run: bool) -> None:
    data = {
        "study": plan.name,
        "answer": headline(plan),
        "device": plan.device,
        "place": plan.place,
        "at_once": plan.slots,
        "total": plan.total()._asdict(),
        "missing": [need._asdict() for need in plan.needs],
        "past_predictions": [one._asdict() for one in plan.accuracy],
        "absent": [{"encoder": encoder, "setting": setting} for encoder, setting in plan.absent],
        "advice": advice(plan),
        "runs": [_flat(run) for run in plan.runs],
    }
    print(json.dumps(data, indent=1, allow_nan=False))


def _flat(run: PlannedRun) -> dict[str, Any]:
    prediction = run.prediction
    low, high = prediction.range_s or (None, None)
    return {
        "key": run.key,
        "encoder": run.encoder,
        "setting": ", ".join(run.settings),
        "seed": run.spec.seed,
        "dataset": run.spec.dataset,
        "status": run.status,
        "step": run.step,
        "took_s": run.took_s,
        "predicted_s": prediction.seconds,
        "low_s": low,
        "high_s": high,
        "train_s": prediction.train_s,
        "data_s": prediction.data_s,
        "evaluation_s": prediction.evaluation_s,
        "rest_s": prediction.rest_s,
        "rests_on": prediction.rests_on,
        "spread": prediction.spread if math.isfinite(prediction.spread) else None,
        "flops": prediction.flops,
        "host_gib": prediction.host_gib,
        "device_gib": prediction.device_gib,
        "disk_gib": prediction.disk_gib,
        "kept_gib": prediction.kept_gib,
        "reason": run.reason,
    }


def duration(seconds: float) -> str:
    """`43 s`, `12 min`, `3.4 h`, `2.1 days`."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            number = seconds / length
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{seconds / 86_400:,.1f} days"


def _left(total: Total) -> str:
    if not total.runs:
        return ""
    if total.unknown == total.runs:
        return "unknown"
    return duration(total.seconds) + (f" + {total.unknown} unknown" if total.unknown else "")


def _memory(run: PlannedRun) -> float | None:
    return run.prediction.device_gib or run.prediction.host_gib


def _gib(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _known(value: float | None, show: Callable[[float], str]) -> str:
    return "unknown" if value is None else show(value)


def _spanned(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    """The middle one, with the range where encoders differ by more than a tenth."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return "unknown"
    if known[-1] <= 1.1 * known[0]:
        return show(median(known))
    return f"{show(known[0])} to {show(known[-1])}"
