"""The Mask2Former decoder against compositions of torch's and transformers' own modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_mask_decoder import PlainBlock, PlainMaskDecoder
from torch import Tensor, nn

from segrank.decoders.mask2former import Mask2FormerDecoder
from segrank.decoders.mask_loss import mask_loss
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_targets import Ignored
from segrank.decoders.query_block import QueryBlock, attention_input
from segrank.decoders.sine_position import sine_position

# isort: split
# It imports torchvision: after segrank, which lets every build of that be imported.
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

CPU = torch.device("cpu")
DIM, CLASSES, QUERIES = 24, 5, 7


def build(*, queries: int = QUERIES, dim: int = DIM) -> Mask2FormerDecoder:
    torch.manual_seed(0)
    decoder = Mask2FormerDecoder(dim, CLASSES, queries=queries)
    with torch.no_grad():  # biases that are 0 at first would not be missed
        for parameter in decoder.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return decoder


def features(*grid: int, images: int = 2, dim: int = DIM) -> Tensor:
    return torch.randn(images, dim, *grid, generator=torch.Generator().manual_seed(1))


def seen_by_blocks(decoder: Mask2FormerDecoder, features: Tensor) -> tuple[MaskOutput, list[Tensor]]:
    """The output, and which tokens each block's queries may look at (b q n)."""
    seen: list[Tensor] = []
    for block in decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[-1]))
    return decoder(features), seen


# ---------------------------------------------------------------- equal to plain modules


@pytest.mark.parametrize("grid", [(32, 32), (3, 5), (1, 1), (64, 40)])
def test_positions_are_those_of_transformers(grid: tuple[int, int]) -> None:
    embedding = Mask2FormerSinePositionEmbedding(128, normalize=True)
    expected = embedding(torch.Size((1, 256, *grid)), CPU, torch.float64)[0].flatten(1).T
    # theirs divides by the grid's side + 1e-6
    torch.testing.assert_close(sine_position(*grid, 256, CPU).double(), expected, rtol=0, atol=1e-5)


def test_rows_come_first_in_a_position() -> None:
    position = sine_position(4, 6, 256, CPU).view(4, 6, 2, 128)
    assert (position[:, :1, 0] == position[:, :, 0]).all()
    assert (position[:1, :, 1] == position[:, :, 1]).all()


def test_a_block_equals_one_of_torchs_attention() -> None:
    torch.manual_seed(0)
    block, keys, values = QueryBlock(256, 8, 2048), attention_input(256, 256), attention_input(256, 256)
    plain = PlainBlock(block, (keys.weight, keys.bias), (values.weight, values.bias)).double()
    for module in (block, keys, values):
        module.double()
    x, position, image = (torch.randn(size, dtype=torch.float64) for size in ((2, 7, 256), (7, 256), (2, 12, 256)))
    attended = torch.rand(2, 7, 12) < 0.3
    attended[..., 4] = True
    ours = block(x, position, keys(image + 1), values(image), attended)
    torch.testing.assert_close(ours, plain(x, position, image + 1, image, ~attended), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(ours, block(x, position, keys(image + 1), values(image), torch.ones_like(attended)))


@pytest.mark.parametrize("grid", [(4, 4), (8, 5), (1, 1)])
def test_the_decoder_equals_a_plain_composition(grid: tuple[int, int]) -> None:
    decoder, x = build().double(), features(*grid).double()
    ours, plain = decoder(x), PlainMaskDecoder(decoder)(x)
    assert ours.classes.shape == (10, 2, QUERIES, CLASSES + 1)
    assert ours.masks.shape == (10, 2, QUERIES, *grid)
    for layer, (classes, masks) in enumerate(plain):
        torch.testing.assert_close(ours.classes[layer], classes, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.masks[layer], masks, rtol=1e-5, atol=1e-5)


def test_gradients_equal_those_of_the_plain_composition() -> None:
    decoder, x = build().double(), features(6, 5).double()
    plain = PlainMaskDecoder(decoder)
    weights = torch.randn(2, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def total(outputs: Any) -> Tensor:
        # squares, so that a class logit more and one less do not make up for each other
        sums = [a * c.square().sum() + b * m.square().sum() for a, b, (c, m) in zip(*weights, outputs, strict=True)]
        return torch.stack(sums).sum()

    first, last = decoder.project.weight, decoder.query_positions
    ours = torch.autograd.grad(total(list(zip(*decoder(x), strict=True))), [first, last])
    theirs = torch.autograd.grad(total(plain(x)), [first, last])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_it_has_the_parameters_of_the_plain_composition() -> None:
    decoder = build()
    names = {name.split(".")[0] for name in decoder.state_dict()}
    assert names == {"project", "keys", "values", "queries", "query_positions", "blocks", "norm", "classify", "mask"}
    plain = sum(parameter.numel() for parameter in PlainMaskDecoder(decoder).parameters())
    assert sum(parameter.numel() for parameter in decoder.parameters()) == plain
    assert Mask2FormerDecoder(DIM, CLASSES).queries.shape == (100, 256)


# ---------------------------------------------------------------- masked attention


def test_blocks_attend_where_the_mask_before_them_is_not_negative() -> None:
    output, seen = seen_by_blocks(build(), features(5, 6))
    assert len(seen) == 9
    for masks, attended in zip(output.masks, seen, strict=False):  # the last output's masks lead nowhere
        inside = masks.flatten(2) >= 0
        assert 0.1 < inside.float().mean() < 0.9
        assert torch.equal(attended, inside | ~inside.any(dim=2, keepdim=True))


@pytest.mark.parametrize(
    ("logits", "attended"),
    [([-1, 0, 2, -3], [False, True, True, False]), ([-1, -2, -1, -3], [True] * 4), ([0, 0, 0, 0], [True] * 4)],
)
def test_zero_is_inside_and_nowhere_is_everywhere(logits: list[float], attended: list[bool]) -> None:
    decoder = build()
    with torch.no_grad():  # one channel of the tokens is the first of the features, and it is the mask
        decoder.project.weight.zero_()
        decoder.project.bias.zero_()
        decoder.project.weight[0, 0] = 1
        last = decoder.mask[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()
        last.bias[0] = 1
    x = features(1, 4)
    x[:, 0, 0] = torch.tensor(logits)
    output, seen = seen_by_blocks(decoder, x)
    assert torch.equal(output.masks, x[:, :1].expand(10, -1, QUERIES, -1, -1))
    assert all(torch.equal(mask, torch.tensor(attended).expand(2, QUERIES, 4)) for mask in seen)


def test_no_gradient_goes_through_the_mask() -> None:
    decoder = build()
    total = decoder(features(4, 6)).classes.square().sum()
    gradients = torch.autograd.grad(total, list(decoder.mask.parameters()), allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in gradients)


# ---------------------------------------------------------------- modes, devices, precisions


@pytest.mark.parametrize("grid", [(4, 6), (9, 16)])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_parameter_gets_a_gradient(grid: tuple[int, int], precision: torch.dtype) -> None:
    decoder = build()
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        output = decoder(features(*grid))
    (output.classes.float().square().mean() + output.masks.float().square().mean()).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # what is added to all keys alike changes no softmax
        assert parameter.grad.any() or name == "keys.bias", name


def test_bfloat16_is_near_float32() -> None:
    decoder, x = build(queries=20), features(6, 8)
    exact = decoder(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = decoder(x)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == torch.bfloat16
        # a mask's logit that changes its sign changes what a query sees: hence not the largest difference
        assert (one - other.float()).abs().median() < 0.02 * one.abs().max()


def test_evaluation_gives_the_last_of_the_outputs_in_training() -> None:
    decoder, x = build(), features(4, 6)
    trained = decoder(x)
    evaluated = decoder.eval()(x)
    for all_outputs, one in zip(trained, evaluated, strict=True):
        assert one.shape == (1, *all_outputs.shape[1:])
        torch.testing.assert_close(one[0], all_outputs[-1])


def test_nothing_is_left_to_chance() -> None:
    decoder, x = build(), features(4, 6)
    assert all(torch.equal(one, other) for one, other in zip(decoder(x), decoder(x), strict=True))


def test_images_do_not_see_each_other() -> None:
    decoder, x = build(), features(4, 6, images=3)
    for one, other in zip(decoder(x), decoder(x[1:2]), strict=True):
        torch.testing.assert_close(one[:, 1:2], other, rtol=1e-4, atol=1e-4)


def test_training_works_after_evaluation_of_the_same_grid() -> None:
    decoder, x = build(), features(3, 11)
    with torch.inference_mode():
        decoder.eval()(x)
    decoder.train()(x).masks.sum().backward()


def test_it_runs_on_shapes_alone() -> None:
    decoder = build().to("meta")
    output = decoder(torch.empty(2, DIM, 4, 6, device="meta"))
    assert output.masks.shape == (10, 2, QUERIES, 4, 6)
    (output.masks.sum() + output.classes.sum()).backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


@pytest.mark.parametrize("ignored", ["excluded", "negative"])
def test_its_loss_is_that_of_its_output(ignored: Ignored) -> None:
    torch.manual_seed(0)
    decoder = Mask2FormerDecoder(DIM, CLASSES, ignored=ignored, queries=QUERIES)
    labels = torch.randint(0, CLASSES, (2, 32, 48), dtype=torch.uint8)
    labels[:, :9] = 255
    output = decoder(features(4, 6))
    torch.manual_seed(1)  # of the points that masks are compared at
    losses = decoder.loss(output, labels)
    torch.manual_seed(1)
    assert torch.equal(losses, mask_loss(output, labels, ignored=ignored))
    gradients = torch.autograd.grad(losses.sum(), list(decoder.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


# ---------------------------------------------------------------- initialisation


def test_weights_begin_as_in_mask2former() -> None:
    torch.manual_seed(0)
    decoder = Mask2FormerDecoder(384, 150)
    attention = nn.MultiheadAttention(256, 8)  # Mask2Former's code leaves its own initialisation as it is
    block = decoder.blocks[0]
    assert isinstance(block, QueryBlock)
    inputs = [decoder.keys, decoder.values, block.cross_query, block.self_query_key, block.self_value]
    for layer in inputs:
        assert layer.weight.std().item() == pytest.approx(attention.in_proj_weight.std().item(), rel=0.01)
        assert layer.weight.abs().max().item() == pytest.approx(attention.in_proj_weight.abs().max().item(), rel=1e-3)
    for layer in [*inputs, block.cross_out, block.self_out, decoder.project]:
        assert not layer.bias.any()
    # uniform: Xavier's to sqrt(6 / (in + out)), fvcore's c2_xavier_fill to sqrt(3 / in), torch's own to sqrt(1 / in)
    for layer, variance in [
        (block.cross_out, 2 / 512), (block.self_out, 2 / 512), (block.widen, 2 / 2304), (block.narrow, 2 / 2304),
        (decoder.project, 1 / 384), (decoder.classify, 1 / 3 / 256),
    ]:  # fmt: skip
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.02)
    for drawn in (decoder.queries, decoder.query_positions):
        assert drawn.mean().item() == pytest.approx(0, abs=0.02)
        assert drawn.std().item() == pytest.approx(1, rel=0.02)
