"""`segrank encoders check`: whether one encoder is wired rightly."""

from __future__ import annotations

from typing import Annotated

import typer


def check(
    encoder: Annotated[
        str, typer.Argument(help="`timm:NAME?k=v`, `small:NAME`, `hf:NAME`, `file:model.py:build`, or a card's name.")
    ],
    weights: Annotated[str, typer.Option(help="`pretrained`, `random`, a file, or a folder.")] = "pretrained",
    crop: Annotated[str, typer.Option(help="Of the study, pixels: 512 or 512x1024 (height x width).")] = "512",
    patch_size: Annotated[int, typer.Option(min=1, max=256, help="Of the study, pixels.")] = 16,
    native: Annotated[
        str, typer.Option(metavar="CROP/PATCH", help="Size that an own model was trained at, such as 224/16.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    cost: Annotated[bool, typer.Option(help="Measure time and memory as well.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="All that was measured, as JSON.")] = False,
) -> None:
    """Tell, with evidence, whether an encoder is wired rightly, and what an image costs.

    Looks at shapes, gradients, registration, normalisation, final norm, prefix tokens, weights and resampling. Exits
    with 1 if something is wrong.

    Example: `segrank encoders check file:model.py:build --crop 512 --patch-size 16`
    """
    from segrank.cards import CARDS

    reference = CARDS[encoder].reference if encoder in CARDS else encoder
    trained_size, _, trained_patch = native.partition("/")
    if native and not trained_patch.isdecimal():
        raise typer.BadParameter(f"{native!r} is not CROP/PATCH, such as 224/16", param_hint="--native")
    size, trained_at = _size(crop), (_size(trained_size), int(trained_patch)) if native else None

    from segrank.console.encoders_check import print_encoder_report
    from segrank.encoders.check import check_encoder
    from segrank.encoders.checks.report import TESTS
    from segrank.progress import ConsoleReporter

    with ConsoleReporter() as reporter:
        report = check_encoder(
            reference,
            weights=weights,
            crop=size,
            patch_size=patch_size,
            device=device,
            native=trained_at,
            tests=[name for name in TESTS if cost or name != "cost"],
            on_test=lambda name, done, total: reporter.advance("check", done, total, name),
        )
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        print_encoder_report(report)
    if not report.ok:
        raise typer.Exit(1)


def _size(text: str) -> tuple[int, int]:
    """`512` or `512x1024` -> (height, width), pixels."""
    from pydantic import TypeAdapter, ValidationError

    from segrank.spec import Crop

    try:
        return TypeAdapter[tuple[int, int]](Crop).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r} is not 512 or 512x1024") from error
