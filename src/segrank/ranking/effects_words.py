"""What effects come to, in words: what holds, what cannot be told, and what could not have been. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from segrank.ranking.confounds import Association, Entangled
from segrank.ranking.effect import Contrast, Effect, Response
from segrank.ranking.effects import Effects
from segrank.ranking.words import title

_KINDS = {"card": "of pretraining", "setting": "of settings", "interaction": "between them"}
_MOST = 6


def effects_answer(found: Effects) -> str:
    """How many effects hold, and which."""
    tested = [effect for effect in found.effects if effect.response == "score"]
    shown = [effect for effect in tested if effect.verdict == "shown"]
    families = len(found.units.names)
    of = f"{families} famil{'y' if families == 1 else 'ies'} of encoders"
    steps = _steps_answer(found)
    if not tested:
        return f"No effect on {title(found.metric)} could be looked for among {of}.{steps}"
    if not shown:
        one = len(tested) == 1
        return (
            f"{'The one effect' if one else f'None of {len(tested)} effects'} on {title(found.metric)} "
            f"{'cannot' if one else 'can'} be told from chance with {of}.{steps}"
        )
    named = "; ".join(f"{effect.name}, {_furthest(effect, form_of(found))}" for effect in shown[:_MOST])
    more = f" and {len(shown) - _MOST} more" if len(shown) > _MOST else ""
    return f"{len(shown)} of {len(tested)} effects on {title(found.metric)} hold among {of}: {named}{more}.{steps}"


def effects_remarks(found: Effects) -> list[str]:
    """What a reader has to know: what was out of reach, what cannot be separated, the model's fit, and the method."""
    lines = [_out_of_reach(found)]
    lines += [
        f"{a[:1].upper() + a[1:]} and {b} put the encoders into the same groups: which of them it is cannot be told."
        for a, b in found.same_split
    ]
    lines += _alone(found)
    lines += _inseparable(found.entangled)
    lines += _beside(found)
    lines += _confounds(found)
    lines += [_untested(found.untested)]
    lines += [_additivity(found)]
    lines += _method(found)
    return [*(line for line in lines if line), *(note[:1].upper() + note[1:] + "." for note in found.notes)]


class Form(NamedTuple):
    """How values of a response are written: percent points of shares, others in their own unit."""

    scale: float
    digits: int

    def signed(self, value: float) -> str:
        """`+3.20`, `-0.05`, `0.00`."""
        text = f"{self.scale * value:+.{self.digits}f}"
        return text[1:] if float(text) == 0 else text

    def plain(self, value: float) -> str:
        return f"{self.scale * value:.{self.digits}f}"

    def range(self, interval: tuple[float, float] | None) -> str:
        """`-1.00 to +2.00`; empty for none."""
        return " to ".join(map(self.signed, interval or ()))


def form_of(found: Effects, response: Response = "score") -> Form:
    small = abs(found.units.scores).max() < 1
    if response == "rank":
        return Form(1.0, 2)
    return Form(100.0, 2) if found.metric.share else Form(1.0, 4 if small else 2)


def _furthest(effect: Effect, form: Form) -> str:
    """`yes - no: +3.20 (+1.00 to +5.40)`; of several groups the one that is furthest from the others."""
    return _contrast(max(effect.contrasts, key=lambda one: abs(one.value)), form)


def _contrast(contrast: Contrast, form: Form) -> str:
    interval = f" ({form.range(contrast.interval)})" if contrast.interval else ""
    return f"{contrast.name}: {form.signed(contrast.value)}{interval}"


def _steps_answer(found: Effects) -> str:
    told = [step for step in found.steps if step.verdict in ("helped", "hurt")]
    if not found.steps:
        return ""
    if not told:
        return f" Of {len(found.steps)} steps from one encoder to another, none is told to have helped or hurt."
    parts = [
        f"{step.lineage.child} {'gained on' if step.verdict == 'helped' else 'lost to'} {step.lineage.parent}"
        + (f" under {step.setting}" if step.setting else "")
        for step in told[:_MOST]
    ]
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return f" Steps: {'; '.join(parts)}{more}."


def _out_of_reach(found: Effects) -> str:
    never = [effect for effect in found.effects if effect.verdict == "cannot be shown" and effect.response == "score"]
    if not never:
        return ""
    parts = [
        f"{effect.name} ({effect.test.permutations} permutations: p is {effect.test.smallest:.2g} at best)"
        for effect in never[:_MOST]
    ]
    more = f" and {len(never) - _MOST} more" if len(never) > _MOST else ""
    return (
        f"Too few encoders to show, whatever their scores: {', '.join(parts)}{more}. That none is found there says "
        "nothing."
    )


def _alone(found: Effects) -> list[str]:
    groups = [
        (effect.name, group)
        for effect in found.effects
        if (effect.kind, effect.response) == ("card", "score")
        for group in effect.groups
    ]
    return [
        f"{group.encoders[0]} alone stands for {name} = {group.level}: what is its own cannot be separated from that."
        for name, group in groups
        if len(group.encoders) == 1
    ]


def _inseparable(pairs: Sequence[Entangled]) -> list[str]:
    by_factor: dict[str, list[str]] = {}
    for one in pairs:
        if one.inseparable:
            why = "groups do not overlap in it" if one.separated else f"groups explain {one.shared:.0%} of its ranks"
            by_factor.setdefault(one.factor, []).append(f"{one.confound} ({why})")
    return [
        f"{factor[:1].upper() + factor[1:]} cannot be separated from {_and(of)}." for factor, of in by_factor.items()
    ]


def _beside(found: Effects) -> list[str]:
    """Of effects that hold: what is left of them beside each confound."""
    shown = {effect.name for effect in found.effects if effect.verdict == "shown" and effect.kind == "card"}
    return [
        f"{one.factor[:1].upper() + one.factor[1:]} beside {one.confound}: {_contrast(one.beside, form_of(found))}."
        for one in found.entangled
        if one.beside and one.factor in shown
    ]


def _confounds(found: Effects) -> list[str]:
    if not found.associations:
        return []
    told = [one for one in found.associations if one.adjusted <= 1 - found.options.level]

    def said(each: Association) -> str:
        interval = f", {each.interval[0]:.2f} to {each.interval[1]:.2f}" if each.interval else ""
        return (
            f"{each.confound} {each.correlation:+.2f} ({len(each.encoders)} families{interval}; p {each.adjusted:.2g})"
        )

    text = "; ".join(map(said, found.associations))
    verdict = (
        f"{_and([one.confound for one in told])} go{'es' * (len(told) == 1)} along with the score"
        if told
        else "none is told from chance"
    )
    return [f"Score and what else differs (Spearman, Holm over {len(found.associations)}): {text}. Of these {verdict}."]


def _untested(untested: Sequence[str]) -> str:
    if not untested:
        return ""
    more = f" and {len(untested) - _MOST} more" if len(untested) > _MOST else ""
    return (
        f"Nothing tells, for want of encoders or settings that differ in it alone: {', '.join(untested[:_MOST])}{more}."
    )


def _additivity(found: Effects) -> str:
    score, rank = found.additivity.get("score"), found.additivity.get("rank")
    if score is None:
        return ""
    form = form_of(found)
    noise = "nothing is known of the noise in it"
    if score.noise_sd is not None:
        noise = f"noise alone would leave about {form.plain(score.noise_sd)}"
    ranks = f" Of the ranks, encoders explain {rank.encoders:.0%}." if rank else ""
    return (
        f"Encoder + setting: encoders explain {score.encoders:.0%} of the spread of {title(found.metric)}, settings "
        f"{score.settings:.0%}, and {score.rest:.0%} is neither (deviation {form.plain(score.rest_sd)}; {noise})."
        f"{ranks}"
    )


def _method(found: Effects) -> list[str]:
    counted = Counter((effect.kind, effect.response) for effect in found.effects)
    lines = []
    if counted:
        tests = ", ".join(
            f"{number} {_KINDS[kind]} on {response}s" for (kind, response), number in sorted(counted.items())
        )
        lines.append(
            f"Encoders are taken as a sample. Tests: permutations; p corrected by Holm within each kind ({tests}). "
            "Intervals: 95%, each by itself. An effect on these encoders is no proof of its cause: they differ in more "
            "than one thing."
        )
    if found.steps:
        covers = {source for step in found.steps for source in step.covers}
        lines.append(
            f"Steps are about these very encoders: paired over {' and '.join(sorted(covers)) or 'nothing'}, Holm over "
            f"{len(found.steps)}." + _of_these_weights(covers)
        )
    return lines


def _of_these_weights(covers: set[str]) -> str:
    if not covers:
        return ""
    return "" if "seeds" in covers else " With one seed they are about these weights: training again is not covered."


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
