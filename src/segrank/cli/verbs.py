"""The command line: each verb parses and calls one public function."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from segrank.cli.agree import agree
from segrank.cli.compare import compare
from segrank.cli.diagnose import diagnose
from segrank.cli.effects import effects
from segrank.cli.encoders import encoders_app
from segrank.cli.export_model import export_model
from segrank.cli.mirror import mirror
from segrank.cli.place import place
from segrank.cli.plan import plan
from segrank.cli.pretrain import pretrain
from segrank.cli.rank import rank
from segrank.cli.recommend import recommend
from segrank.cli.report import report
from segrank.cli.run_options import (
    CheckpointOption,
    DeviceOption,
    DevicesOption,
    KeepWeightsOption,
    MicroBatchOption,
    RootOption,
    RunArgument,
    SetOption,
    StoreOption,
    WorkersOption,
    find_run,
)
from segrank.cli.stores import export, gc, import_, merge
from segrank.cli.studies import studies
from segrank.cli.study import status, study, work
from segrank.console import evaluations, output
from segrank.console.data import print_dataset_report, print_kept
from segrank.console.runs import print_record, print_running, print_runs
from segrank.errors import SegrankError
from segrank.progress import ConsoleReporter, plain
from segrank.record import Record
from segrank.robustness import robustness
from segrank.store import DEFAULT_STORE, Store

app = typer.Typer(
    name="segrank",
    help="Rank vision foundation models for semantic segmentation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(encoders_app, name="encoders")


@app.command()
def run(
    file: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="A spec: `field: value` lines.")] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="`timm:NAME?k=v`, `hf:NAME`, `small:NAME`, `file:model.py:build`, `python:package.module:build`."
        ),
    ] = "",
    weights: Annotated[str, typer.Option(help="`pretrained` (default), `random`, a file, or a folder of them.")] = "",
    dataset: Annotated[str, typer.Option(help="A name, as `segrank datasets` lists them, or a YAML file.")] = "",
    assignments: SetOption = [],  # noqa: B006
    store: StoreOption = Path(DEFAULT_STORE),
    root: RootOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    workers: WorkersOption = None,
    micro_batch: MicroBatchOption = None,
    checkpoint_every: CheckpointOption = 300,
    keep_weights: KeepWeightsOption = True,
) -> None:
    """Fine-tune one encoder on one dataset and score it.

    The same command goes on with a run that was stopped, and finds one that is done.

    Example:
    `segrank run --encoder timm:vit_base_patch16_224.mae --dataset voc2012 --root /data --set steps=20000`

    Fields for `--set`, with their defaults, are listed by `segrank fields`.
    """
    from segrank.spec import RunSpec, parse_overrides, read_spec

    given = {"encoder": encoder, "weights": weights, "dataset": dataset}
    named: dict[str, Any] = {key: value for key, value in given.items() if value}
    if file:
        spec = read_spec(file, {**named, **parse_overrides(assignments)})
    else:
        missing = [f"--{key}" for key in ("encoder", "dataset") if key not in named]
        if missing and not assignments:
            raise typer.BadParameter(f"give a SPEC.yaml, or {' and '.join(missing)}")
        spec = RunSpec(**{**named, **parse_overrides(assignments)})

    from segrank.runner import run as run_spec

    with ConsoleReporter() as reporter:
        record = run_spec(
            spec,
            store=store,
            root=root,
            device=device,
            devices=devices,
            workers=workers,
            micro_batch=micro_batch,
            checkpoint_every_s=checkpoint_every,
            keep_weights=keep_weights,
            reporter=reporter,
        )
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # a process that DDP has started: the first one speaks for all
    _print_record(record, Store(store))
    if record.status == "interrupted":
        raise typer.Exit(130)


@app.command()
def fields() -> None:
    """List the fields of a spec: name, default, meaning."""
    from segrank.spec import field_table

    table = Table("field", "default", "meaning", box=None)
    for name, default, meaning in field_table():
        table.add_row(name, default, meaning)
    output.out().print(table)


@app.command()
def evaluate(
    key: RunArgument,
    dataset: Annotated[str, typer.Option(help="Another dataset with the same classes.")] = "",
    split: Annotated[str, typer.Option(help="Another split.")] = "",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16; by default as the run's spec scores.")] = "",
    also: Annotated[
        str, typer.Option(metavar="A,B", help="Some of `boundary`, `calibration`, `corruptions`: see above.")
    ] = "",
    kinds: Annotated[
        str, typer.Option("--corruptions", metavar="A,B", help="Which, with `--also corruptions`; by default all 8.")
    ] = "",
    severities: Annotated[
        str, typer.Option(metavar="N,N", help="Of corruptions, 1 (mild) to 5 (severe); by default 1,3,5.")
    ] = "",
    store: StoreOption = Path(DEFAULT_STORE),
    root: RootOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Score a finished run again: on another split or dataset, in another precision, or for further figures.

    Mean accuracy, frequency-weighted IoU and per-image mIoU come with every evaluation. `--also` asks for more:

    - `boundary`: Boundary IoU, of pixels near contours only.

    - `calibration`: the expected calibration error, how far confidence is from being right.

    - `corruptions`: mIoU on images with noise, blur, other light and compression. An evaluation for each kind and
    severity, 24 unless fewer are asked for; after a stop the same command goes on with those that are missing.

    Example: `segrank evaluate 3f2a --also boundary,corruptions --corruptions jpeg,motion_blur --severities 3`

    What is there already is not computed again. docs/metrics.md has formulas and sources.
    """
    results = Store(store)
    record = find_run(results, key)
    from segrank.rescore import evaluate_corrupted, evaluate_run

    if precision not in ("", "fp32", "bf16", "fp16"):
        raise typer.BadParameter(f"{precision!r} is not fp32, bf16 or fp16")
    further = set(_listed(also))
    corrupted: dict[str, Any] = {"kinds": _listed(kinds), "severities": [_whole(part) for part in _listed(severities)]}
    corrupted = {name: values for name, values in corrupted.items() if values}
    if corrupted and "corruptions" not in further:
        raise typer.BadParameter("--corruptions and --severities go with --also corruptions")
    with ConsoleReporter() as reporter:
        way: dict[str, Any] = {
            "dataset": dataset,
            "split": split,
            "precision": precision or None,
            "root": root,
            "device": device,
            "reporter": reporter,
        }
        evaluation = evaluate_run(results, record, also=further - {"corruptions"}, **way)
        spoilt = evaluate_corrupted(results, record, **corrupted, **way) if "corruptions" in further else []
    evaluations.print_evaluation(evaluation, results)
    for found in robustness([evaluation, *spoilt]):
        evaluations.print_robustness(found)


@app.command()
def predict(
    key: RunArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Where masks and overlays go.")],
    store: StoreOption = Path(DEFAULT_STORE),
    device: DeviceOption = "auto",
) -> None:
    """Segment images with a finished run: index masks (NAME.png) and overlays (NAME.overlay.png)."""
    results = Store(store)
    record = find_run(results, key)
    from segrank.rescore import predict_images

    with ConsoleReporter() as reporter:
        written = predict_images(results, record, images, out, device=device, reporter=reporter)
    output.out().print(f"{len(written)} masks and overlays in {out}")


@app.command()
def show(
    key: Annotated[str, typer.Argument(metavar="RUN", help="The beginning of a run's key; without, all runs.")] = "",
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Show one run, or list all runs of a store."""
    results = Store(store)
    if key:
        _print_record(find_run(results, key), results)
        return
    records = list(results.scan(lambda error: Console(stderr=True).print(plain(str(error)))))
    running = {key: beat for key in results.run_keys() if (beat := results.running(key))}
    if not records and not running:
        output.out().print(f"there are no runs in {store}")
    if records:
        print_runs(records, results)
    for key, beat in running.items():
        print_running(key, beat)


@app.command()
def demo(store: StoreOption = Path("demo-store"), device: DeviceOption = "auto") -> None:
    """Rank seven small encoders on generated scenes, and write the report: about 5 minutes on 2 CPU cores.

    They come with segrank: six pretraining objectives on one architecture, and none. It is `segrank study demo`, then
    `segrank rank`, `segrank agree` and `segrank report`. Stop it with Ctrl-C, and the same command goes on.
    """
    from segrank.cli.demo import run_demo

    run_demo(store, device)


@app.command()
def datasets(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of them, in full; without, all.")] = "",
    root: RootOption = None,
) -> None:
    """List the datasets that go by a name: what they are, and what of them is here or missing."""
    from segrank.console.datasets import print_dataset, print_datasets

    if name:
        print_dataset(name, root)
    else:
        print_datasets(root)


@data_app.command()
def check(
    dataset: Annotated[str, typer.Argument(help="A name, as `segrank datasets` lists them, or a YAML file.")],
    root: RootOption = None,
    images: Annotated[int | None, typer.Option(min=1, help="Look at so many images of each split only.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of images with their masks.")] = None,
) -> None:
    """Say what a dataset holds and what is wrong with it: counts, classes, sizes, ids, doubles.

    Exits with 1 if there are problems.
    """
    from segrank.data.check import check_dataset

    with ConsoleReporter() as reporter:
        report = check_dataset(
            dataset,
            root=root,
            images_per_split=images,
            contact_sheet=sheet,
            on_image=lambda split, done, total: reporter.advance(f"check {split}", done, total),
        )
    print_dataset_report(report)
    if not report.ok:
        raise typer.Exit(1)


@data_app.command()
def cache(
    dataset: Annotated[str, typer.Argument(help="A name, as `segrank datasets` lists them, or a YAML file.")],
    split: Annotated[str, typer.Option(help="Which images.")] = "train",
    root: RootOption = None,
) -> None:
    """Decode PNG images once and keep them, so that training samples of large ones come about twice as fast.

    They are kept in `$SEGRANK_CACHE/images` (by default ~/.cache/segrank/images), are found there by every run, change
    no result, and may be deleted at any time. Cityscapes' 2,975 take 18.7 GB. Other images are left as they are.
    """
    from segrank.data.keep_images import keep_images

    with ConsoleReporter() as reporter:
        kept = keep_images(
            dataset, split, root=root, on_image=lambda done, total: reporter.advance(f"decode {split}", done, total)
        )
    print_kept(kept)


app.command()(plan)
app.command()(study)
app.command()(status)
app.command(hidden=True)(work)
for verb in (rank, compare, place, agree, recommend, effects, diagnose, report, pretrain, studies, merge, export, gc):
    app.command()(verb)
app.command("import")(import_)
app.command()(export_model)
app.command()(mirror)


def main() -> None:
    """The entry point: our own errors are told without a traceback, and end with 1."""
    try:
        app()
    except SegrankError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            sys.exit(1)  # the first process of several says it
        text = "\n".join([f"error: {error}", *getattr(error, "__notes__", [])])
        Console(stderr=True, soft_wrap=True).print(plain(text), highlight=False)
        sys.exit(1)
    except OSError as error:
        Console(stderr=True, soft_wrap=True).print(plain(f"error: {error}"), highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_record(record: Record, store: Store) -> None:
    print_record(record, store)
    evaluations.print_evaluations(record, store)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is not a whole number")
    return int(text)
