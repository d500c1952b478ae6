"""Choose cards by what they say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from segrank.cards.card import LICENCES, Card, EvaluationSet, Mim, Size, Supervision, Terms
from segrank.errors import EncoderError
from segrank.files import nearest


def select(
    cards: Iterable[Card],
    *,
    family: str = "",
    size: str = "",
    mim: str = "",
    supervision: str = "",
    licence: str = "",
    saw: str = "",
    paper: bool = False,
) -> list[Card]:
    """The cards that satisfy all that is given, in their order; an empty text asks for nothing.

    Args:
        cards: to choose from.
        family: as the card says, upper or lower case.
        size: small, base, large, huge or giant.
        mim: none, pixels or abstract.
        supervision: none, labels, image-text or masks, direct or through a teacher.
        licence: its name, or permissive, own-terms or non-commercial.
        saw: an evaluation set whose images the pretraining is known to have seen.
        paper: only the twenty of arXiv 2404.12172.

    Raises:
        EncoderError: a value that no card can have, with the nearest that one can.
    """
    cards = list(cards)
    families = list(dict.fromkeys(card.family for card in cards))
    if family:
        by_lower = {known.lower(): known for known in families}
        family = by_lower.get(family.lower()) or _one_of("family", family, families)
    if size:
        _one_of("size", size, get_args(Size))
    if mim:
        _one_of("mim", mim, get_args(Mim))
    if supervision:
        _one_of("supervision", supervision, ("none", *get_args(Supervision)))
    if licence:
        _one_of("licence", licence, (*get_args(Terms), *LICENCES))
    if saw:
        _one_of("saw", saw, get_args(EvaluationSet))
    return [
        card
        for card in cards
        if (not family or card.family == family)
        and (not size or card.size == size)
        and (not mim or card.mim == mim)
        and (not supervision or supervision in (card.supervised_by or ("none",)))
        and (not licence or licence in (card.licence, card.terms))
        and (not saw or any(exposure.dataset == saw for exposure in card.saw))
        and (not paper or card.in_paper)
    ]


def _one_of(what: str, value: str, known: Iterable[str]) -> str:
    known = list(known)
    if value in known:
        return value
    raise EncoderError(
        f'no card has the {what} "{value[:80]}"', wanted=f"one of {', '.join(known)}", fix=nearest(value, known)
    )
