"""What a recommendation says, in words. No torch."""

from __future__ import annotations

from segrank.ranking.agree_words import ranged
from segrank.ranking.agreement import FEWEST_SAMPLED
from segrank.ranking.phrases import counted, sentence
from segrank.ranking.recommend import Candidate, Recommendation
from segrank.ranking.recommend_export import share


def answer(of: Recommendation) -> str:
    """What to run instead of the target, and how sure that is."""
    wanted, target = of.wanted, of.target.name
    cheaper = "protocol cheaper than" if of.target_cost is not None else "protocol but"
    sure = f"tau of {wanted.tau:g} or more with {target}, with {wanted.confidence:.0%} confidence"
    if of.chosen is None:
        best = max((one for one in of.candidates if one.tau is not None), key=lambda one: one.tau or 0.0, default=None)
        most = f" The highest tau is {best.tau:.2f}, of {best.name}{_cost(best, of)}." if best else ""
        everyone = counted(len(of.target.of.encoders), "encoder")
        return f"No {cheaper} {target} orders {everyone} with a tau of {wanted.tau:g} or more.{most}"
    chosen = of.chosen
    over = counted(chosen.encoders, "encoder")
    left = of.left_out
    unseen = ""
    if left is not None and left.unseen_tau is not None:
        unseen = f" ({left.unseen_tau:.2f} on encoders that it was chosen without)"
    what = f"{chosen.name}: tau {chosen.tau:.2f} with {target} over {over}{unseen}{_cost(chosen, of)}"
    if of.shown:
        return f"{what}. It is the {_least(of)} with a {sure}."
    least = "" if chosen.at_least is None else f". For other such encoders it may be as low as {chosen.at_least:.2f}"
    return f"No {cheaper} {target} is shown to have a {sure}. The {_least(of)} by its scores is {what}{least}."


def _least(of: Recommendation) -> str:
    return "cheapest" if of.target_cost is not None else "one of highest tau"


def _cost(one: Candidate, of: Recommendation) -> str:
    part = share(one.cost, of.target_cost)
    return "" if part is None else f", at {percent(part)} of its {of.unit}"


def percent(part: float) -> str:
    return f"{100 * part:.3g} %"


def remarks(of: Recommendation) -> list[str]:
    """How stable the choice is, what it rests on, and how to read the columns."""
    lines = [*_validated(of), *_repeated(of), *_stable(of)]
    encoders = len(of.target.of.encoders)
    if encoders >= FEWEST_SAMPLED and of.needed is None:
        lines.append(
            f"{encoders} encoders are too few: even tau 1 would not show that others have {of.wanted.tau:g} or more, "
            f"with {of.wanted.confidence:.0%} confidence."
        )
    if encoders < FEWEST_SAMPLED:
        lines.append(f"{counted(encoders, 'encoder')} can say nothing of others: it takes {FEWEST_SAMPLED}.")
    lines.append(
        f"At least: the tau that other such encoders would have, with {of.wanted.confidence:.0%} confidence "
        f"(one-sided) for all {of.sets} protocols and sets together, so choosing among them changes nothing; scores "
        "and their noise as is."
    )
    if any(one.found and one.found.interval for one in of.candidates):
        lines.append(f"{of.options.level:.0%} interval: of the true orders' tau, these encoders.")
    if len(of.candidates) > 1 and of.wanted.most > 1:
        lines.append("a + b: the mean of standardised scores under both.")
    if of.unit:
        lines.append(
            f"Cost: {of.unit} of one encoder with all its seeds, in the mean; a set costs the sum. "
            "*: on the Pareto front, none that costs as little has a higher tau (of equals one is marked)."
        )
    notes = {setting.of.note for setting in of.settings if setting.of.note}
    return [*lines, *(sentence(note) for note in sorted(notes)), *(sentence(note) for note in of.notes)]


def _validated(of: Recommendation) -> list[str]:
    left, lines = of.left_out, []
    if of.by_chance is not None and of.chosen is not None and of.chosen.tau is not None:
        beyond = "" if of.chosen.tau > of.by_chance else ": the choice may be no more than chance"
        lines.append(
            f"If none of them knew anything of {of.target.name}'s order, the best of them would still reach "
            f"tau {of.by_chance:.2f} in {1 - of.wanted.confidence:.0%} of the cases{beyond}."
        )
    if left is None or of.chosen is None:
        return lines
    lines += [
        f"Choosing again without one encoder gives the same in {left.one:.0%} of the cases, without two in "
        f"{left.two:.0%}; without two its tau is {left.low:.2f} to {left.high:.2f}."
    ]
    if left.unseen_tau is not None:
        none = f"; for {left.none} nothing was chosen, or it ties them" if left.none else ""
        lines.append(
            f"Of {left.right + left.wrong} pairs of encoders that the choice was made without, {left.right} come in "
            f"the target's order (tau {left.unseen_tau:.2f}){none}."
        )
    return lines


def _repeated(of: Recommendation) -> list[str]:
    found = next((one.found for one in of.candidates if one.found and one.found.ceiling_x), None)
    if found is None or found.ceiling_x is None:
        return []
    ceiling = found.ceiling_x
    beyond = " More than that cannot be expected of any protocol." if ceiling.expected < of.wanted.tau else ""
    return [f"{of.target.name} repeated would have tau {ceiling.expected:.2f} ({ranged(ceiling)}) with itself.{beyond}"]


def _stable(of: Recommendation) -> list[str]:
    if of.along is None:
        return []
    first, last = of.along.stable_from(of.wanted.tau), of.along.points[-1]
    images = f"scored on {last.images:,} images"
    if first is None:
        return [f"The order of {of.target.name} was not stable before the end of training ({images})."]
    return [
        f"The order of {of.target.name} was stable after {percent(first)} of the steps: from there on, tau with its "
        f"final order is {of.wanted.tau:g} or more ({images}). A run of fewer steps lowers its learning rate sooner "
        "and is not the same."
    ]
