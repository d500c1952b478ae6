"""`segrank encoders`: the catalogue, and one card of it."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli_encoders_check import check

encoders_app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")


@encoders_app.callback()
def encoders(
    context: typer.Context,
    family: Annotated[str, typer.Option(help="Such as DINOv2.")] = "",
    size: Annotated[str, typer.Option(help="small, base, large, huge or giant, by parameters.")] = "",
    mim: Annotated[str, typer.Option(help="Masked image modelling: none, pixels or abstract.")] = "",
    supervision: Annotated[str, typer.Option(help="none, labels, image-text or masks; a teacher's counts.")] = "",
    licence: Annotated[str, typer.Option(help="permissive, own-terms, non-commercial, or one by name.")] = "",
    saw: Annotated[str, typer.Option(help="Saw images of this evaluation set, such as ade20k.")] = "",
    paper: Annotated[bool, typer.Option("--paper", help="Only the twenty of arXiv 2404.12172.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All fields, as JSON.")] = False,
) -> None:
    """List the encoders of which a card is known: what they are and how they were pretrained.

    Filters add up. Every other model of timm runs as `timm:NAME` all the same.

    Example: `segrank encoders --mim abstract --size base --licence permissive`
    """
    if context.invoked_subcommand is not None:
        return
    from segrank import console_encoders
    from segrank.cards import CARDS
    from segrank.cards.select import select

    chosen = select(
        CARDS.values(),
        family=family,
        size=size,
        mim=mim,
        supervision=supervision,
        licence=licence,
        saw=saw,
        paper=paper,
    )
    if as_json:
        console_encoders.print_json(chosen)
    else:
        console_encoders.print_cards(chosen)


@encoders_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `segrank encoders` lists it, or timm's name.")],
) -> None:
    """Tell everything about one encoder, with the line that goes into a spec."""
    from segrank import console_encoders
    from segrank.cards import card_named

    console_encoders.print_card(card_named(name))


encoders_app.command()(check)
