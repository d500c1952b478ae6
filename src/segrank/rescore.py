"""What a finished run is good for: score it again in another way, predict with it."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import safetensors.torch
from PIL import Image

from segrank.assemble import build_segmenter, check_classes, make_fabric, resolve_device
from segrank.attempt import WEIGHTS
from segrank.data import open_dataset
from segrank.data.images import read_image
from segrank.data.palette import class_colours, overlay
from segrank.encoders.reference import encoder_digests
from segrank.errors import DataError, EncoderError, StoreError
from segrank.evaluate.score import plan_evaluation, score
from segrank.evaluate.sliding import predict
from segrank.files import write_whole
from segrank.progress import Reporter, Silent
from segrank.record import Evaluation, Record
from segrank.spec import Precision
from segrank.store import Store
from segrank.train.segmenter import Segmenter

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def load_segmenter(store: Store, record: Record, classes: int) -> Segmenter:
    """A published run's network, in evaluation mode on the CPU.

    Raises:
        StoreError: the run kept no weights, or they are damaged.
        EncoderError: the user's own encoder is no longer what was trained.
    """
    trained_as = record.identity.get("encoder")
    source = encoder_digests(record.spec.encoder, "random").get("encoder", trained_as)
    if source != trained_as:
        raise EncoderError(
            f"{record.spec.encoder} has changed since run {record.key}",
            wanted=f"the source with {trained_as}",
            fix="restore it, or run the spec again: it is another run now",
        )
    segmenter, _ = build_segmenter(record.spec, classes, weights="random")
    path = store.file(record, WEIGHTS)
    try:
        segmenter.load_state_dict(safetensors.torch.load_file(path))
    except RuntimeError as error:
        raise StoreError(
            f"{path} does not fit {record.spec.encoder}: {' '.join(str(error).split())[:300]}",
            fix=f"use the versions that made it: timm {record.provenance.timm}, torch {record.provenance.torch}",
        ) from error
    return segmenter.eval()


def evaluate_run(
    store: Store,
    record: Record,
    *,
    dataset: str = "",
    split: str = "",
    precision: Precision | None = None,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score a published run on a split, and keep the evaluation beside its others; one that is there is not redone.

    Args:
        dataset, split, precision: by default as the run's own spec scores.
        root: the folder to look for named datasets in; by default $SEGRANK_DATA.

    Raises:
        StoreError: the run is not finished, or kept no weights.
        DataError: the dataset has other classes than the run was trained for.
    """
    spec = record.spec
    name, split = dataset or spec.eval_dataset or spec.dataset, split or spec.eval_split
    precision = precision or spec.score_precision
    classes = _classes(record)
    opened = open_dataset(name, root)
    check_classes(name, opened.classes, classes)
    data = opened.split(split)
    plan = plan_evaluation(
        run=record.key, dataset=name, digest=data.digest(), split=split, precision=precision, step=record.step
    )
    for evaluation in record.evaluations:
        if evaluation.key == plan.key:
            return evaluation
    fabric = make_fabric(resolve_device(device), 1, "fp32")
    segmenter = load_segmenter(store, record, len(classes)).to(fabric.device)
    on_image = (reporter or Silent()).advance
    evaluation, counts = score(fabric, segmenter, data, plan, classes=classes, crop=spec.crop, on_image=on_image)
    return store.add_evaluation(evaluation, counts)


def predict_images(
    store: Store,
    record: Record,
    images: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[Path]:
    """Segment image files, or all in a folder.

    Each gives `NAME.png`, class indices in a palette, and `NAME.overlay.png` to look at.

    Raises:
        DataError: an image cannot be read, or a result would replace an image or another result.
    """
    files = list(_image_files(images))
    folder = Path(out)
    targets = Counter(folder / f"{file.stem}{ending}" for file in files for ending in (".png", ".overlay.png"))
    if twice := [target.name for target, count in targets.items() if count > 1]:
        raise DataError(
            f"several images would be predicted to {twice[0]}", fix="predict them into folders of their own"
        )
    written = {target.resolve() for target in targets}
    if own := [file for file in files if file.resolve() in written]:
        raise DataError(f"{own[0]} would be replaced by a mask", fix="choose another --out")
    classes = _classes(record)
    fabric = make_fabric(resolve_device(device), 1, "fp32")
    segmenter = load_segmenter(store, record, len(classes)).to(fabric.device)
    palette = class_colours(len(classes))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for done, file in enumerate(files, start=1):
            image = read_image(file)
            labels = predict(segmenter, image, record.spec.crop, device=fabric.device)
            mask = Image.fromarray(labels, mode="P")
            mask.putpalette(palette.tobytes())
            _write_png(folder / f"{file.stem}.png", mask)
            shown = Image.fromarray(overlay(image, labels, len(classes)))
            _write_png(folder / f"{file.stem}.overlay.png", shown)
            (reporter or Silent()).advance("predict", done, len(files), file.name)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}", fix="choose another --out or free space") from error
    return [folder / f"{file.stem}.png" for file in files]


def _write_png(path: Path, picture: Image.Image) -> None:
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_whole(path, content.getvalue())


def _classes(record: Record) -> tuple[str, ...]:
    if record.status != "ok":
        raise StoreError(f"run {record.key} is not finished", fix="finish it with the same command")
    return record.evaluations[-1].classes


def _image_files(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise DataError(f"{path} holds no image", wanted=f"files ending in {', '.join(IMAGE_SUFFIXES)}")
            yield from inside
        else:
            yield path
