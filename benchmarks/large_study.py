"""A large study as its runs would leave it, with made-up scores: 50 encoders x 12 settings x 5 seeds, 150 classes.

    python benchmarks/large_study.py FOLDER [IMAGES [ENCODERS [SETTINGS [SEEDS]]]]

3,000 runs, each with counts per image of its final evaluation (500 images, about ten classes in each) and of three
along the way (a fifth of the images). Files are written without the disk's promise, by no run's hand: a quarter of a
gigabyte, and a few minutes.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segrank.cards import CARDS, Card
from segrank.counts import CONFUSION, SCHEMA, scores
from segrank.files import digest
from segrank.record import Cost, Evaluation, Provenance, Record
from segrank.spec import RunSpec, identity, key_of
from segrank.store import Store

SETTINGS: dict[str, dict[str, Any]] = {
    "base": {}, "freeze": {"freeze": True}, "mask2former": {"decoder": "mask2former"}, "patch8": {"patch_size": 8},
    "voc": {"dataset": "voc2012"}, "cityscapes": {"dataset": "cityscapes"}, "short": {"steps": 10_000},
    "crop256": {"crop": "256x256"}, "lr-low": {"lr": 3e-5}, "lr-high": {"lr": 3e-4}, "batch8": {"batch_size": 8},
    "frozen-mask2former": {"decoder": "mask2former", "freeze": True},
}  # fmt: skip
HOURS = {"freeze": 0.3, "patch8": 4.0, "short": 0.25, "crop256": 0.3, "mask2former": 1.6, "frozen-mask2former": 0.5}
CLASSES = tuple(f"{kind} {number}" for number in range(30) for kind in ("wall", "tree", "person", "lamp", "rug"))
ALONG = (0.25, 0.5, 0.75)


class Scenes(NamedTuple):
    """The labelled pixels of a split, one entry for each class in each image."""

    names: NDArray[np.str_]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    pixels: NDArray[np.int64]


def scenes(dataset: str, images: int, random: np.random.Generator) -> Scenes:
    """Common classes are in most images, rare ones in a few."""
    classes = len(CLASSES)
    there = random.random((images, classes)) < np.clip(1.2 / np.arange(1, classes + 1) ** 0.75, 0.02, 0.9)
    there[np.arange(classes) % images, np.arange(classes)] = True
    image, label = np.nonzero(there)
    size = np.exp(random.normal(0, 1, len(image)))
    share = size / np.bincount(image, size)[image]
    names = np.array([f"{dataset}/val/{number:08}" for number in range(images)])
    return Scenes(names, image, label, np.maximum(1, 250_000 * share).astype(np.int64))


def counts(on: Scenes, right: NDArray[np.float64], random: np.random.Generator, images: int) -> pl.DataFrame:
    """A run's table of counts, in which so much of every entry is right and the rest goes to two other classes."""
    some = on.image < images
    image, label, pixels = on.image[some], on.label[some], on.pixels[some]
    hits = np.rint(pixels * np.clip(right[some] + random.normal(0, 0.08, len(label)), 0.02, 0.99)).astype(np.int64)
    first = np.rint((pixels - hits) * 0.7).astype(np.int64)
    other = (label + random.choice([1, 2, 5, 11], len(label))) % len(CLASSES)
    third = (label * 7 + 3 + random.integers(0, 3, len(label))) % len(CLASSES)
    third = np.where((third == label) | (third == other), (third + 17) % len(CLASSES), third)
    table = pl.DataFrame(
        {
            "image": on.names[np.tile(image, 3)],
            "kind": CONFUSION,
            "a": np.tile(label, 3),
            "b": np.concatenate([label, other, third]),
            "pixels": np.concatenate([hits, first, pixels - hits - first]),
        }
    )
    return table.filter(pl.col("pixels") > 0).select(SCHEMA.names()).cast(SCHEMA)


def total(table: pl.DataFrame) -> NDArray[np.int64]:
    found = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(found, (table["a"].to_numpy(), table["b"].to_numpy()), table["pixels"].to_numpy())
    return found


def write_run(
    store: Store, spec: RunSpec, card: Card, tables: dict[float, pl.DataFrame], hours: float, images: int
) -> None:
    """What a finished run leaves.

    Args:
        store: to put it into.
        spec: of the run.
        card: of its encoder.
        tables: share of the steps -> counts then.
        hours: of training.
        images: of the split.
    """
    identified = identity(spec, {"dataset": f"sha256:{digest(spec.dataset)}"}, "fp32")
    key = key_of(identified)
    folder, final = store.run_folder(key), ""
    for progress, table in tables.items():
        evaluation = Evaluation(
            key=digest(f"{key} {progress}")[:16], run=key, dataset=spec.dataset, split="val", precision="fp32",
            dataset_digest=f"sha256:{digest(spec.dataset)}", step=int(progress * spec.steps), final=progress == 1,
            classes=CLASSES, images=images if progress == 1 else images // 5, scores=scores(total(table), CLASSES),
            seconds=0.02 * images,
        )  # fmt: skip
        place = folder / "evaluations" / evaluation.key
        place.mkdir(parents=True)
        table.write_parquet(place / "counts.parquet", compression="zstd", statistics=False)
        known = evaluation.model_copy(update={"counts_sha256": digest(place / "counts.parquet")})
        (place / "scores.json").write_text(known.to_json())
        final = evaluation.key
    record = Record(
        key=key, status="ok", spec=spec, identity=identified, precision="fp32", attempt="0" * 12, step=spec.steps,
        final=final, card=card.to_data(),
        cost=Cost(train_s=3600 * hours, peak_host_gib=9.5, encoder_parameters=86_000_000),
        provenance=Provenance(segrank="0.1.0", torch="2.13.0", device="cuda: made up", train_images=20_210),
    )  # fmt: skip
    (folder / "record.json").write_text(record.to_json())
    (folder / "spec.json").write_text(spec.model_dump_json())


def cards(encoders: int) -> list[Card]:
    """Those of base size; and when there are no more, further ones like them, of families of their own."""
    known = [card for card in CARDS.values() if card.size == "base" and card.patch <= 16]
    return [
        replace(card, name=f"{card.name}-{again}", family=f"{card.family} {again}", timm=f"{card.timm}-{again}")
        if (again := number // len(known))
        else card
        for number, card in enumerate(itertools.islice(itertools.cycle(known), encoders))
    ]


def make(folder: Path, *, images: int = 500, encoders: int = 50, settings: int = 12, seeds: int = 5) -> Iterator[int]:
    """Write the study, and tell after each run how many there are."""
    random = np.random.default_rng(0)
    store, named = Store(folder), list(SETTINGS.items())[:settings]
    datasets = {fields.get("dataset", "ade20k") for fields in SETTINGS.values()}
    splits = {dataset: scenes(dataset, images, random) for dataset in sorted(datasets)}
    quality = random.normal(0, 0.04, (encoders, 1)) + random.normal(0, 0.012, (encoders, settings)) + 0.72
    taste = random.normal(0, 0.03, (encoders, len(CLASSES)))
    hard, blurred = random.normal(-0.05, 0.12, len(CLASSES)), random.normal(0, 0.08, images)
    runs = itertools.product(enumerate(cards(encoders)), enumerate(named), range(seeds))
    for done, ((number, card), (at, (name, fields)), seed) in enumerate(runs, 1):
        spec = RunSpec(**{"encoder": f"timm:{card.timm}", "dataset": "ade20k", "seed": seed, **fields})
        on = splits[spec.dataset]
        mean = quality[number, at] + taste[number] + hard + random.normal(0, 0.004)
        right = mean[on.label] + blurred[on.image]
        tables = {p: counts(on, right - 0.1 * (1 - p) ** 2, random, images // 5) for p in ALONG}
        tables[1] = counts(on, right, random, images)
        write_run(store, spec, card, tables, HOURS.get(name, 1.0), images)
        yield done


if __name__ == "__main__":
    names = ("images", "encoders", "settings", "seeds")
    for runs in make(Path(sys.argv[1]), **dict(zip(names, map(int, sys.argv[2:]), strict=False))):
        if runs % 250 == 0:
            print(runs, "runs", flush=True)
