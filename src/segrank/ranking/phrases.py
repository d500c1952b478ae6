"""Pieces of what is said in words. No torch."""

from __future__ import annotations


def sentence(text: str) -> str:
    """With a capital in front and a full stop behind."""
    return text[:1].upper() + text[1:] + "." * (not text.endswith("."))
