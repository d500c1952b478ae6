"""Runs as ONNX files: what onnxruntime makes of an image is what segrank makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from segrank.cli import app
from segrank.evaluate.sliding import predict
from segrank.onnx_model import export_onnx
from segrank.rescore import load_segmenter
from segrank.runner import run
from segrank.spec import RunSpec
from segrank.store import Store

onnxruntime = pytest.importorskip("onnxruntime")
DATASET = "scenes?size=32&train=8&val=2"
CROP = (32, 48)
Decoder = Literal["linear", "mask2former"]


def finished(folder: Path, decoder: Decoder, encoder: str = "small:shallow") -> tuple[Store, str]:
    spec = RunSpec(
        encoder=encoder, weights="random", dataset=DATASET, crop=CROP, patch_size=8, steps=2, batch_size=2,
        decoder=decoder,
    )  # fmt: skip
    return Store(folder), run(spec, store=folder).key


@pytest.mark.parametrize(("decoder", "encoder"), [("linear", "small:rope"), ("mask2former", "small:shallow")])
def test_labels_are_those_of_predict(tmp_path: Path, decoder: Decoder, encoder: str) -> None:
    store, key = finished(tmp_path / "store", decoder, encoder)
    done = CliRunner().invoke(
        app,
        ["export-model", key[:6], "--store", str(store.folder), "--out", str(tmp_path / "m" / "x.onnx"), "--dynamic"],
    )
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(str(tmp_path / "m" / "x.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (3, 3, *CROP), dtype=np.uint8)
    (scores,) = session.run(["scores"], {"images": images})
    record = store.published(key)
    assert record is not None
    assert scores.shape == (3, len(record.evaluations[-1].classes), *CROP)
    segmenter = load_segmenter(store, record, scores.shape[1])
    ours = np.stack(
        [predict(segmenter, image.transpose(1, 2, 0), CROP, device=torch.device("cpu")) for image in images]
    )
    # where the two best are within rounding, either may win
    best = np.sort(scores, axis=1)
    sure = best[:, -1] - best[:, -2] > 1e-4
    assert sure.mean() > 0.99
    assert (scores.argmax(axis=1) == ours)[sure].all()


def test_one_image_and_labels(tmp_path: Path) -> None:
    store, key = finished(tmp_path, "linear")
    record = store.published(key)
    assert record is not None
    size = export_onnx(store, record, tmp_path / "labels.onnx", labels=True)
    assert size == (tmp_path / "labels.onnx").stat().st_size
    session = onnxruntime.InferenceSession(str(tmp_path / "labels.onnx"))
    assert session.get_inputs()[0].shape == [1, 3, *CROP]
    (labels,) = session.run(["labels"], {"images": np.zeros((1, 3, *CROP), np.uint8)})
    assert (labels.shape, labels.dtype) == ((1, *CROP), np.uint8)
