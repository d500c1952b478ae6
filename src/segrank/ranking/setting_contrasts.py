"""What a setting changes: one field of the protocol against another value of it, encoder by encoder. No torch.

In the additive model score = encoder + setting, a setting's main effect is the mean over encoders of the difference
between its two values, taken where everything else is equal and then averaged; an interaction of two fields is the
difference of such differences; one of a field with the encoder's pretraining compares these between encoders. With all
combinations there these are the least-squares estimates. Each has its own error, from the spread of its own differences
between encoders, so nothing is assumed of how the others vary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.error_covariances import error_covariances, shared_covariance
from segrank.ranking.settings import Setting
from segrank.ranking.units import Units
from segrank.spec import RunSpec

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SettingContrast:
    """Weights of the settings, which give for each encoder a difference."""

    name: str
    """`freeze`, or `freeze x patch_size`."""
    contrast: str
    """`true - false`."""
    weights: FloatArray
    """(settings,), which sum to 0."""
    fields: tuple[str, ...]


def contrasts(settings: Sequence[Setting]) -> tuple[tuple[SettingContrast, ...], tuple[str, ...]]:
    """The main effects of the fields in which settings differ, and their two-way interactions.

    Of a field, each value is compared with its reference: the default of a spec, else the value that most settings
    have, else the first by name.

    Returns:
        contrasts, and names of those that no settings tell, as nothing else is equal there.
    """
    values = [dict(setting.values) for setting in settings]
    fields = list(values[0]) if values else []
    steps = {field: list(_steps(field, [of[field] for of in values])) for field in fields}
    found: list[SettingContrast] = []
    untold: list[str] = []
    for field in fields:
        for level, reference in steps[field]:
            weights = _weights(values, {field: (level, reference)})
            _add(found, untold, field, f"{level} - {reference}", weights, (field,))
    for one, other in combinations(fields, 2):
        for first in steps[one]:
            for second in steps[other]:
                weights = _weights(values, {one: first, other: second})
                contrast = f"({first[0]} - {first[1]}) at {second[0]} - at {second[1]}"
                _add(found, untold, f"{one} x {other}", contrast, weights, (one, other))
    return tuple(found), tuple(untold)


def _add(
    found: list[SettingContrast],
    untold: list[str],
    name: str,
    contrast: str,
    weights: FloatArray | None,
    fields: tuple[str, ...],
) -> None:
    if weights is None:
        untold.append(f"{name} ({contrast})")
    else:
        found.append(SettingContrast(name, contrast, weights, fields))


def _steps(field: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(value, reference) for every value but the reference."""
    levels = sorted(set(values))
    known = RunSpec.model_fields.get(field)
    default = str(known.default).lower() if known and not known.is_required() else ""
    most = max(values.count(level) for level in levels)
    reference = default if default in levels else next(level for level in levels if values.count(level) == most)
    yield from ((level, reference) for level in levels if level != reference)


def _weights(values: Sequence[Mapping[str, str]], steps: Mapping[str, tuple[str, str]]) -> FloatArray | None:
    """+1 and -1 over the number of matches; a match are settings that differ in the steps only, all combinations."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, of in enumerate(values):
        if all(of[field] in step for field, step in steps.items()):
            groups.setdefault(tuple(value for field, value in of.items() if field not in steps), []).append(at)
    whole = [group for group in groups.values() if len(group) == 2 ** len(steps)]
    if not whole:
        return None
    weights = np.zeros(len(values))
    for at in (at for group in whole for at in group):
        signs = [1 if values[at][field] == step[0] else -1 for field, step in steps.items()]
        weights[at] += np.prod(signs) / len(whole)
    return weights


@dataclass(frozen=True)
class Additivity:
    """How far encoder + setting explains the spread between all scores, or ranks."""

    encoders: float
    """Share of the sum of squares. Of ranks this is Kendall's coefficient of concordance W, if there are no ties."""
    settings: float
    rest: float
    """What encoders make of a setting differently, and noise."""
    rest_sd: float
    """Standard deviation of it."""
    noise_sd: float | None
    """What errors of the scores alone would leave; none where nothing is known of them, and of ranks."""


def additivity(values: FloatArray, noise_sd: float | None = None) -> Additivity | None:
    """Of (settings, encoders); None for fewer than two of either, or if all are equal."""
    settings, encoders = values.shape
    if min(settings, encoders) < 2 or np.ptp(values) == 0:
        return None
    centred = values - values.mean()
    by_encoder, by_setting = centred.mean(axis=0), centred.mean(axis=1)
    rest = centred - by_encoder - by_setting[:, None]
    total = float((centred**2).sum())
    return Additivity(
        encoders=settings * float((by_encoder**2).sum()) / total,
        settings=encoders * float((by_setting**2).sum()) / total,
        rest=float((rest**2).sum()) / total,
        rest_sd=float(np.sqrt((rest**2).sum() / ((settings - 1) * (encoders - 1)))),
        noise_sd=noise_sd,
    )


def noise_left(settings: Sequence[Setting], units: Units) -> float | None:
    """Standard deviation that errors of the scores would leave beside an additive model; None if one has none known.

    Images that settings share move them together; seeds are taken as different ones.
    """
    if not all(setting.of.covers for setting in settings) or len(units.names) < 2 or len(settings) < 2:
        return None
    means = [_means(setting, units) for setting in settings]
    left = 0.0
    for one, (setting, mean) in enumerate(zip(settings, means, strict=True)):
        for other, (with_setting, with_mean) in enumerate(zip(settings, means, strict=True)):
            if one == other:
                covariance = np.mean(error_covariances(setting.of), axis=0)
                left += float(np.trace(mean @ covariance @ mean.T)) * (1 - 1 / len(settings))
            else:
                shared = shared_covariance(setting.of, with_setting.of)
                left -= float(np.trace(mean @ shared @ with_mean.T)) / len(settings)
    return float(np.sqrt(max(left, 0) / ((len(settings) - 1) * (len(units.names) - 1))))


def _means(setting: Setting, units: Units) -> FloatArray:
    """(families, encoders of the setting): the families' means, centred over families."""
    found = np.zeros((len(units.names), len(setting.of.encoders)))
    for family, members in enumerate(units.members):
        for member in members:
            found[family, setting.of.encoders.index(member)] = 1 / len(members)
    centred: FloatArray = found - found.mean(axis=0)
    return centred
