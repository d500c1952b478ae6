"""`segrank pretrain`: encoders that differ in what they were trained to do, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.progress import ConsoleReporter
from segrank.store import DEFAULT_STORE


def pretrain(
    file: Annotated[Path, typer.Argument(metavar="OBJECTIVES.yaml", help="Objectives, seeds and what they share.")],
    assignments: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A field of all of them; can be repeated.")
    ] = [],  # noqa: B006
    only: Annotated[
        list[str], typer.Option(metavar="NAME", help="This objective of the file alone; can be repeated.")
    ] = [],  # noqa: B006
    store: Annotated[Path, typer.Option(envvar="SEGRANK_STORE", help="The results folder.")] = Path(DEFAULT_STORE),
    root: Annotated[Path | None, typer.Option(help="Where named datasets lie; by default $SEGRANK_DATA.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs to train on together (DDP).")] = 1,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that prepare views, for each device.")] = 0,
    checkpoint_every: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Work that a kill may cost.")] = 120,
) -> None:
    """Pretrain one architecture on one set of images within one budget, with the objective alone varied.

    - `supervised`: which classes an image shows, told by its mask

    - `pixel-mim`: pixels of masked patches (MAE)

    - `abstract-mim`: features of masked patches, from a moving average of itself (data2vec)

    - `self-distillation`: views of an image alike, in a moving average of itself (DINO)

    - `contrastive`: views of an image nearer to each other than to other images (SimCLR)

    - `promptable`: the mask of what was clicked, whatever its class

    The same command goes on after a stop, and finds what is done. It needs `pip install 'segrank[pretrain]'`.

    Example: `segrank pretrain examples/objectives.yaml --only pixel-mim --set steps=2000`
    """
    from segrank.errors import SpecError
    from segrank.files import nearest
    from segrank.pretrain.spec import read_pretrainings
    from segrank.spec import parse_overrides

    chosen = read_pretrainings(file, parse_overrides(assignments))
    names = list(dict.fromkeys(one.name for one in chosen))
    for name in only:
        if name not in names:
            raise SpecError(
                f'{file} has no "{name[:80]}"', wanted=f"one of {', '.join(names)}", fix=nearest(name, names)
            )
    try:
        from segrank.pretrain.runner import pretrain as run
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("lightly", "pytorch_lightning")):
            raise
        raise SpecError("pretraining needs the package lightly", fix="pip install 'segrank[pretrain]'") from None
    from segrank.console.pretrain import print_pretrainings

    records = []
    with ConsoleReporter() as reporter:
        for one in chosen:
            if only and one.name not in only:
                continue
            record = run(
                one.spec,
                name=one.name,
                store=store,
                root=root,
                device=device,
                devices=devices,
                workers=workers,
                checkpoint_every_s=checkpoint_every,
                reporter=reporter,
            )
            if record.status == "interrupted":
                raise typer.Exit(130)
            records.append(record)
    print_pretrainings(records, store)
