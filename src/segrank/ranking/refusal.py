"""Why rows may not be ranked together, and what would choose among them. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.results import Results
from segrank.ranking.where import as_shown, cut, distinct

_MOST_SHOWN = 6


def refuse_doubles(results: Results, rows: pl.DataFrame, block: str) -> None:
    """One encoder with two scores for one seed: there is no telling which, and a mean would pass for a repetition."""
    keys = ["encoder_id", "seed"]
    doubles = rows.filter(pl.struct(keys).is_duplicated()).sort(keys)
    if doubles.is_empty():
        return
    first = doubles.filter([pl.col(key) == doubles[key][0] for key in keys])
    varying = [name for name in first.columns if name not in ("run", "evaluation") and first[name].n_unique() > 1]
    texts = {name: as_shown(first[name])[0] for name in varying if first[name].dtype == pl.String}
    fix = [f"--where {_quoted(name, text)}" for name, text in texts.items() if not text.replace(".", "").isdigit()][:3]
    fields = f"; they differ in {', '.join(varying[:8])}" if varying else ", equal in everything"
    raise RankingError(
        f"{results.source}{f' ({block})' if block else ''}: {cut(first['label'][0])} has {first.height} scores "
        f"for seed {first['seed'][0]}: {', '.join(first['run'].to_list()[:6])}{fields}",
        wanted="one score for an encoder and a seed",
        fix=f"choose, as with {' or '.join(fix)} (* is any text); or tell of a column of seeds or runs"
        if fix
        else "remove the doubles, or tell of a column of seeds or runs",
    )


def refusal(results: Results, scored: pl.DataFrame, differing: Sequence[str], across: Sequence[str]) -> RankingError:
    """What differs, in people's names for it, and the conditions that would choose."""
    fields = leading(results, scored, differing)
    lines = [f"{name}: {', '.join(cut(value) for value in distinct(scored[name])[:8])}" for name in fields]
    groups = scored.group_by(fields).agg(pl.col("encoder_id").n_unique().alias("encoders"))
    groups = groups.sort("encoders", *fields, descending=[True, *(False for _ in fields)])
    shown = [
        f"{_conditions(groups, fields, index)}  ({groups['encoders'][index]} encoders)"
        for index in range(min(groups.height, _MOST_SHOWN))
    ]
    more = [f"... and {groups.height - len(shown)} more"] if groups.height > len(shown) else []
    together = " ".join(f"--across {name}" for name in (*across, *fields))
    return RankingError(
        f"{results.source} holds runs that may not be ranked together: they differ in\n  " + "\n  ".join(lines),
        wanted="runs that agree in all but the encoder and the seed",
        fix="choose one of\n  "
        + "\n  ".join([*shown, *more])
        + f"\nor rank over all of them, each by itself and then together: {together}",
    )


def leading(results: Results, scored: pl.DataFrame, differing: Sequence[str]) -> list[str]:
    """The fields that differ by people's names for them, without those that do so only because others of them do."""
    names, follows = results.names or {}, results.follows or {}
    called = [names[name] if name in names and _tells_apart(scored, names[name], name) else name for name in differing]
    called = list(dict.fromkeys(called))
    return [name for name in called if not _follows(scored, name, called, follows)]


def _tells_apart(rows: pl.DataFrame, name: str, digest: str) -> bool:
    """Whether the names are as different as what they stand for."""
    return rows.select(name, digest).n_unique() == rows[name].n_unique() == rows[digest].n_unique()


def _follows(rows: pl.DataFrame, name: str, fields: Sequence[str], follows: Mapping[str, Sequence[str]]) -> bool:
    """Whether a field differs only because others of the fields do."""
    leaders = [leader for leader in fields if leader != name and name in follows.get(leader, ())]
    return bool(leaders) and rows.select(*leaders, name).n_unique() == rows.select(leaders).n_unique()


def _conditions(groups: pl.DataFrame, fields: Sequence[str], index: int) -> str:
    """The fewest --where that choose this group, trying one field, then two, ..."""
    chosen: list[str] = []
    left = groups
    for name in sorted(fields, key=lambda name: -groups[name].n_unique()):
        if left.height == 1:
            break
        chosen.append(name)
        left = left.filter(pl.col(name).eq_missing(pl.lit(groups[name][index])))
    return " ".join(f"--where {_quoted(name, as_shown(groups[name])[index])}" for name in chosen)


def _quoted(name: str, value: str) -> str:
    return shlex.quote(f"{name}={value}")
