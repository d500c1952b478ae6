"""Encoders by the names that a user gives. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segrank.errors import RankingError
from segrank.files import nearest
from segrank.ranking.where import cut


def encoder_named(text: str, labels: Sequence[str]) -> str:
    """The label that is meant: `text` itself, or the only one that fits it; `*` stands for any text.

    Raises:
        RankingError: there is none, or there are several.
    """
    if text in labels:
        return text
    pattern = ".*".join(map(re.escape, text.split("*")))
    fitting = [label for label in labels if re.fullmatch(pattern, label, re.DOTALL | re.IGNORECASE)]
    if len(fitting) == 1:
        return fitting[0]
    some = ", ".join(map(cut, (fitting or labels)[:20]))
    more = f" and {len(fitting or labels) - 20} more" if len(fitting or labels) > 20 else ""
    if fitting:
        raise RankingError(f'"{text[:80]}" may be any of {len(fitting)} encoders', wanted=f"one of {some}{more}")
    raise RankingError(
        f'there is no encoder "{text[:80]}"', wanted=f"one of {some}{more}", fix=nearest(text, list(labels))
    )
