"""Encoder and decoder together: the loss by hand, and what a frozen encoder leaves undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.assemble import build_segmenter
from segrank.decoders.linear import LinearDecoder
from segrank.encoders.small import ARCHITECTURES
from segrank.spec import RunSpec
from segrank.train.segmenter import Segmenter

CLASSES = 5
SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes", crop=(32, 48), patch_size=8, seed=1
)  # fmt: skip


def build(name: str = "shallow", *, freeze: bool = False) -> Segmenter:
    return build_segmenter(SPEC.replace(encoder=f"small:{name}", freeze=freeze), CLASSES)[0].train()


def batch(count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count, 3, 32, 48), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (count, 32, 48), dtype=torch.uint8, generator=generator)
    labels[0, :20] = 255
    labels[1] = 255
    return images, labels


def stored_bytes(work: Callable[[], Tensor]) -> int:
    """Of the tensors that autograd keeps for the backward pass."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(sizes)


def test_what_an_encoders_author_froze_stays_frozen() -> None:
    encoder, decoder = build().encoder, LinearDecoder(build().encoder.dim, CLASSES)
    first = next(iter(encoder.parameters())).requires_grad_(False)
    assert not first.requires_grad
    Segmenter(encoder, decoder, freeze=False)
    assert not first.requires_grad
    assert sum(not p.requires_grad for p in encoder.parameters()) == 1


def test_the_linear_loss_is_the_cross_entropy_of_each_images_labelled_pixels() -> None:
    _, labels = batch()
    output = torch.randn(3, CLASSES, 4, 6, generator=torch.Generator().manual_seed(4)) * 3
    losses = LinearDecoder(8, CLASSES).loss(output, labels)
    upsampled = F.interpolate(output.double(), (32, 48), mode="bilinear", align_corners=False)
    by_hand = []
    for scores, truth in zip(upsampled, labels, strict=True):
        labelled = truth != 255
        right = torch.log_softmax(scores, 0)[:, labelled].T  # pixels classes
        picked = right[torch.arange(len(right)), truth[labelled].long()]
        by_hand.append(-picked.sum() / max(1, len(right)))
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses.double(), torch.stack(by_hand), rtol=1e-6, atol=1e-6)
    assert losses[1] == 0
    of_one = F.cross_entropy(upsampled[:1], labels[:1].long(), ignore_index=255)
    torch.testing.assert_close(losses[0].double(), of_one, rtol=1e-6, atol=1e-6)


def test_the_linear_decoder_is_its_layer_on_every_feature() -> None:
    decoder = LinearDecoder(8, CLASSES)
    features = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(5))
    expected = decoder.classify(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(decoder(features), expected)
    assert decoder(features.half().float().to(memory_format=torch.channels_last)).is_contiguous()


def test_scores_are_the_decoders_output_in_the_networks_precision() -> None:
    segmenter = build().eval()
    images, _ = batch()
    with torch.no_grad():
        output = segmenter.output(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = segmenter.output(images)
    assert output.shape == (3, CLASSES, 4, 6)
    assert rounded.dtype == torch.bfloat16
    for grid, tolerance in ((output, 1e-6), (rounded, 0.05)):
        scores = segmenter.scores(grid, 1)
        assert isinstance(scores, Tensor)
        assert scores.shape == (segmenter.classes, 4, 6)
        torch.testing.assert_close(scores.float(), output[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    segmenter = build(name)
    segmenter(*batch()).mean().backward()
    for key, parameter in segmenter.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_a_frozen_encoder_stays_in_evaluation_mode() -> None:
    segmenter = build(freeze=True)
    assert segmenter.training
    assert all(module.training for module in segmenter.decoder.modules())
    assert not any(module.training for module in segmenter.encoder.modules())
    assert all(module.training for module in build().modules())


def test_a_frozen_encoder_builds_no_graph_and_stores_nothing() -> None:
    images, labels = batch()
    segmenter = build("plain", freeze=True)
    seen: list[Tensor] = []
    segmenter.encoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    frozen = stored_bytes(lambda: segmenter(images, labels).sum())
    [features] = seen
    assert not features.requires_grad
    assert features.grad_fn is None
    decoder = segmenter.decoder
    assert isinstance(decoder, LinearDecoder)
    # exactly what the decoder by itself stores
    assert frozen == stored_bytes(lambda: decoder.loss(decoder(features), labels).sum())
    whole = build("plain")
    assert frozen < stored_bytes(lambda: whole(images, labels).sum()) / 10


def test_only_the_decoder_learns_when_the_encoder_is_frozen() -> None:
    segmenter = build(freeze=True)
    segmenter(*batch()).mean().backward()
    for key, parameter in segmenter.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == key.startswith("decoder."), key
