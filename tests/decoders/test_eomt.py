"""The encoder-only mask transformer against transformers' own, and against its blocks built from torch's attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401

# isort: split
import transformers

from segrank.assemble import build_segmenter
from segrank.decoders.eomt import EomtDecoder, mask_chance
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.sizes import doublings, shared_blocks
from segrank.encoders.open_vit import OpenFeatures
from segrank.spec import RunSpec
from segrank.train.segmenter import Segmenter

CLASSES, DIM, HEADS, DEPTH, SHARED = 5, 32, 2, 4, 3
OPTIONS = f"embed_dim={DIM}&num_heads={HEADS}&depth={DEPTH}&init_values=0.5"
SPEC = RunSpec(
    encoder=f"timm:vit_small_patch14_reg4_dinov2?{OPTIONS}", weights="random", dataset="scenes", decoder="eomt",
    crop=(64, 64), patch_size=16, seed=1,
)  # fmt: skip


def build(**changes: Any) -> Segmenter:
    """With larger weights than at the start, so that masks are neither all nor nothing."""
    segmenter, _ = build_segmenter(SPEC.replace(**changes), CLASSES)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return segmenter


def images(segmenter: Segmenter, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, *segmenter.encoder.crop), dtype=torch.uint8, generator=generator)


def theirs(segmenter: Segmenter) -> Any:
    """transformers' network with our weights."""
    config = transformers.EomtConfig(
        hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=64, patch_size=16,
        num_blocks=SHARED, num_queries=100, num_register_tokens=4, num_labels=CLASSES,  # type: ignore[call-arg]
    )  # fmt: skip
    network = transformers.EomtForUniversalSegmentation(config)
    backbone: Any = segmenter.encoder.backbone
    decoder: Any = segmenter.decoder
    tensors = {
        "embeddings.cls_token": backbone.cls_token,
        "embeddings.register_tokens": backbone.reg_token,
        "embeddings.position_embeddings.weight": backbone.pos_embed[0],
        "embeddings.position_ids": torch.arange(16)[None],
        "query.weight": decoder.queries,
        "attn_mask_probs": torch.ones(SHARED),
        "criterion.empty_weight": network.criterion.empty_weight,
    }
    modules = {"embeddings.patch_embeddings.projection": backbone.patch_embed.proj, "layernorm": backbone.norm}
    modules |= {"class_predictor": decoder.classify}
    modules |= {f"mask_head.fc{index + 1}": decoder.mask[2 * index] for index in range(3)}
    for index, doubling in enumerate(decoder.upscale):
        name = f"upscale_block.block.{index}"
        modules |= {f"{name}.conv1": doubling.widen, f"{name}.conv2": doubling.smooth}
        modules |= {f"{name}.layernorm2d": doubling.norm}
    for index, block in enumerate(backbone.blocks):
        name = f"layers.{index}"
        for kind in ("weight", "bias"):
            parts = getattr(block.attn.qkv, kind).chunk(3)
            tensors |= {f"{name}.attention.{p}_proj.{kind}": v for p, v in zip("qkv", parts, strict=True)}
        tensors |= {f"{name}.layer_scale{n}.lambda1": getattr(block, f"ls{n}").gamma for n in (1, 2)}
        modules |= {f"{name}.norm1": block.norm1, f"{name}.norm2": block.norm2}
        modules |= {f"{name}.attention.out_proj": block.attn.proj}
        modules |= {f"{name}.mlp.fc{n}": getattr(block.mlp, f"fc{n}") for n in (1, 2)}
    for name, module in modules.items():
        tensors |= {f"{name}.{kind}": value for kind, value in module.named_parameters()}
    network.load_state_dict({name: value for name, value in tensors.items() if name in network.state_dict()})
    return network


@pytest.mark.parametrize("chance", [1.0, 0.5, 0.0])
def test_training_equals_transformers(chance: float) -> None:
    segmenter = build().train()
    network = theirs(segmenter).train()
    layers: list[tuple[Tensor, Tensor]] = []
    predict = network.predict

    def seen(tokens: Tensor) -> tuple[Tensor, Tensor]:
        layers.append(predict(tokens))  # masks, classes
        return layers[-1]

    network.predict = seen
    network.attn_mask_probs.fill_(chance)
    segmenter.decoder.chances = [chance] * SHARED  # type: ignore[assignment]
    pixels = segmenter.encoder.normalised(images(segmenter))
    torch.manual_seed(4)
    network(pixel_values=pixels)
    torch.manual_seed(4)
    output = segmenter.output(images(segmenter))
    assert len(layers) == SHARED + 1
    for layer, (masks, classes) in enumerate(layers):
        torch.testing.assert_close(output.masks[layer], masks, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(output.classes[layer], classes, rtol=1e-4, atol=1e-4)
    share = (F.interpolate(output.masks[0], (4, 4), mode="bilinear") > 0).float().mean()
    assert 0.2 < share < 0.8  # the masks say something


def test_evaluation_equals_transformers_at_the_end_of_its_training() -> None:
    segmenter = build().eval()
    network = theirs(segmenter).eval()
    network.attn_mask_probs.zero_()
    with torch.no_grad():
        expected = network(pixel_values=segmenter.encoder.normalised(images(segmenter)))
        output = segmenter.output(images(segmenter))
    assert output.masks.shape == (1, 2, 100, 16, 16)  # a sample each 4 pixels
    torch.testing.assert_close(output.masks[0], expected.masks_queries_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.classes[0], expected.class_queries_logits, rtol=1e-4, atol=1e-4)


def test_evaluation_is_trainings_last_output_once_the_masks_are_gone() -> None:
    segmenter = build()
    with torch.no_grad():
        segmenter.eval()
        expected = segmenter.output(images(segmenter))
        segmenter.train()
        for done, same in ((0.5, False), (5 / 6, True), (1.0, True)):
            segmenter.anneal(done)
            output = segmenter.output(images(segmenter))
            assert torch.allclose(output.masks[-1:], expected.masks, atol=1e-5) == same
            assert torch.allclose(output.classes[-1:], expected.classes, atol=1e-5) == same


def test_blocks_are_those_built_from_multihead_attention() -> None:
    """On a grid that is not square, without class token: patches begin right behind the queries."""
    segmenter = build(encoder=f"timm:vit_base_patch16_siglip_224?{OPTIONS}", crop=(32, 48), patch_size=8).train()
    backbone: Any = segmenter.encoder.backbone
    decoder: Any = segmenter.decoder
    count = len(decoder.queries)
    output = segmenter.output(images(segmenter))
    features = segmenter.encoder(images(segmenter))
    tokens = torch.cat([decoder.queries.expand(2, -1, -1), features.patches], 1)
    for layer, block in enumerate(backbone.blocks[-SHARED:]):
        # each patch is seen where the mean of the mask's four samples at its middle is above zero
        masks = output.masks[layer]
        assert masks.shape[2:] == (8, 12)
        inside = F.avg_pool2d(masks, 2).flatten(2) > 0
        hidden = torch.zeros(2, *tokens.shape[1:2] * 2, dtype=torch.bool)
        hidden[:, :count, count:] = ~inside
        attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        attention.load_state_dict(
            {
                "in_proj_weight": block.attn.qkv.weight, "in_proj_bias": block.attn.qkv.bias,
                "out_proj.weight": block.attn.proj.weight, "out_proj.bias": block.attn.proj.bias,
            }
        )  # fmt: skip
        x = block.norm1(tokens)
        attended, _ = attention(x, x, x, attn_mask=hidden.repeat_interleave(HEADS, 0))
        tokens = tokens + block.ls1.gamma * attended
        tokens = tokens + block.ls2.gamma * block.mlp(block.norm2(tokens))
        classes = decoder.classify(backbone.norm(tokens[:, :count]))
        torch.testing.assert_close(output.classes[layer + 1], classes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("starts", "ends", "steps"),
    [  # published configurations: ADE20K with ViT-L, COCO with ViT-S (24 epochs), Cityscapes with ViT-B
        ([6520, 13040, 19560, 26080], [13040, 19560, 26080, 32600], 39_120),
        ([29564, 73910, 118256], [59128, 103474, 147820], 177_384),
        ([3317, 8292, 13268], [6634, 11609, 16585], 19_902),
    ],
)
def test_masks_fade_when_the_published_configurations_say(starts: list[int], ends: list[int], steps: int) -> None:
    for block, (start, end) in enumerate(zip(starts, ends, strict=True)):
        for step in range(0, steps, 97):
            t = min(max((step - start) / (end - start), 0), 1)
            # a step's rounding in them
            assert mask_chance(block, len(starts), step / steps) == pytest.approx((1 - t) ** 0.9, abs=2e-3)
        assert mask_chance(block, len(starts), 1) == 0


def test_one_shared_block_fades_too() -> None:
    chances = [mask_chance(0, 1, done) for done in (0, 1 / 6, 1 / 4, 1 / 3, 1)]
    assert chances == pytest.approx([1, 1, 0.5**0.9, 0, 0])


def test_sizes_are_the_papers() -> None:
    assert [shared_blocks(depth) for depth in (12, 24, 40)] == [3, 4, 5]  # ViT-S and B, L, g
    assert [shared_blocks(depth) for depth in (1, 2, 3, 4, 27, 32)] == [0, 1, 2, 3, 4, 4]
    assert [doublings(patch) for patch in (8, 14, 16, 32)] == [1, 1, 2, 3]


def backward(output: MaskOutput) -> None:
    torch.autograd.backward(output.masks.square().mean() + output.classes.square().mean())


def test_the_gradient_reaches_every_parameter() -> None:
    segmenter = build().train()
    backward(segmenter.output(images(segmenter)))
    for name, parameter in segmenter.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_of_a_frozen_encoder_nothing_gets_a_gradient_and_its_trunk_has_no_graph() -> None:
    segmenter = build(freeze=True).train()
    features = segmenter._features(images(segmenter))
    assert isinstance(features, OpenFeatures)
    assert features.patches.grad_fn is None
    backward(segmenter.output(images(segmenter)))
    for name, parameter in segmenter.named_parameters():
        assert (parameter.grad is not None) == name.startswith("decoder."), name
    # through the frozen blocks
    last = build(freeze=True).train()
    output = last.output(images(last))
    [gradient] = torch.autograd.grad(output.classes[-1].square().mean(), last.decoder.queries)  # type: ignore[arg-type]
    assert gradient.abs().sum() > 0


def test_half_of_the_masks_hold_at_half_chance() -> None:
    decoder = EomtDecoder(DIM, CLASSES, blocks=1, doublings=1).train()
    features = OpenFeatures(torch.zeros(1, 1, DIM), torch.zeros(1, 6, DIM), (2, 3), (), nn.Identity())
    torch.manual_seed(0)
    outside = torch.full((200, 100, 4, 6), -1.0)
    mask = decoder._attention_mask(features, outside, 0.5)
    assert mask.shape == (200, 1, 1 + 100, 1 + 100 + 6)  # none for patches: they attend to all
    of_queries = mask[:, 0, 1:, 101:]
    held = ~of_queries.any(2)
    assert torch.equal(of_queries.all(2), ~held)  # a query's mask holds whole or not at all
    assert held.float().mean() == pytest.approx(0.5, abs=0.02)
    of_queries[:] = True
    assert mask.all()
