"""How far settings agree, in words. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segrank.ranking.agree import Agreements, Pair
from segrank.ranking.agreement import FEWEST_SAMPLED, Ceiling, TauInterval
from segrank.ranking.phrases import counted, sentence
from segrank.ranking.ranks import holm
from segrank.ranking.settings import Setting


def answer(agreements: Agreements) -> str:
    """How far they agree, and whether noise alone would explain it."""
    level = agreements.options.level
    if len(agreements.pairs) == 1:
        return _of_one(agreements.pairs[0], level)
    known = [pair for pair in agreements.pairs if pair.found.tau is not None]
    if not known:
        return f"There is no tau between any of {len(agreements.settings)} settings."
    least, most = (of(known, key=lambda pair: pair.found.tau or 0.0) for of in (min, max))
    head = f"tau is {tau_text(most)} in all {len(known)} pairs of {len(agreements.settings)} settings."
    if tau_text(least) != tau_text(most):
        head = (
            f"Of {len(known)} pairs of {len(agreements.settings)} settings, tau is highest between {_between(most)} "
            f"({tau_text(most)}{_as_others(most, known)}) and lowest between {_between(least)} "
            f"({tau_text(least)}{_as_others(least, known)})."
        )
    judged = [pair.found.same_order for pair in known if pair.found.same_order is not None]
    if not judged:
        return f"{head} Whether any two orders differ by more than noise cannot be told."
    apart = int((holm(np.array(judged)) <= 1 - level).sum())
    of = f"{len(judged)} pairs" if len(judged) == len(known) else f"the {len(judged)} pairs with known errors"
    do = "the orders differ" if apart else "do the orders differ"
    return f"{head} In {apart or 'none'} of {of} {do} by more than {_noise(known)} explains."


def _as_others(pair: Pair, pairs: Sequence[Pair]) -> str:
    others = sum(abs((other.found.tau or 0.0) - (pair.found.tau or 0.0)) < 1e-9 for other in pairs) - 1
    return f", as in {others} other{'s' * (others > 1)}" if others else ""


def _of_one(pair: Pair, level: float) -> str:
    found, names = pair.found, _between(pair)
    if found.tau is None:
        why = (
            "all are tied on one side"
            if len(found.encoders) > 1
            else f"they share {counted(len(found.encoders), 'encoder')}"
        )
        return f"There is no tau between {names}: {why}."
    interval = f", {level:.0%} interval {ranged(found.interval)}" if found.interval else ""
    head = f"tau between {names} is {tau_text(pair)}{interval}, over {counted(len(found.encoders), 'encoder')}."
    if found.if_same is None or found.same_order is None:
        return f"{head} Whether the orders differ by more than noise cannot be told."
    if found.flipped == 0 and found.tau > 1 - 1e-9:
        return f"{head} It is the same order in both."
    noise = f"Were the true orders the same, noise would leave {found.if_same.expected:.2f} ({ranged(found.if_same)})"
    if found.same_order <= 1 - level:
        return f"{head} {noise}: they differ by more than {_noise([pair])} explains."
    return f"{head} {noise}: {_noise([pair])} alone may explain the difference."


def _noise(pairs: Sequence[Pair]) -> str:
    """What is known of it: that of seeds and images, or of one of them."""
    covers = [side.of.covers for pair in pairs for side in (pair.x, pair.y) if pair.found.same_order is not None]
    if all("seeds" in sources for sources in covers):
        everywhere = all("images" in sources for sources in covers)
        return "noise" if everywhere else "the noise of seeds on these images"
    return "the choice of images for these weights"


def remarks(agreements: Agreements) -> list[str]:
    """What is covered and what is not, and how to read the columns."""
    level = f"{agreements.options.level:.0%}"
    lines = [*_not_covered(agreements.settings), *(sentence(note) for note in agreements.notes)]
    founds = [pair.found for pair in agreements.pairs]
    few = [pair for pair in agreements.pairs if pair.found.families < FEWEST_SAMPLED]
    if few:
        lines.append(
            f"{len(few)} of {len(founds)} pairs share fewer than {FEWEST_SAMPLED} families of encoders: too few to "
            "speak of others."
        )
    if any("for more than" in found.note or "for fewer than" in found.note for found in founds):
        lines.append("Pairs with fewer than 3 or more than 100 shared encoders have no interval of their own order.")
    lines.append(
        "tau: Kendall's tau-b over the encoders that both have; weighted tau: exchanges at the top count more. "
        "p: of orders that have nothing to do with each other, for each pair by itself."
    )
    if any(found.interval_encoders for found in founds):
        lines.append(
            f"Other encoders: {level} interval if these are a sample of encoders, those of a family counted once, "
            "scores and their noise as is."
        )
    if any(found.interval for found in founds):
        lines.append(
            f"{level} interval: of the true orders' tau, these encoders. One order: the tau that noise would leave if "
            "both true orders were the same; p(one order): of a tau as low as this then. Ceiling: of a setting with "
            "its own repetition."
        )
        lines.append("A flip is real if both orders are established (paired tests, Holm over all pairs of encoders).")
    return lines


def _not_covered(settings: Sequence[Setting]) -> list[str]:
    notes: dict[str, list[str]] = {}
    for setting in settings:
        notes.setdefault(setting.of.note, []).append(setting.name)
    lines = []
    for note, names in notes.items():
        if note:
            where = "" if len(notes) == 1 else f" ({', '.join(names[:6])}{', ...' * (len(names) > 6)})"
            lines.append(sentence(f"{note}{where}"))
    if any(setting.of.covers == ("images",) for setting in settings):
        lines.append("Where there is one seed, the true order is that of these weights.")
    return lines


def _between(pair: Pair) -> str:
    return f"{pair.x.name} and {pair.y.name}"


def tau_text(pair: Pair) -> str:
    return "" if pair.found.tau is None else f"{pair.found.tau:.2f}"


def ranged(of: TauInterval | Ceiling | None) -> str:
    return f"{of.low:.2f} to {of.high:.2f}" if of else ""
