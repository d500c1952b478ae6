"""What a diagnosis comes to, in words. No torch."""

from __future__ import annotations

from segrank.ranking.diagnostics import Diagnosis


def answer(diagnosis: Diagnosis) -> str:
    """How many signs there are, and of what."""
    seen = [one.name for one in diagnosis.findings if one.verdict == "seen"]
    open_ = [one.name for one in diagnosis.findings if one.verdict == "cannot be told"]
    if not diagnosis.findings:
        return "There are no data for any diagnostic: it takes several settings, random weights, or runs of a store."
    left = f"; of {len(open_)} nothing can be told" if open_ else ""
    count = len(diagnosis.findings)
    if not seen:
        return f"None of {count} diagnostics shows a sign against the ranking{left}."
    return f"{len(seen)} of {count} diagnostics show{'s' * (len(seen) == 1)} a sign{left}. Seen: {'; '.join(seen)}."
