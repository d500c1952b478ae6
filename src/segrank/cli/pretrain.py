"""`segrank pretrain`: encoders that differ in what they were trained to do, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.run_options import (
    CheckpointOption,
    DeviceOption,
    DevicesOption,
    EngineOption,
    HangOption,
    JobsOption,
    RayOption,
    RetryOption,
    RootOption,
    SetOption,
    ShardOption,
    SlurmOption,
    StoreOption,
    TriesOption,
    WorkersOption,
    parse_shard,
)
from segrank.store import DEFAULT_STORE
from segrank.study.coordinator import HANG_S
from segrank.study.engines import Engine
from segrank.study.state import TRIES


def pretrain(
    source: Annotated[
        str,
        typer.Argument(
            metavar="OBJECTIVES.yaml|STUDY", help="Objectives, seeds and what they share, or a study that has some."
        ),
    ],
    assignments: SetOption = [],  # noqa: B006
    only: Annotated[
        list[str], typer.Option(metavar="NAME", help="This objective of the file alone; can be repeated.")
    ] = [],  # noqa: B006
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Copy the encoders there by name, with their cards, in half precision."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of these copies, as their cards say it.")] = "own",
    store: StoreOption = Path(DEFAULT_STORE),
    root: RootOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    workers: WorkersOption = None,
    checkpoint_every: CheckpointOption = 300,
    jobs: JobsOption = None,
    tries: TriesOption = TRIES,
    retry: RetryOption = False,
    hang_after: HangOption = HANG_S,
    on: EngineOption = Engine.LOCAL,
    slurm: SlurmOption = [],  # noqa: B006
    ray: RayOption = [],  # noqa: B006
    shard: ShardOption = "1/1",
) -> None:
    """Pretrain one architecture on one set of images within one budget, with the objective alone varied.

    - `supervised`: which classes an image shows, told by its mask

    - `pixel-mim`: pixels of masked patches (MAE)

    - `abstract-mim`: features of masked patches, from a moving average of itself (data2vec)

    - `self-distillation`: views of an image alike, in a moving average of itself (DINO)

    - `contrastive`: views of an image nearer to each other than to other images (SimCLR)

    - `promptable`: the mask of what was clicked, whatever its class

    - `none`: the weights that all of them begin with

    The same command goes on after a stop, and finds what is done. It needs `pip install 'segrank[pretrain]'`. To rank
    what comes of it in one go, see `segrank study objectives`.

    Examples: `segrank pretrain mine.yaml --only pixel-mim --set steps=2000`, `segrank pretrain objectives --root /data`
    """
    from segrank.console.pretrain import print_pretrainings
    from segrank.console.study import StudyBoard, print_result
    from segrank.errors import SpecError
    from segrank.files import nearest
    from segrank.pretrain.publish import copy_encoders
    from segrank.pretrain.spec import read_pretrainings
    from segrank.pretrain.store import PretrainStore
    from segrank.spec import parse_overrides
    from segrank.study.engines import engine
    from segrank.study.run_study import pretrain_all
    from segrank.study.study import study_file

    file = study_file(source)
    chosen = read_pretrainings(file, parse_overrides(assignments))
    names = list(dict.fromkeys(one.called for one in chosen))
    for name in only:
        if name not in names:
            raise SpecError(
                f'{file} has no "{name[:80]}"', wanted=f"one of {', '.join(names)}", fix=nearest(name, names)
            )
    with StudyBoard() as board:
        executor = engine(on, slurm=slurm, ray=ray, store=store, at_once=jobs, say=board.say)
        result = pretrain_all(
            [one for one in chosen if not only or one.called in only],
            name=file.stem,
            store=store,
            root=root,
            device=device,
            devices=devices,
            workers=workers,
            checkpoint_every_s=checkpoint_every,
            jobs=jobs,
            tries=tries,
            retry=retry,
            hang_after_s=hang_after,
            shard=parse_shard(shard),
            executor=executor,
            board=board,
        )
    print_result(result)
    results = PretrainStore(store)
    records = [record for unit in result.pretrainings if (record := results.published(unit.key))]
    print_pretrainings(records, store)
    if into is not None:
        copy_encoders(records, results, into, licence=licence)
    if not result.ok:
        raise typer.Exit(130 if result.stopped else 1)
