"""`segrank merge`, `export`, `import` and `gc`: results folders as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.results_options import WhereOption
from segrank.errors import StoreError
from segrank.progress import ConsoleReporter
from segrank.store import DEFAULT_STORE, Store

_StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="A results folder.")]
_StoreOption = Annotated[Path, typer.Option("--store", envvar="SEGRANK_STORE", help="The results folder.")]


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Results folders; they are only read.")],
    into: Annotated[Path, typer.Option(help="Where all of it goes: a results folder, or one to be.")],
    weights: Annotated[bool, typer.Option(help="Bring trained weights as well.")] = True,
    refuse_differing: Annotated[
        bool, typer.Option("--refuse-differing", help="Bring nothing if two runs of one key are not the same.")
    ] = False,
) -> None:
    """Bring the finished runs of several results folders into one.

    A run that is there already gets the evaluations and files that it lacks. Of two runs of one key that are not the
    same, the first stays, and both are told. Every file is checked by its sha256. After a kill the same command goes
    on, and no run is ever half there.

    Example: `segrank merge /a/segrank-store /b/segrank-store --into segrank-store`

    Exits with 1 if a run was left out, for damage or since somebody is at it.
    """
    from segrank.console.stores import print_merged
    from segrank.stores.merge import merge_stores

    with ConsoleReporter() as reporter:
        merged = merge_stores(
            sources, into, weights=weights, refuse_differing=refuse_differing, reporter=reporter
        )  # fmt: skip
    print_merged(merged, into)
    if merged.left_out:
        raise typer.Exit(1)


def export(
    store: _StoreArgument,
    out: Annotated[Path, typer.Argument(metavar="PACK.zip", help="A new file.")],
    where: WhereOption = [],  # noqa: B006
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Those that evaluations kept of a few images, to look at.")
    ] = False,
) -> None:
    """Put finished runs into one file that others can rank against: records, evaluations and their counts.

    Weights and step logs stay here. Records name the machine that a run was made on, and the paths of its files.

    Example: `segrank export segrank-store ade20k.zip --where dataset=ade20k`
    """
    from segrank.console.stores import print_exported
    from segrank.stores.export_pack import export_pack

    results, keys = _opened(store), _finished(store, where)
    with ConsoleReporter() as reporter:
        size = export_pack(results, keys, out, predictions=predictions, reporter=reporter)
    print_exported(len(keys), out, size)


def import_(
    pack: Annotated[Path, typer.Argument(metavar="PACK.zip", help="What `segrank export` wrote.")],
    store: _StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Bring the runs of a pack into a results folder, to rank against them.

    Nothing in a pack is believed: sizes are bounded, keys have to follow from what records say, and scores from
    counts. What is there already stays. That its runs were really made, nothing can check.

    Example: `segrank import ade20k.zip --store theirs`

    Exits with 1 if a run was left out.
    """
    from segrank.console.stores import print_merged
    from segrank.stores.import_pack import import_pack

    with ConsoleReporter() as reporter:
        merged = import_pack(pack, store, reporter=reporter)
    print_merged(merged, store)
    if merged.left_out:
        raise typer.Exit(1)


def gc(
    store: _StoreOption = Path(DEFAULT_STORE),
    weights: Annotated[
        bool, typer.Option("--weights", help="The trained weights too; such runs cannot be scored again.")
    ] = False,
    where: WhereOption = [],  # noqa: B006
    delete: Annotated[bool, typer.Option("--delete", help="Remove it, instead of only saying what could go.")] = False,
) -> None:
    """Say what a results folder can do without, and with --delete remove it.

    That is what attempts left of finished runs, what kills left of writes a day ago, and with --weights the weights of
    finished runs, of all or of those that --where names. Runs that are not finished keep all they have, and a run that
    somebody is at is left alone.

    Examples: `segrank gc`, `segrank gc --weights --where seed!=0 --delete`
    """
    from segrank.console.stores import print_garbage, print_swept
    from segrank.stores.gc import garbage, sweep

    if where and not weights:
        raise typer.BadParameter("--where says whose weights go: it goes with --weights")
    results = _opened(store)
    unwanted = _finished(store, where) if weights else []
    if not delete:
        print_garbage(list(garbage(results, weights=unwanted)), store)
        return
    with ConsoleReporter() as reporter:
        swept = sweep(results, weights=unwanted, notify=reporter.say)
    print_swept(swept, store)


def _opened(store: Path) -> Store:
    if not store.is_dir():
        raise StoreError(f"there is no results folder {store}", fix="check the path")
    return Store(store)


def _finished(store: Path, where: list[str]) -> list[str]:
    """Keys of the finished runs that satisfy all conditions."""
    from segrank.cli.results_options import open_results
    from segrank.ranking.where import parse_conditions, select

    rows = select(open_results(store, [], [], [], "").rows, parse_conditions(where), hidden=("encoder_id",))
    return sorted(set(rows.filter(rows["status"].is_in(["ok", "unscored"]))["run"].to_list()))
