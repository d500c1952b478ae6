"""What `segrank effects` found, in tables. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from segrank.ranking.effect import Effect, Response
from segrank.ranking.effects import Effects
from segrank.ranking.effects_export import as_data, frame
from segrank.ranking.effects_words import Form, effects_answer, effects_remarks, form_of
from segrank.ranking.phrases import probability
from segrank.ranking.words import title
from segrank.report.sheets.sheet import Report, Sheet


def report(found: Effects) -> Report:
    unit = f"{title(found.metric)}{' %' if found.metric.share else ''}"
    return Report(
        headline=effects_answer(found),
        sheets=[
            _effects(found, "score", f"Effects on {unit}"),
            _effects(found, "rank", "Effects on ranks, of which 1 is the best"),
            _groups(found, f"Groups of families and their mean {unit}"),
            _steps(found, f"Steps from one encoder to another: difference in {unit}"),
        ],
        remarks=effects_remarks(found),
        frame=frame(found),
        data=as_data(found),
    )


def _effects(found: Effects, response: Response, heading: str) -> Sheet:
    rows = [
        [*texts, effect.verdict]
        for effect in found.effects
        if effect.response == response
        for texts in _contrasts(effect, form_of(found, response))
    ]
    headings = [
        "effect",
        "difference",
        "",
        "95% interval",
        "p",
        "p (Holm)",
        "least p",
        "detectable",
        "families",
        "said",
    ]
    return Sheet(heading, headings, rows, frozenset({"effect", "difference", "said"}))


def _contrasts(effect: Effect, form: Form) -> Iterator[list[str]]:
    for number, contrast in enumerate(effect.contrasts):
        first = number == 0
        yield [
            effect.name * first,
            contrast.name,
            form.signed(contrast.value),
            form.range(contrast.interval),
            probability(effect.test.p_value) * first,
            probability(effect.adjusted) * first,
            probability(effect.test.smallest) * first,
            "" if effect.detectable is None else form.plain(effect.detectable),
            str(effect.encoders) * first,
        ]


def _groups(found: Effects, heading: str) -> Sheet:
    form = form_of(found)
    rows = [
        [effect.name * (number == 0), group.level, form.plain(group.mean), ", ".join(group.encoders)]
        for effect in found.effects
        if effect.kind == "card" and effect.response == "score"
        for number, group in enumerate(effect.groups)
    ]
    return Sheet(heading, ["effect", "group", "mean", "families"], rows, frozenset({"effect", "group", "families"}))


def _steps(found: Effects, heading: str) -> Sheet:
    form = form_of(found)
    rows = [
        [
            step.lineage.child,
            step.lineage.parent,
            step.setting,
            form.signed(step.value),
            form.range(step.interval),
            probability(step.adjusted),
            step.verdict,
            step.lineage.kind,
            step.lineage.changed,
        ]
        for step in found.steps
    ]
    headings = ["encoder", "against", "setting", "difference", "95% interval", "p (Holm)", "said", "kind", "step"]
    return Sheet(heading, headings, rows, frozenset({"encoder", "against", "setting", "said", "kind", "step"}))
