"""Starting on an ADE20K-like archive of 20,210 training and 2,000 validation pairs: open, list both splits, identify.

    python benchmarks/startup.py [EVERY]

The plain way searches each image's label in the zip's namelist(), and decodes all training labels to leave out those of
a single value. Every twentieth of its images is timed (EVERY=20; 1 for all), and that time is multiplied: the work is
the same for each. Ours is timed with nothing kept from before (first) and with the kept index (later). Imports count
for neither. Needs 0.3 GB in the temporary folder; takes a minute on 2 cores, half of it to make the archive.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from paired import Ratio
from PIL import Image

from segrank.data import Split, open_dataset

ROUNDS = 3
FIRST_CALLS, LATER_CALLS = 2, 20
"""Of each round."""
SPLITS = {"training": ("train", 20_210), "validation": ("val", 2_000)}
HEIGHT, WIDTH = 512, 683
FOLDER = "ADEChallengeData2016"


def label_png(number: int) -> bytes:
    """About fifteen regions with wavy borders, a few of 150 classes: 5 to 10 kB, as many of ADE20K's."""
    chance = np.random.default_rng(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(15):
        row, column, radius = chance.uniform(0, HEIGHT), chance.uniform(0, WIDTH), chance.uniform(30, 200)
        angle = np.arctan2(y - row, x - column)
        border = radius * (1 + 0.2 * np.sin(chance.integers(3, 30) * angle + chance.uniform(0, 6)))
        labels[np.hypot(y - row, x - column) < border] = chance.integers(1, 151)
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()


def make_archive(path: Path) -> None:
    """Images are small, because nobody reads one here; sixteen labels of full size are repeated."""
    labels = [label_png(number) for number in range(16)]
    image = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 150)).save(image, "JPEG")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for split, (tag, count) in SPLITS.items():
            for kind in ("images", "annotations"):  # the original has entries for folders too
                archive.mkdir(f"{FOLDER}/{kind}/{split}")
            for number in range(1, count + 1):
                archive.writestr(f"{FOLDER}/images/{split}/ADE_{tag}_{number:08d}.jpg", image.getvalue())
                archive.writestr(f"{FOLDER}/annotations/{split}/ADE_{tag}_{number:08d}.png", labels[number % 16])


def plain(path: Path, every: int) -> float:
    """Seconds."""
    started = time.perf_counter()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        images = {split: [name for name in names if name.startswith(f"{FOLDER}/images/{split}/")] for split in SPLITS}
        opened = time.perf_counter()
        for split, (_, count) in SPLITS.items():
            assert len(images[split]) == count
            for image in images[split][::every]:
                label = image.replace("/images/", "/annotations/").replace(".jpg", ".png")
                assert label in archive.namelist()
                if split == "training":
                    mask = np.array(Image.open(io.BytesIO(archive.read(label))))
                    assert mask.min() != mask.max()
    return opened - started + every * (time.perf_counter() - opened)


def ours(folder: Path) -> Split:
    dataset = open_dataset("ade20k", folder)
    train, val = dataset.split("train"), dataset.split("val")
    assert (len(train.names), len(val.names)) == (20_210, 2_000)
    assert train.digest() != val.digest()
    return train


def mean_s(call: Callable[[], object], calls: int, before: Callable[[], object] = lambda: None) -> float:
    seconds = 0.0
    for _ in range(calls):
        before()
        started = time.perf_counter()
        call()
        seconds += time.perf_counter() - started
    return seconds / calls


def main(folder: Path, every: int) -> None:
    os.environ["SEGRANK_CACHE"] = str(folder / "cache")
    archive = folder / f"{FOLDER}.zip"
    make_archive(archive)
    size_mb = archive.stat().st_size / 1e6
    print(f"{size_mb:.0f} MB; the plain way on one of {every} images, {ROUNDS} rounds")

    def forget() -> None:
        shutil.rmtree(folder / "cache", ignore_errors=True)

    plain(archive, 100), ours(folder)
    times = [
        (
            plain(archive, every),
            mean_s(lambda: ours(folder), FIRST_CALLS, forget),
            mean_s(lambda: ours(folder), LATER_CALLS),
        )
        for _ in range(ROUNDS)
    ]
    for place, what in ((1, "first start"), (2, "later start")):
        ratios = [one[0] / one[place] for one in times]
        plain_s, ours_s = (statistics.median(one[column] for one in times) for column in (0, place))
        print(Ratio(what, plain_s, ours_s, statistics.median(ratios), min(ratios), max(ratios)))

    train = ours(folder)
    pickled = pickle.dumps(train)
    dump_s, load_s = mean_s(lambda: pickle.dumps(train), 20), mean_s(lambda: pickle.loads(pickled), 20)
    print(
        f"the training split for a worker: {len(pickled) / 1e6:.1f} MB, {1e3 * (dump_s + load_s):.1f} ms there and back"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), int(sys.argv[1]) if len(sys.argv) > 1 else 20)
