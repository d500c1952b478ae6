"""`segrank encoders`: the catalogue, and one card of it."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.encoders_check import check

encoders_app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")

Family = Annotated[str, typer.Option(help="Such as DINOv2.")]
SizeName = Annotated[str, typer.Option(help="small, base, large, huge or giant, by parameters.")]
Mim = Annotated[str, typer.Option(help="Masked image modelling: none, pixels or abstract.")]
Supervision = Annotated[str, typer.Option(help="none, labels, image-text or masks; a teacher's counts.")]
Licence = Annotated[str, typer.Option(help="permissive, own-terms, non-commercial, or one by name.")]
Saw = Annotated[str, typer.Option(help="Saw images of this evaluation set, such as ade20k.")]
Paper = Annotated[bool, typer.Option("--paper", help="Only the twenty of arXiv 2404.12172.")]


@encoders_app.callback()
def encoders(
    context: typer.Context,
    family: Family = "",
    size: SizeName = "",
    mim: Mim = "",
    supervision: Supervision = "",
    licence: Licence = "",
    saw: Saw = "",
    paper: Paper = False,
    as_json: Annotated[bool, typer.Option("--json", help="All fields, as JSON.")] = False,
) -> None:
    """List the encoders of which a card is known: what they are and how they were pretrained.

    Filters add up. Every other model of timm runs as `timm:NAME` all the same.

    Example: `segrank encoders --mim abstract --size base --licence permissive`
    """
    if context.invoked_subcommand is not None:
        return
    from segrank.cards import CARDS
    from segrank.cards.select import select
    from segrank.console import encoders as console_encoders

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
    from segrank.cards import card_named
    from segrank.console import encoders as console_encoders

    console_encoders.print_card(card_named(name))


@encoders_app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="As `segrank encoders` lists them, `timm:NAME` or `hf:OWNER/NAME`."),
    ] = None,
    family: Family = "",
    size: SizeName = "",
    mim: Mim = "",
    supervision: Supervision = "",
    licence: Licence = "",
    saw: Saw = "",
    paper: Paper = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what is here and what is missing.")] = False,
) -> None:
    """Download pretrained weights into the Hugging Face cache; those that are there are left alone.

    Filters choose among the listed encoders and add up. Exits with 1 if any weights are missing in the end.

    Example: `segrank encoders fetch --paper --dry-run`
    """
    from segrank.cards import CARDS, card_named
    from segrank.cards.select import select
    from segrank.console.encoders import print_whereabouts

    filters = {
        "family": family, "size": size, "mim": mim, "supervision": supervision, "licence": licence, "saw": saw,
    }  # fmt: skip
    references = [name if name not in CARDS and ":" in name else card_named(name).reference for name in names or ()]
    if paper or any(filters.values()):
        references += [card.reference for card in select(CARDS.values(), **filters, paper=paper)]
    elif not references:
        raise typer.BadParameter("give names, or filters such as --paper")
    references = list(dict.fromkeys(references))
    if dry_run:
        from segrank.encoders.whereabouts import whereabouts

        places = [whereabouts(reference, ask_timm=True) for reference in references]
    else:
        from segrank.encoders.fetch import fetch_weights
        from segrank.progress import ConsoleReporter

        with ConsoleReporter() as reporter:
            places = fetch_weights(references, reporter=reporter)
    print_whereabouts(places)
    if any(place.status == "missing" for place in places):
        raise typer.Exit(1)


encoders_app.command()(check)
