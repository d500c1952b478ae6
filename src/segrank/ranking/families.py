"""Which encoders are of one family, and so no independent evidence where encoders are taken as a sample. No torch."""

from __future__ import annotations

import polars as pl

from segrank.cards import CARDS, Card, card_of


def families_of(rows: pl.DataFrame) -> dict[str, str]:
    """Label -> family, as the table says; an encoder that is its own family may have a card by its name."""
    pairs = rows.unique("label", keep="first", maintain_order=True).select("encoder_id", "label", "family").rows()
    cards = {label: card_for(encoder) if family == label else None for encoder, label, family in pairs}
    return {label: card.family if (card := cards[label]) else family for _, label, family in pairs}


def card_for(encoder: str) -> Card | None:
    """The card of an encoder that is called by a card's name, by timm's name, or by a reference."""
    return CARDS.get(encoder) or card_of(encoder) or card_of(f"timm:{encoder}")
