"""The card of a weights file of one's own: NAME.card.json beside NAME.safetensors. No torch."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from segrank.cards.card import LICENCES, Card
from segrank.errors import WeightsError

_MAX_BYTES = 1 << 20


def card_file(weights: Path) -> Path:
    """Where the card of a weights file lies, if it has one."""
    return weights.with_suffix(".card.json")


def card_beside(weights: Path) -> Card | None:
    """The card that lies beside a weights file, or none.

    Raises:
        WeightsError: there is one, and it is no card.
    """
    path = card_file(weights)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise WeightsError(f"{path} is over {_MAX_BYTES} bytes", wanted="a card, as `segrank pretrain` writes it")
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Card)}
        card: Card = TypeAdapter(Card).validate_python({k: v for k, v in content.items() if k in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, RecursionError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path} is no card: {reason}",
            wanted="a card, as `segrank pretrain` writes it",
            fix="remove it, and the weights have none",
        ) from None
    if card.licence not in LICENCES:
        raise WeightsError(f"{path} has the licence {card.licence[:80]!r}", wanted=f"one of {', '.join(LICENCES)}")
    return card
