"""How records look on a terminal. Piped, the same as plain text. No torch here."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from segrank.console.output import out
from segrank.progress import plain
from segrank.record import Cost, Record
from segrank.spec import RunSpec
from segrank.store import Store


def print_record(record: Record, store: Store) -> None:
    """All that matters of one run, but for its evaluations: see `evaluations`."""
    console, cost = out(), record.cost
    facts = Table.grid(padding=(0, 2))
    fields = record.spec.model_dump(exclude_defaults=True)
    flops = f"{cost.train_flops / 1e9:.3g} GFLOP an image" if cost.train_flops else "not counted"
    rows = {
        "run": record.key,
        "status": f"{record.status}, step {record.step} of {record.spec.steps}",
        "spec": "  ".join(f"{name}={value}" for name, value in fields.items()),
        "weights": record.provenance.weights.source,
        **({"encoder": _card(record.card)} if record.card else {}),
        "training": f"{cost.train_s:.1f} s, {_number(cost.images_per_s)} images/s, micro-batch {cost.micro_batch}",
        "time": _shares(cost),
        "memory": f"{_number(cost.peak_host_gib)} GiB host"
        + (f", {_number(cost.peak_device_gib)} GiB device" if cost.peak_device_gib is not None else ""),
        "parameters": f"{cost.encoder_parameters} encoder, {cost.decoder_parameters} decoder, "
        f"{cost.trained_parameters} trained",
        "forward and backward": flops,
        "made with": f"segrank {record.provenance.segrank}, torch {record.provenance.torch}, "
        f"{record.precision} on {record.provenance.device}, {record.provenance.attempts} attempt(s)",
        "folder": str(store.run_folder(record.key)),
    }
    for name, value in rows.items():
        facts.add_row(f"[bold]{name}", plain(value))
    console.print(facts)
    if record.error:
        console.print(plain(record.error), style="red")


def print_runs(records: Sequence[Record], store: Store, *, ranked: bool = False) -> None:
    """A row for each run, those with a score first, by descending mIoU.

    Args:
        ranked: give places. The caller knows that the runs differ in their encoders only.
    """
    table = Table(box=None if not sys.stdout.isatty() else box.SIMPLE_HEAD)
    if ranked:
        table.add_column("place", justify="right")
    for name in ("encoder", "setting", "scored on"):
        table.add_column(name, overflow="fold")
    for name in ("mIoU %", "train s", "evaluate s"):
        table.add_column(name, justify="right")
    table.add_column("status")
    table.add_column("folder", overflow="fold")
    scored = sorted((r for r in records if r.miou is not None), key=lambda r: -(r.miou or 0))
    for record in (*scored, *(r for r in records if r.miou is None)):
        spec = record.spec
        # a place is one more than the number of strictly better scores: equal scores share it
        place = "" if record.miou is None else str(1 + sum((r.miou or 0) > record.miou for r in scored))
        table.add_row(
            *([place] if ranked else []),
            plain(spec.encoder),
            plain(_setting(spec)),
            plain(f"{spec.eval_dataset or spec.dataset} {spec.eval_split}"),
            "" if record.miou is None else f"{100 * record.miou:.2f}",
            f"{record.cost.train_s + record.cost.data_wait_s:.1f}",
            f"{record.cost.evaluation_s:.1f}",
            record.status if record.status == "ok" else f"{record.status} at step {record.step}",
            str(store.run_folder(record.key)),
        )
    out().print(table)


def print_running(key: str, beat: dict[str, Any]) -> None:
    """A run that somebody is at, as its claim and heartbeat say."""
    steps = f"step {beat['step']} of {beat['steps']}" if "step" in beat else "starting"
    out().print(
        plain(f"{key} is being run by process {beat.get('pid')} on {str(beat.get('machine')).split()[0]}: {steps}")
    )


def _card(card: Mapping[str, Any]) -> str:
    """`MAE base: MIM pixels, supervision none; ImageNet-1k; cc-by-nc-4.0`, as it was known when the run began."""
    signals = ", ".join(card.get("supervised_by") or ["none"])
    data = ", ".join(card.get("data") or ["no published data"])
    what = f"{card.get('family')} {card.get('size')}: MIM {card.get('mim') or 'unknown'}, supervision {signals}"
    return f"{what}; {data}; licence {card.get('licence')}"


def _shares(cost: Cost) -> str:
    """`bounded by the encoder: encoder 61.2 s (70%), data 3.1 s (4%), ...`."""
    parts = sorted(cost.parts().items(), key=lambda part: -part[1])
    total = sum(seconds for _, seconds in parts)
    shares = ", ".join(f"{name} {seconds:.1f} s ({seconds / total:.0%})" for name, seconds in parts if seconds)
    return f"bounded by the {cost.bounded_by}: {shares}" if cost.bounded_by else "none yet"


def _setting(spec: RunSpec) -> str:
    """What tells runs of one store apart at a glance; the folder's record says all."""
    weights = spec.weights if spec.weights in ("pretrained", "random") else Path(spec.weights).name
    parts = [
        _trained_part(spec),
        spec.decoder,
        f"{spec.crop[0]}x{spec.crop[1]}/{spec.patch_size}",
        f"{spec.steps} steps, lr {spec.lr:g}",
        *([f"{spec.train_fraction:.6g} of the images"] if spec.train_fraction != 1 else []),
        *([f"{spec.images_per_class} images per class"] if spec.images_per_class != "all" else []),
        weights,
        f"seed {spec.seed}",
    ]
    return ", ".join(parts)


def _trained_part(spec: RunSpec) -> str:
    if spec.freeze:
        return "frozen"
    if spec.lora_rank:
        return f"LoRA of rank {spec.lora_rank}"
    return "end-to-end" if spec.trained_blocks == "all" else f"last {spec.trained_blocks} blocks"


def _number(value: float | None) -> str:
    return "no" if value is None else f"{value:.2f}"
