"""What explains the scores: how encoders were pretrained, the steps between them, settings, and what may lie behind.

No torch. What is tested, and on which encoders: see `units`, `factors`, `setting_contrasts`, `lineage_steps`,
`controlled`, `confounds`; docs/method.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from segrank.errors import RankingError
from segrank.ranking.confounds import Association, Entangled, associations, entangled
from segrank.ranking.controlled import controlled_steps
from segrank.ranking.effect import Effect, Kind, Response, corrected, group_effect, shift_effect
from segrank.ranking.factors import CONFOUNDS, Factor, factors_named, levels_of
from segrank.ranking.leaderboard import Options
from segrank.ranking.lineage_steps import Step, lineage_steps
from segrank.ranking.results import Metric, Results
from segrank.ranking.setting_contrasts import Additivity, SettingContrast, additivity, contrasts, noise_left
from segrank.ranking.settings import Setting, settings_or_one
from segrank.ranking.units import FloatArray, Units, units_of

NOT_LOOKED_AT = "columns not looked at"
"""So begins the note of `read_results_file` on a table's further columns."""


@dataclass(frozen=True, eq=False)
class Effects:
    """What `effects` found."""

    source: str
    metric: Metric
    options: Options
    settings: tuple[Setting, ...]
    units: Units
    effects: tuple[Effect, ...]
    """Of pretraining, of settings, and interactions; on scores, then on ranks."""
    untested: tuple[str, ...]
    """Factors and contrasts that these encoders and settings say nothing of."""
    steps: tuple[Step, ...]
    """Between pretrainings that differ in their objective alone, then from one public encoder to another."""
    additivity: Mapping[Response, Additivity]
    """Empty for one setting."""
    associations: tuple[Association, ...]
    entangled: tuple[Entangled, ...]
    same_split: tuple[tuple[str, str], ...]
    """Factors that put the encoders into the same groups: nothing can tell their effects apart."""
    notes: tuple[str, ...]


def effects(
    results: Results,
    *,
    metric: str = "",
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    factors: Sequence[str] = (),
    options: Options | None = None,
) -> Effects:
    """Look for effects within one comparable protocol, or over several that differ in the fields of `across`.

    Over several, an encoder's score is its mean over them; what differs between them is looked at as well.

    Args:
        results: from `results_of` or `read_results_file`.
        metric: of the scores.
        where, across: see `comparable`.
        factors: names of `FACTORS`, or columns of the results; all of `FACTORS` by default.
        options: how uncertainty is estimated; `seed` is that of sampled permutations too.

    Raises:
        RankingError: rows may not be compared, a factor is unknown, or settings share no encoder.
    """
    options = options or Options()
    chosen = factors_named(results, factors)
    settings, notes = settings_or_one(results, metric=metric, where=where, across=across, options=options)
    by = settings[0].metric
    units = units_of(settings, list(dict.fromkeys(factor.column for factor in chosen)), list(CONFOUNDS))
    if not units.names:
        raise RankingError(
            f"{results.source} has no pretrained encoder that all of {len(settings)} settings have",
            wanted="encoders with a score in every setting, whose weights are not random",
            fix="choose some of the settings with --where",
        )
    levels = {factor.title: levels_of(factor, units.names, units.facts[factor.column]) for factor in chosen}
    changes, untold = contrasts(settings)
    found = [
        *_effects("score", units.scores, units, levels, changes, options.seed),
        *_effects("rank", units.ranks, units, levels, changes, options.seed),
    ]
    mean = units.by_name(units.scores.mean(axis=0))
    known = {
        title: {
            name: value for name, value in zip(units.names, units.numbers[column], strict=True) if value is not None
        }
        for column, title in CONFOUNDS.items()
    }
    beside = [entangled(factor, mean, levels[factor], title, known[title]) for factor in levels for title in known]
    additive: dict[Response, Additivity | None] = {
        "score": additivity(units.scores, noise_left(settings, units)),
        "rank": additivity(units.ranks),
    }
    return Effects(
        source=results.source,
        metric=by,
        options=options,
        settings=settings,
        units=units,
        effects=corrected(found, options.level),
        untested=(*(title for title, of in levels.items() if not of), *untold),
        steps=(*controlled_steps(settings, options.level), *lineage_steps(settings, options.level)),
        additivity={response: of for response, of in additive.items() if of is not None},
        associations=associations(mean, known, seed=options.seed),
        entangled=tuple(one for one in beside if one is not None),
        same_split=_same_split(levels),
        # a file's columns that factors name are looked at after all
        notes=(*(note for note in notes if not (factors and note.startswith(NOT_LOOKED_AT))), *_notes(units, chosen)),
    )


def _effects(
    response: Response,
    values: FloatArray,
    units: Units,
    levels: Mapping[str, Mapping[str, str]],
    changes: Sequence[SettingContrast],
    seed: int,
) -> list[Effect]:
    mean = units.by_name(values.mean(axis=0))
    told = {title: of for title, of in levels.items() if of}
    found = [group_effect(title, "card", response, mean, of, seed=seed) for title, of in told.items()]
    for change in changes:
        moved = units.by_name(change.weights @ values)
        kind: Kind = "setting" if len(change.fields) == 1 else "interaction"
        if response == "score":  # the mean rank is the same under every setting
            found.append(shift_effect(change.name, kind, response, change.contrast, moved, seed=seed))
        if kind == "setting":
            title = f"{change.name} ({change.contrast})"
            found += [
                group_effect(f"{title} x {name}", "interaction", response, moved, of, seed=seed)
                for name, of in told.items()
            ]
    return found


def _same_split(levels: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    def parts(of: Mapping[str, str]) -> set[frozenset[str]]:
        return {frozenset(name for name in of if of[name] == level) for level in of.values()}

    told = [title for title, of in levels.items() if of]
    return tuple((a, b) for a, b in combinations(told, 2) if parts(levels[a]) == parts(levels[b]))


def _notes(units: Units, factors: Sequence[Factor]) -> list[str]:
    notes = []
    if units.random:
        notes.append(f"not looked at, as their weights are random: {_some(units.random)}")
    if units.missing:
        notes.append(f"not looked at, as some setting has no score of them: {_some(units.missing)}")
    families = [f"{name} ({', '.join(of)})" for name, of in zip(units.names, units.members, strict=True) if len(of) > 1]
    if families:
        notes.append(f"encoders of one family count once, with their mean: {_some(families)}")
    columns = {factor.column for factor in factors}
    unknown = [
        name for at, name in enumerate(units.names) if all(units.facts[column][at] is None for column in columns)
    ]
    if unknown:
        notes.append(f"of these it is not known how they were pretrained: {_some(unknown)}")
    return notes


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
