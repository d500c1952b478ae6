"""Whole runs with the mask decoders."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import segrank
from segrank.assemble import build_segmenter
from segrank.attempt import LOG, WEIGHTS
from segrank.errors import EncoderError
from segrank.files import digest
from segrank.record import Record
from segrank.rescore import predict_images
from segrank.runner import run
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.train.cost import count_shapes
from segrank.train.segmenter import Segmenter

DECODERS = ("mask2former", "eomt")
SPEC = RunSpec(
    encoder="small:plain", weights="random", dataset="scenes?size=32&train=6&val=2", decoder="eomt", crop=(32, 32),
    patch_size=8, steps=3, batch_size=2, lr=1e-3, encoder_lr_multiplier=1.0,
)  # fmt: skip


class At:
    """A reporter that does something when a step of training is done."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step, self.action = step, action

    def say(self, text: str) -> None:
        pass

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        if work == "train" and done == self.step:
            self.action()


def results(store: Path, record: Record) -> tuple[object, ...]:
    opened = Store(store)
    files = [digest(opened.file(record, name)) for name in (WEIGHTS, LOG)]
    return (*files, *((e.key, e.scores, opened.counts(e).rows()) for e in record.evaluations))


@pytest.fixture(scope="module", params=[(name, freeze) for name in DECODERS for freeze in (False, True)])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, Path, Record]:
    name, freeze = request.param
    store = tmp_path_factory.mktemp("finished")
    spec = SPEC.replace(decoder=name, freeze=freeze)
    return spec, store, run(spec, store=store, micro_batch=1)


def test_a_run_trains_what_it_should_and_counts_what_it_costs(finished: tuple[RunSpec, Path, Record]) -> None:
    spec, store, record = finished
    assert record.status == "ok"
    before = build_segmenter(spec, len(record.evaluations[-1].classes))[0].state_dict()
    after = load_file(Store(store).file(record, WEIGHTS))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]) == (spec.freeze and name.startswith("encoder.")), name
    cost = record.cost
    assert cost.train_flops is not None
    assert cost.forward_flops is not None
    assert cost.train_flops > cost.forward_flops
    parts = cost.parts()
    assert min(parts["encoder"], parts["decoder"]) > 0


def test_a_stopped_run_goes_on_bit_for_bit(finished: tuple[RunSpec, Path, Record], tmp_path: Path) -> None:
    """Also of masks that fade and points that are drawn."""
    spec, store, record = finished
    stopped = run(
        spec, store=tmp_path, micro_batch=1, reporter=At(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    )  # fmt: skip
    assert (stopped.status, stopped.step) == ("interrupted", 2)
    assert results(tmp_path, run(spec, store=tmp_path)) == results(store, record)


def test_kept_weights_give_the_runs_score_and_predictions(
    finished: tuple[RunSpec, Path, Record], tmp_path: Path
) -> None:
    _, store, record = finished
    again = segrank.evaluate_run(Store(store), record, split="train")
    assert again.images == 6
    assert segrank.evaluate_run(Store(store), record).scores == record.evaluation.scores  # type: ignore[union-attr]
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    [mask] = predict_images(Store(store), record, [tmp_path / "a.png"], tmp_path / "out")
    labels = np.asarray(Image.open(mask))
    assert labels.shape == (40, 56)
    assert labels.max() < len(record.evaluations[-1].classes)


@pytest.mark.parametrize("decoder", DECODERS)
def test_they_train_and_score_in_half_precision_and_with_16_pixel_patches(tmp_path: Path, decoder: str) -> None:
    spec = SPEC.replace(decoder=decoder, precision="bf16", score_precision="bf16", steps=1, patch_size=16)
    record = run(spec, store=tmp_path)
    assert (record.status, record.precision) == ("ok", "bf16")
    assert {e.precision for e in record.evaluations} == {"bf16"}
    assert {value.dtype for value in load_file(Store(tmp_path).file(record, WEIGHTS)).values()} == {torch.float32}


@pytest.mark.parametrize("decoder", DECODERS)
def test_logits_beyond_half_precision_end_no_run(decoder: str) -> None:
    segmenter = build_segmenter(SPEC.replace(decoder=decoder), 2)[0].train()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        segmenter.decoder.mask[-1].weight *= 3e4  # type: ignore[index, union-attr]
    with torch.autocast("cpu", dtype=torch.float16):
        output = segmenter.output(images)
        losses = segmenter.decoder.loss(output, labels)  # type: ignore[operator]
    most = torch.finfo(torch.float16).max
    assert output.masks.dtype == torch.float16
    assert output.masks.abs().max() == most
    assert losses.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(losses.sum(), output))


@pytest.mark.parametrize("decoder", DECODERS)
def test_ignored_pixels_as_negatives_are_another_run(tmp_path: Path, decoder: str) -> None:
    losses = []
    for ignored in ("excluded", "negative"):
        spec = SPEC.replace(decoder=decoder, ignored_pixels=ignored, steps=1, dataset="scenes?size=32&train=6&val=1")
        segmenter = build_segmenter(spec, 3)[0].train()
        images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        labels = torch.full((2, 32, 32), 255, dtype=torch.uint8)
        labels[:, :16, :16] = 1
        torch.manual_seed(1)
        losses.append(segmenter(images, labels))
    assert not torch.allclose(losses[0], losses[1], rtol=1e-3)


def learns(segmenter: Segmenter) -> list[float]:
    """The loss of one batch, step by step."""
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = (torch.arange(32) // 16).byte().expand(2, 32, 32).contiguous()
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=1e-3)
    losses = []
    for step in range(8):
        torch.manual_seed(step)
        segmenter.anneal(step / 8)
        loss = segmenter(images, labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("decoder", DECODERS)
def test_their_loss_falls(decoder: str) -> None:
    losses = learns(build_segmenter(SPEC.replace(decoder=decoder, encoder="small:rope"), 2)[0].train())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_of_theirs_gets_a_gradient_from_an_image_without_labels() -> None:
    """DDP would wait for it."""
    for decoder in DECODERS:
        segmenter = build_segmenter(SPEC.replace(decoder=decoder), 2)[0].train()
        assert count_shapes(segmenter, SPEC.crop).without_gradient == ()
        images, labels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.full((1, 32, 32), 255, dtype=torch.uint8)
        segmenter(images, labels).sum().backward()
        for name, parameter in segmenter.named_parameters():
            assert parameter.grad is not None, f"{decoder}: {name}"
            assert torch.isfinite(parameter.grad).all(), f"{decoder}: {name}"


def test_an_encoder_that_eomt_cannot_open_is_refused_before_it_trains(tmp_path: Path) -> None:
    spec = SPEC.replace(encoder="timm:convnext_atto", patch_size=32)
    with pytest.raises(EncoderError, match="mask2former, which any encoder can have"):
        run(spec, store=tmp_path)
    [record] = Store(tmp_path).scan(lambda error: pytest.fail(str(error)))
    assert (record.status, record.step) == ("failed", 0)
