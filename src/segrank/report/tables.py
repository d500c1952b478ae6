"""A study's numbers as tables for programs: as computed, and each row with the runs behind it. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from segrank.ranking.agree import frame as agreement_frame
from segrank.ranking.effects import Effects
from segrank.ranking.effects_export import frame as effects_frame
from segrank.ranking.export import frame as ranking_frame
from segrank.ranking.recommend_export import frame as recommendation_frame
from segrank.ranking.settings import Setting
from segrank.report.study import Part, Refused, Study


def tables_of(study: Study) -> dict[str, pl.DataFrame]:
    """By name; what a study does not answer has none. The column `runs` lists keys, or lines of a file."""
    found = {"scores": _scores(study.parts), "ranking": _ranking(study.parts)}
    of_setting = {part.name: _runs(part.setting) for part in study.parts}
    if not isinstance(study.agreements, Refused):
        frame = agreement_frame(study.agreements)
        found["agreement"] = _with_runs(
            frame, (_of_settings(pair, of_setting) for pair in frame.select("x", "y").rows())
        )
    if not isinstance(study.recommendation, Refused):
        of, frame = study.recommendation, recommendation_frame(study.recommendation)
        names = ([*one.names, of.target.name] for one in of.candidates)
        found["recommendation"] = _with_runs(frame, (_of_settings(of_one, of_setting) for of_one in names))
    if not isinstance(study.effects, Refused):
        found["effects"] = _with_runs(effects_frame(study.effects), _of_effects(study.effects))
    curves = [_named(part, part.curves) for part in study.parts if part.curves.height]
    if curves:
        found["learning-curves"] = pl.concat(curves)
    return found


def _scores(parts: Sequence[Part]) -> pl.DataFrame:
    """A row for each run that is scored."""
    rows = [
        {
            "setting": part.name, "encoder": entry.encoder, "seed": run.seed, "metric": part.setting.metric.name,
            "score": run.score, "runs": [run.run], "evaluation": run.evaluation,
        }
        for part in parts
        for board in part.board.boards
        for entry in (*board.entries, *board.incomplete)
        for run in entry.runs
    ]  # fmt: skip
    schema = {"setting": pl.String, "encoder": pl.String, "seed": pl.Int64, "metric": pl.String, "score": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"runs": pl.List(pl.String), "evaluation": pl.String})


def _ranking(parts: Sequence[Part]) -> pl.DataFrame:
    tables = []
    for part in parts:
        board, frame = part.board.boards[0], ranking_frame(part.board)
        runs = {entry.encoder: [run.run for run in entry.runs] for entry in (*board.entries, *board.incomplete)}
        for run in board.unscored:
            runs.setdefault(run.encoder, []).append(run.run)
        frame = frame.rename({part.setting.metric.name: "score"}).with_columns(metric=pl.lit(part.setting.metric.name))
        tables.append(_named(part, _with_runs(frame, (runs[encoder] for encoder in frame["encoder"]))))
    return pl.concat(tables)


def _named(part: Part, table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.lit(part.name).alias("setting"), pl.all())


def _with_runs(table: pl.DataFrame, runs: Iterable[Sequence[str]]) -> pl.DataFrame:
    return table.with_columns(pl.Series("runs", [list(of) for of in runs], pl.List(pl.String)))


def _of_effects(found: Effects) -> Iterator[list[str]]:
    """In the order of the rows of `effects_frame`."""
    of_family = dict(zip(found.units.names, found.units.runs, strict=True))

    def of(families: Iterable[str]) -> list[str]:
        return [run for family in families for run in of_family[family]]

    for effect in found.effects:
        runs = of(family for group in effect.groups for family in group.encoders)
        yield from ([runs] * len(effect.contrasts))
    yield from (list(step.runs) for step in found.steps)
    yield from (of(one.encoders) for one in found.associations)


def _runs(setting: Setting) -> list[str]:
    return [run for runs in setting.cell.runs for run in runs]


def _of_settings(names: Iterable[str], runs: dict[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(run for name in names for run in runs[name]))
