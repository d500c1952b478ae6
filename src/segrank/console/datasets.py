"""How the named datasets look on a terminal: all in a table, or one in full. Piped, plain text. No torch here."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path

from rich import box
from rich.table import Table

from segrank.cards import seen_by
from segrank.console.output import out
from segrank.data import open_dataset
from segrank.data.dataset import Dataset
from segrank.data.official import OFFICIAL
from segrank.data.official.dataset import OfficialDataset
from segrank.data.official.find import ROOT_VARIABLE, data_root, look_for, places, sources
from segrank.data.official.official import Official
from segrank.data.scenes import SceneOptions, open_scenes
from segrank.errors import DataError
from segrank.progress import plain

ENCODER = "timm:vit_base_patch16_224.mae"
"""Of the example commands."""


def print_datasets(root: str | os.PathLike[str] | None) -> None:
    """A row for each: name, title, classes, official images per split, and what of it is found.

    Raises:
        DataError: the root is no folder.
    """
    folder = data_root(root)
    table = Table("name", "title", box=None if not sys.stdout.isatty() else box.SIMPLE_HEAD)
    table.add_column("classes", justify="right")
    for name in ("images", "found"):
        table.add_column(name, overflow="fold")
    for name, official in OFFICIAL.items():
        table.add_row(
            name,
            official.card.title,
            str(len(official.definition.classes)),
            _counts(official.card.images, most=3),
            plain(_state(official, folder)) if folder else "",
        )
    table.add_row("scenes", "generated scenes", str(len(open_scenes({}).classes)), _counts(_scene_images()), "drawn")
    console = out()
    console.print(table)
    if folder:
        console.print(plain(f"Looked in {folder}, and in folders there that have a dataset's name."))
    else:
        console.print(f"To see what of these is here, give --root FOLDER or set ${ROOT_VARIABLE}.")
    console.print("One of them in full: segrank datasets NAME. Any other: a YAML file, see docs/add-a-dataset.md.")


def print_dataset(reference: str, root: str | os.PathLike[str] | None) -> None:
    """All that is known of one dataset.

    Raises:
        DataError: there is no dataset of that name; the nearest one is named.
    """
    if Path(reference).suffix.lower() in (".yaml", ".yml"):
        raise DataError(f"{reference} is a YAML file, not a name", fix=f"segrank data check {reference}")
    dataset = open_dataset(reference, root)
    facts = _official_facts(dataset) if isinstance(dataset, OfficialDataset) else _scene_facts()
    facts.append((f"{len(dataset.classes)} classes", ", ".join(dataset.classes)))
    facts.append(("example", _example(dataset, reference, root)))
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(f"[bold]{name}", plain(value))
    if sys.stdout.isatty():
        out().print(grid)
    else:
        for name, value in facts:
            out().print(plain(f"{name:<13}{value}"), soft_wrap=True)


def _official_facts(dataset: OfficialDataset) -> list[tuple[str, str]]:
    official, card = dataset.official, dataset.official.card
    facts = [
        ("name", dataset.name),
        ("title", card.title),
        ("shows", card.about),
        ("images", _counts(card.images) + (" officially, in all parts" if dataset.parts else " officially")),
        ("licence", card.licence),
        ("get it from", card.home),
        ("paper", card.paper),
    ]
    if official.definition.resize_labels:
        facts.append(("masks", "of another size than their image are resized to it, by nearest"))
    if official.unpaired:
        facts.append(("left out", f"up to {official.unpaired} images that lack a mask, or masks that lack an image"))
    for exposure, encoders in seen_by(official.definition.name).items():
        facts.append(("pretraining", f"{', '.join(encoders)}: {exposure.how} ({exposure.source})"))
    lines: dict[str, list[str]] = {}
    for one in look_for(official.parts, places(official, dataset.root) if dataset.root else ()):
        if dataset.parts:  # an unpacked folder does not say which file came from which archive
            one = dataclasses.replace(one, folder=None)
        if one.archive:
            names, place = one.archive.name, one.archive.parent
        elif one.folder:
            names, place = f"{one.part.unpacked}, unpacked", one.folder
        else:
            names, place = " or ".join(one.part.archives), None
        which = "" if one.part.splits == dataset.splits else f" (for {', '.join(one.part.splits)})"
        kind = f"found in {place}" if place else "missing" if dataset.root else "archives"
        lines.setdefault(kind, []).append(names + which)
    facts.extend(("archives", f"{'' if kind == 'archives' else f'{kind}: '}{', '.join(lines[kind])}") for kind in lines)
    if dataset.root is None:
        facts.append(("found", f"unknown: give --root FOLDER or set ${ROOT_VARIABLE}"))
    return facts


def _scene_facts() -> list[tuple[str, str]]:
    options = "&".join(f"{name}={value}" for name, value in SceneOptions().model_dump().items())
    return [
        ("name", "scenes"),
        ("title", "generated scenes"),
        (
            "shows",
            "Landscapes with objects, drawn on demand: to try a study out, not to rank encoders for real images.",
        ),
        ("images", f"{_counts(_scene_images())}; shift is val in the other look"),
        ("options", f"scenes?{options}"),
        ("licence", "that of segrank"),
    ]


def _example(dataset: Dataset, reference: str, root: str | os.PathLike[str] | None) -> str:
    quote = "'" if "?" in reference else ""
    command = f"segrank run --encoder {ENCODER} --dataset {quote}{reference}{quote}"
    fields = {"crop": "96", "steps": "2000"}
    if isinstance(dataset, OfficialDataset):
        fields = dataset.official.card.protocol
        if root is not None or dataset.root is None:
            command += f" --root {shlex.quote(str(root or 'FOLDER'))}"
    return command + "".join(f" --set {name}={value}" for name, value in fields.items())


def _state(official: Official, root: Path) -> str:
    """`archives`, `unpacked in ADE20K`, or what is missing."""
    found = look_for(official.parts, places(official, root))
    lacking = [one.part.archives[0] for one in found if one.missing]
    if len(lacking) == len(found):
        return "no"
    if lacking:
        more = ", ..." if len(lacking) > 2 else ""
        return f"{len(lacking)} of {len(found)} parts missing: {', '.join(lacking[:2])}{more}"
    forms: dict[str, None] = {}
    for path in sources(found):
        form, place = ("unpacked", path) if path.is_dir() else ("archives", path.parent)
        forms[form if place == root else f"{form} in {place.name}"] = None
    return ", ".join(forms)


def _counts(images: dict[str, int], most: int = 99) -> str:
    """Of the splits without a hyphen first, which are the whole of the others."""
    ordered = sorted(images.items(), key=lambda item: "-" in item[0])
    more = f", and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(f"{split} {count:,}" for split, count in ordered[:most]) + more


def _scene_images() -> dict[str, int]:
    scenes = open_scenes({})
    return {split: len(scenes.split(split)) for split in scenes.splits}
