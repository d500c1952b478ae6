"""How the catalogue of encoders looks on a terminal: in a table, or one card in full. No torch here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.table import Table

from segrank.cards import CARDS, LINEAGES, Card
from segrank.console.output import out
from segrank.encoders.hub import cached, card_file
from segrank.encoders.whereabouts import Whereabouts
from segrank.progress import plain

HEADINGS = ("name", "size", "M", "patch", "grid", "MIM", "supervision", "data", "saw", "licence", "here")
NUMBERS = ("M", "patch", "grid")
CUT = {"supervision", "data", "saw", "licence"}
"""Columns that give way where the terminal is narrow."""
SPARED = {"size", "grid", "data", "saw"}
"""Columns that a terminal narrower than WIDE does without."""
WIDE = 120
GAP = 2
UNKNOWN = "?"


def print_cards(cards: Sequence[Card]) -> None:
    """A row for each. On a terminal long cells are cut short, and a narrow one does without some columns."""
    console = out()
    headings = [heading for heading in HEADINGS if console.width >= WIDE or heading not in SPARED]
    rows = [_row(card) for card in cards]
    widths = {heading: max([len(heading), *(len(row[heading]) for row in rows)]) for heading in headings}
    while sum(widths.values()) + GAP * len(widths) > console.width:
        longest = max(CUT & widths.keys(), key=lambda heading: (widths[heading], heading))
        if widths[longest] <= len(longest):
            break
        widths[longest] -= 1
    table = Table(box=None, padding=(0, GAP, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(plain(_cut(row[heading], widths[heading])) for heading in headings))
    console.print(table)
    console.print(f"{len(cards)} of {len(CARDS)} encoders; `segrank encoders show NAME` tells all of one")


def print_json(cards: Sequence[Card]) -> None:
    """All fields of each, with those that follow from them, as a JSON list."""
    rows = []
    for card in cards:
        weights = cached(card_file(card))
        rows.append({**card.to_data(), "weights": str(weights) if weights else None})
    print(json.dumps(rows, indent=2))


def print_card(card: Card) -> None:
    """Everything that is known of one encoder."""
    facts = _facts(card)
    facts += [("note", note) for note in card.notes]
    if sys.stdout.isatty():
        grid = Table.grid(padding=(0, 2))
        for name, value in facts:
            grid.add_row(f"[bold]{name}", plain(value))
        out().print(grid)
    else:
        for name, value in facts:
            out().print(plain(f"{name:<17}{value}"), soft_wrap=True)


def print_whereabouts(places: Sequence[Whereabouts]) -> None:
    """A line for each, and what to do about those that are missing: once for all that the hub has."""
    console = out()
    for place in places:
        console.print(plain(f"{place.status:<8} {place.encoder}  {place.found}"), soft_wrap=True)
        if place.advice and not place.on_hub:
            console.print(plain(f"         {place.advice}"), soft_wrap=True)
    missing = [place for place in places if place.status == "missing"]
    if any(place.on_hub for place in missing):
        console.print(
            "`segrank encoders fetch NAME` gets them where there is a network; elsewhere put them into a folder as "
            "NAME.safetensors, and give --weights FOLDER",
            soft_wrap=True,
        )
    console.print(f"{len(places) - len(missing)} of {len(places)} are here")


def _row(card: Card) -> dict[str, str]:
    cells = (
        card.name,
        card.size,
        f"{card.parameters_m:.0f}",
        str(card.patch),
        str(card.grid),
        card.mim or UNKNOWN,
        _supervision(card),
        ", ".join(card.data) or UNKNOWN,
        ", ".join(exposure.dataset for exposure in card.saw),
        card.licence,
        "yes" if cached(card_file(card)) else "",
    )
    return dict(zip(HEADINGS, cells, strict=True))


def _facts(card: Card) -> list[tuple[str, str]]:
    weights = cached(card_file(card))
    fetch = f"not on this machine; {card.repository} on the hub: `segrank encoders fetch {card.name}`"
    missing = fetch if card.repository else "not on the hub: give a file"
    others = [other.name for other in CARDS.values() if other.family == card.family and other is not card]
    kind = "plain vision transformer" if card.plain else "hierarchical; the patch is the stride of its last map"
    flags = ("contrastive", "self_distillation", "autoregressive", "promptable")
    facts = [
        ("name", card.name),
        ("in a spec", f"encoder: {card.reference}"),
        ("family", card.family + (f" (also {', '.join(others)})" if others else "")),
        ("architecture", kind),
        ("parameters", f"{card.parameters_m:g} M without head: {card.size}"),
        ("features", f"{card.dim} channels, {'after' if card.final_norm else 'without'} a final norm"),
        ("native", f"patch {card.patch}, {card.image}x{card.image} pixels, grid {card.grid}x{card.grid}"),
        ("objective", card.objective),
        ("MIM", card.mim or "unknown"),
        ("supervision", _supervision(card)),
        ("also", ", ".join(flag.replace("_", "-") for flag in flags if getattr(card, flag)) or "nothing"),
        ("data", ", ".join(card.data) or "unpublished"),
        ("images seen", f"{card.images_seen_m:,.0f} million" if card.images_seen_m is not None else "unknown"),
        ("starts from", card.initialised_from or "scratch, as far as is known"),
        ("distilled from", ", ".join(card.distilled_from) or "nothing, as far as is known"),
    ]
    facts += [("saw", f"{seen.dataset}: {seen.how} ({seen.source})") for seen in card.saw]
    facts += [
        ("licence", f"{card.licence} ({card.terms})"),
        ("paper", f"{card.publisher} {card.year}, arXiv {card.paper}"),
        ("weights", str(weights) if weights else missing),
    ]
    for step in LINEAGES:
        if card.name == step.child:
            facts.append(("step", f"from {step.parent} ({step.kind}): {step.changed}"))
        elif card.name == step.parent:
            facts.append(("step", f"to {step.child} ({step.kind}): {step.changed}"))
    return facts


def _supervision(card: Card) -> str:
    """`labels, image-text (teacher)`."""
    parts = [kind if kind in card.supervision else f"{kind} (teacher)" for kind in card.supervised_by]
    return ", ".join(parts) or "none"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
