"""Pieces of what is said in words. No torch."""

from __future__ import annotations


def sentence(text: str) -> str:
    """With a capital in front, unless a name such as `lr=0.1` or `voc2012` is there, and a full stop behind."""
    named = any(letter in "=_0123456789" for letter in text.partition(" ")[0])
    return (text[:1] if named else text[:1].upper()) + text[1:] + "." * (not text.endswith("."))


def counted(number: int, what: str) -> str:
    """`1 encoder`, `2 encoders`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def probability(value: float | None) -> str:
    """Never 0 or 1: it comes from draws or an approximation."""
    if value is None:
        return ""
    return (
        "<0.001" if value < 0.001 else ">0.99" if value > 0.995 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    )
