"""The catalogue of encoders, as data: the fields that lists and rankings group by. No torch, no timm.

A card says what timm's weights of one name are: how they were pretrained, on what, from whose weights, and under which
licence. Everything else in timm runs by name just as well; it only has no card.
"""

from __future__ import annotations

from segrank.cards import image_text, labels, masked, self_distilled, spatial
from segrank.cards.card import Card, Exposure, Lineage
from segrank.cards.lineages import lineages
from segrank.errors import EncoderError
from segrank.files import nearest

__all__ = ["CARDS", "LINEAGES", "Card", "Exposure", "Lineage", "card_named", "card_of", "seen_by", "untrained"]

CARDS: dict[str, Card] = {
    card.name: card for card in (*self_distilled.CARDS, *masked.CARDS, *image_text.CARDS, *labels.CARDS, *spatial.CARDS)
}
"""Name -> card, one family after another."""
LINEAGES: tuple[Lineage, ...] = tuple(lineages(CARDS.values()))

_BY_TIMM = {card.timm: card for card in CARDS.values()} | {
    card.timm.partition(".")[0]: card for card in CARDS.values() if card.timm_default
}


def card_of(reference: str, weights: str = "pretrained") -> Card | None:
    """The card of what a spec's `encoder` and `weights` name; None where nothing is known of it.

    Options (`timm:NAME?k=v`) make another model of it, and what a file holds is not known: both have no card. With
    random weights the architecture is the card's and the pretraining is none.

    >>> card_of("timm:vit_base_patch16_224.mae").family
    'MAE'
    """
    scheme, _, name = reference.partition(":")
    card = _BY_TIMM.get(name) if scheme == "timm" else None
    if card is None or weights == "pretrained":
        return card
    return untrained(card) if weights == "random" else None


def untrained(card: Card) -> Card:
    """The floor of an encoder: its architecture with random weights."""
    return Card(
        name=f"{card.name}-random",
        family=f"{card.family}, random weights",
        timm=card.timm,
        plain=card.plain,
        on_hub=False,
        parameters_m=card.parameters_m,
        dim=card.dim,
        patch=card.patch,
        image=card.image,
        final_norm=card.final_norm,
        objective="none",
        mim="none",
        data=(),
        images_seen_m=0,
        licence="none",
        paper=card.paper,
        year=card.year,
        publisher=card.publisher,
    )


def seen_by(dataset: str) -> dict[Exposure, list[str]]:
    """How pretraining came to see the images of a dataset, and the names of the encoders so pretrained."""
    found: dict[Exposure, list[str]] = {}
    for card in CARDS.values():
        for exposure in card.saw:
            if exposure.dataset == dataset:
                found.setdefault(exposure, []).append(card.name)
    return found


def card_named(name: str) -> Card:
    """The card with a name; its reference, or timm's name, will do.

    Raises:
        EncoderError: there is none, with the nearest name.
    """
    card = CARDS.get(name) or card_of(name) or card_of(f"timm:{name}")
    if card is None:
        raise EncoderError(
            f'there is no card for "{name[:120]}"',
            wanted="a name that `segrank encoders` lists",
            fix=nearest(name, list(CARDS)) or "a model of timm without a card runs as timm:NAME all the same",
        )
    return card
