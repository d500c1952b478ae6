"""What a finished run is good for: score it again in another way, predict with it."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path

import safetensors.torch
from lightning_fabric import Fabric
from PIL import Image

from segrank.assemble import build_segmenter, make_fabric, resolve_device
from segrank.attempt import WEIGHTS
from segrank.data import open_dataset
from segrank.data.images import read_image
from segrank.data.palette import class_colours, overlay
from segrank.encoders.reference import encoder_digests
from segrank.errors import DataError, EncoderError, SpecError, StoreError
from segrank.evaluate.corruptions import KINDS, SEVERITIES, Corruption, corruptions
from segrank.evaluate.score import ALSO, Plan, plan_evaluation, score
from segrank.evaluate.sliding import predict
from segrank.files import write_whole
from segrank.inputs import check_classes
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
    also: Collection[str] = (),
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score a published run on a split, and keep the evaluation beside its others; one that is there is not redone.

    Args:
        dataset, split, precision: by default as the run's own spec scores.
        also: what to count besides, `boundary` or `calibration`; an evaluation that counted more will do.
        root: the folder to look for named datasets in; by default $SEGRANK_DATA.

    Raises:
        StoreError: the run is not finished, or kept no weights.
        DataError: the dataset has other classes than the run was trained for.
        SpecError: there is nothing of that name to count.
    """
    if strange := set(also) - set(ALSO):
        raise SpecError(f'"{min(strange)[:40]}" cannot be counted', wanted=f"some of {', '.join(ALSO)}")
    rescoring = _Rescoring(store, record, dataset, split, precision, root, device, reporter)
    enough = (more for n in range(len(ALSO) + 1) for more in combinations(ALSO, n) if set(also) <= set(more))
    plans = [rescoring.plan(also=more) for more in enough]
    return rescoring.found(plans) or rescoring.make(plans[0])


def evaluate_corrupted(
    store: Store,
    record: Record,
    *,
    kinds: Collection[str] = KINDS,
    severities: Collection[int] = SEVERITIES,
    dataset: str = "",
    split: str = "",
    precision: Precision | None = None,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[Evaluation]:
    """Score a published run on spoilt copies of a split, an evaluation for each kind and severity.

    Each is kept when it is done, and one that is there is not redone, so the same call goes on after a stop. No image
    is written to disk.

    Args:
        kinds, severities: see `segrank.evaluate.corruptions`.
        others: as `evaluate_run`.

    Raises:
        StoreError, DataError: as `evaluate_run`.
        SpecError: there is no such kind or severity.
    """
    wanted = corruptions(kinds, severities)
    rescoring = _Rescoring(store, record, dataset, split, precision, root, device, reporter)
    evaluations = []
    for number, corruption in enumerate(wanted, start=1):
        plan = rescoring.plan(corruption=corruption)
        evaluation = rescoring.found([plan]) or rescoring.make(plan)
        what = f"{number} of {len(wanted)}, {corruption.kind} {corruption.severity}"
        (reporter or Silent()).say(f"{what}: mIoU {100 * evaluation.scores.miou:.2f}")
        evaluations.append(evaluation)
    return evaluations


class _Rescoring:
    """A published run's weights and a split to score them on. The network is built when the first plan needs it."""

    def __init__(
        self,
        store: Store,
        record: Record,
        dataset: str,
        split: str,
        precision: Precision | None,
        root: str | os.PathLike[str] | None,
        device: str,
        reporter: Reporter | None,
    ) -> None:
        spec, self.store, self.record, self.device = record.spec, store, record, device
        self.on_image = (reporter or Silent()).advance
        self.dataset, self.split = dataset or spec.eval_dataset or spec.dataset, split or spec.eval_split
        self.precision = precision or spec.score_precision
        self.classes = _classes(record)
        opened = open_dataset(self.dataset, root)
        check_classes(self.dataset, opened.classes, self.classes)
        self.data = opened.split(self.split)
        self.digest = self.data.digest()

    def plan(self, *, also: Collection[str] = (), corruption: Corruption | None = None) -> Plan:
        return plan_evaluation(
            run=self.record.key,
            dataset=self.dataset,
            digest=self.digest,
            split=self.split,
            precision=self.precision,
            step=self.record.step,
            also=also,
            corruption=corruption,
        )

    def found(self, plans: Sequence[Plan]) -> Evaluation | None:
        """The first of them that was made before."""
        there = {evaluation.key: evaluation for evaluation in self.record.evaluations}
        return next((there[plan.key] for plan in plans if plan.key in there), None)

    def make(self, plan: Plan) -> Evaluation:
        fabric, segmenter = self._network
        evaluation, counts, predictions = score(
            fabric,
            segmenter,
            self.data,
            plan,
            classes=self.classes,
            crop=self.record.spec.crop,
            on_image=self.on_image,
        )
        return self.store.add_evaluation(evaluation, counts, predictions)

    @cached_property
    def _network(self) -> tuple[Fabric, Segmenter]:
        fabric = make_fabric(resolve_device(self.device), 1, "fp32")
        return fabric, load_segmenter(self.store, self.record, len(self.classes)).to(fabric.device)


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
