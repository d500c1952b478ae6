"""A finished run's network as an ONNX file, for programs without torch. Needs the extra `segrank[onnx]`."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrank.decoders.mask_output import MaskOutput
from segrank.errors import EncoderError, StoreError
from segrank.files import write_whole
from segrank.record import Record
from segrank.rescore import load_segmenter
from segrank.store import Store
from segrank.train.segmenter import Segmenter

NEEDED = ("onnx", "onnxscript")
IMAGES, SCORES, LABELS = "images", "scores", "labels"
"""Of the file's input, and of its one output."""


class Deployed(nn.Module):
    """Images (b 3 H W, uint8 RGB) of the run's crop -> scores (b classes H W), float32, or labels (b H W), uint8."""

    def __init__(self, segmenter: Segmenter, *, labels: bool) -> None:
        super().__init__()
        self.segmenter, self.labels = segmenter, labels

    def forward(self, images: Tensor) -> Tensor:
        scores = _scores(self.segmenter.output(images), (images.shape[2], images.shape[3]))
        return scores.argmax(dim=1).to(torch.uint8) if self.labels else scores


def _scores(output: Any, size: tuple[int, int]) -> Tensor:
    """As evaluation computes them for one window: a grid upsampled, or the sum of masks over queries."""
    if isinstance(output, MaskOutput):
        of_classes = output.classes[-1].float().softmax(2)[:, :, :-1]  # b queries classes
        masks = _upsampled(output.masks[-1].float(), size).sigmoid()
        return torch.einsum("bqc,bqhw->bchw", of_classes, masks)
    return _upsampled(cast(Tensor, output).float(), size)


def _upsampled(grid: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(grid, size, mode="bilinear", align_corners=False)


def export_onnx(
    store: Store,
    record: Record,
    out: str | os.PathLike[str],
    *,
    labels: bool = False,
    opset: int | None = None,
    dynamic: bool = False,
) -> int:
    """Write a published run's network, for images of its crop, one file whole.

    Resizing an image to the crop, sliding over a larger one and averaging windows are left to whoever uses the file.

    Args:
        store, record: the run.
        out: the file.
        labels: give the best class of each pixel instead of the scores of all.
        opset: version of ONNX's operators; the exporter's own by default.
        dynamic: any number of images; else one at a time.

    Returns:
        bytes of the file.

    Raises:
        StoreError: the run is not finished, kept no weights, or the file cannot be written.
        EncoderError: the network has an operation that ONNX has not, or packages are missing.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise EncoderError(f"{' and '.join(missing)} cannot be imported", fix="pip install 'segrank[onnx]'")
    if record.status != "ok":
        raise StoreError(f"run {record.key} is not finished", fix="finish it with the same command")
    classes = len(record.evaluations[-1].classes)
    network = Deployed(load_segmenter(store, record, classes), labels=labels).eval().requires_grad_(False)
    example = torch.zeros(2 if dynamic else 1, 3, *record.spec.crop, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            _export(network, example, path, opset, LABELS if labels else SCORES, dynamic=dynamic)
        except Exception as error:  # of many kinds, from the tracer, the translator and the checker
            raise EncoderError(
                f"{record.spec.encoder} with {record.spec.decoder} cannot be exported: "
                f"{' '.join(str(error).split())[:300]}",
                fix="another --opset may have what is missing",
            ) from error
        if dynamic and not _any_number(path):
            raise EncoderError(
                f"{record.spec.encoder} with {record.spec.decoder} fixes the number of images",
                fix="export it without --dynamic",
            )
        content = path.read_bytes()
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(out), content)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}", fix="choose another --out or free space") from error
    return len(content)


def _export(network: nn.Module, example: Tensor, path: Path, opset: int | None, name: str, *, dynamic: bool) -> None:
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what the exporter would rather be called with
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=[IMAGES],
            output_names=[name],
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},) if dynamic else None,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _any_number(path: Path) -> bool:
    import onnx

    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    return bool(shape.dim[0].dim_param)
