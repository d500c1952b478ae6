"""What the verbs on results have in common: their options, and how results are opened, estimated and printed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from segrank.store import DEFAULT_STORE

if TYPE_CHECKING:
    from segrank.ranking.leaderboard import Options
    from segrank.ranking.results import Results
    from segrank.report.sheets.sheet import Report

FORMATS = ("table", "csv", "json", "markdown")
Own = ParamSpec("Own")


def _known_format(form: str) -> str:
    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    return form


WhereOption = Annotated[
    list[str],
    typer.Option(
        metavar="FIELD=VALUE",
        help="Only such rows; also `!=`, `<`, `<=`, `>`, `>=`; `*` is any text. One field twice: either value.",
    ),
]
MetricsOption = Annotated[
    str,
    typer.Option("--metrics", "--metric", metavar="A,B:lower,C", help="Several are set beside each other; `miou`."),
]
SettingsOption = Annotated[
    list[str],
    typer.Option(
        "--across", metavar="FIELD", help="Fields in which settings differ, such as `dataset`; by default all that do."
    ),
]


@dataclass(frozen=True)
class Asked:
    """Of which results a verb is asked, and how. Each field but the last is an argument or option of every verb
    `on_results`."""

    source: Annotated[
        Path,
        typer.Argument(
            metavar="STORE|FILE",
            envvar="SEGRANK_STORE",
            help="A results folder, or a table: .csv, .tsv, .jsonl, .ndjson, .parquet.",
        ),
    ]
    metric: Annotated[
        str, typer.Option(metavar="NAME[:lower|higher]", help="What to rank by: `miou` unless another is asked for.")
    ]
    """As it was written: see `metrics`."""
    where: WhereOption
    form: Annotated[
        str, typer.Option("--format", callback=_known_format, help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    ]
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Of the test images, from which intervals come.")
    ]
    seed: Annotated[int, typer.Option(min=0, help="Of resamples and draws.")]
    group_images: Annotated[
        str,
        typer.Option(
            metavar="REGEX", help="Images whose names have the same match are drawn together: frames of a film."
        ),
    ]
    column: Annotated[
        list[str], typer.Option(metavar="ROLE=NAME", help="Of a file: what a column is, as in `encoder=backbone`.")
    ]
    same: Annotated[list[str], typer.Option(metavar="NAME", help="Of a file: a column in which rows have to agree.")]
    delimiter: Annotated[str, typer.Option(help="Of a CSV: by default a comma; TAB for tabs.")]
    pretraining_seeds: Annotated[
        bool,
        typer.Option(
            "--pretraining-seeds",
            help="Encoders of `segrank pretrain` with one objective count as one, with the seeds of their pretraining.",
        ),
    ]
    several: bool
    """The verb takes several metrics, with commas between them."""

    @property
    def metrics(self) -> list[str]:
        parts = self.metric.split(",") if self.several else [self.metric]
        return [part.strip() for part in parts if part.strip()]

    @property
    def options(self) -> Options:
        from segrank.ranking.leaderboard import Options

        return Options(resamples=self.resamples, seed=self.seed, group_images=self.group_images)

    def results(self, source: Path | None = None) -> Results:
        """A store's runs, or a file's rows; of `source`, if it is another one."""
        return self._asked_for(
            open_results(source or self.source, self.metrics, self.column, self.same, self.delimiter)
        )

    def along(self, results: Results) -> Results | None:
        """The evaluations along the way of the same store; a file has none."""
        from segrank.ranking.table import results_of

        return self._asked_for(results_of(results.store, final=False)) if results.store else None

    def _asked_for(self, results: Results) -> Results:
        if not self.pretraining_seeds:
            return results
        from segrank.ranking.pretraining_seeds import by_pretraining_seed

        return by_pretraining_seed(results)

    def print(self, report: Report) -> None:
        from segrank.console.report import print_report

        print_report(report, self.form)


_DEFAULTS: dict[str, Any] = {
    "source": Path(DEFAULT_STORE), "metric": "", "where": [], "form": "table", "resamples": 10_000, "seed": 0,
    "group_images": "", "column": [], "same": [], "delimiter": "", "pretraining_seeds": False,
}  # fmt: skip
_FIRST = 3
"""Of these, which stand before a verb's own options."""


def on_results(
    *, several: bool = False, printed: bool = True, resamples: int = 10_000
) -> Callable[[Callable[Concatenate[Asked, Own], None]], Callable[..., None]]:
    """Make a verb of a function of what is `Asked` and of arguments and options of its own.

    Args:
        several: it takes several metrics.
        printed: it prints a report, in the format that is asked for.
        resamples: its default.
    """

    def decorate(verb: Callable[Concatenate[Asked, Own], None]) -> Callable[..., None]:
        kinds = get_type_hints(Asked, include_extras=True) | ({"metric": MetricsOption} if several else {})
        defaults = _DEFAULTS | {"resamples": resamples}
        of_others = {} if printed else {"form": defaults.pop("form")}
        shared = [_parameter(name, default, kinds[name]) for name, default in defaults.items()]
        _, *own = inspect.signature(verb, eval_str=True).parameters.values()
        own = [_parameter(one.name, one.default, one.annotation) for one in own]
        needed = [one for one in own if one.default is one.empty]
        parameters = [*needed, *shared[:_FIRST], *(one for one in own if one not in needed), *shared[_FIRST:]]

        @wraps(verb)
        def command(**values: Any) -> None:
            asked = {name: values.pop(name) for name in defaults}
            verb(Asked(**asked, **of_others, several=several), **values)  # type: ignore[call-arg]

        del command.__dict__["__wrapped__"]  # typer is to see the parameters that were put together
        command.__dict__["__signature__"] = inspect.Signature(parameters)
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def _parameter(name: str, default: Any, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def open_results(source: Path, metrics: list[str], column: list[str], same: list[str], delimiter: str) -> Results:
    """A store's runs, or a file's rows, as the options of the verbs say."""
    from rich.console import Console

    from segrank.progress import plain
    from segrank.ranking.read_table import SUFFIXES
    from segrank.ranking.results_file import read_results_file
    from segrank.ranking.rows import FURTHER
    from segrank.ranking.table import results_of
    from segrank.store import Store

    if source.is_dir() or not (source.is_file() or source.suffix.lower() in SUFFIXES):
        if column or same or delimiter:
            raise typer.BadParameter("--column, --same and --delimiter are for files")
        further = any(name.partition(":")[0] in FURTHER for name in metrics)
        err = Console(stderr=True, soft_wrap=True)
        return results_of(
            Store(source), with_further=further, on_damage=lambda error: err.print(plain(str(error)), highlight=False)
        )
    roles = dict(pair.partition("=")[::2] for pair in column)
    return read_results_file(
        source, metrics=metrics, columns=roles, same=same, delimiter="\t" if delimiter == "TAB" else delimiter
    )
