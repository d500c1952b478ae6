"""Encoders trained in part: what is trained, and that adapters are W + alpha / rank * B A."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segrank.assemble import build_segmenter
from segrank.errors import EncoderError
from segrank.spec import RunSpec
from segrank.train.cost import count_shapes
from segrank.train.segmenter import Segmenter

SPEC = RunSpec(
    encoder="small:plain", weights="random", dataset="scenes", crop=(32, 48), patch_size=8, seed=3
)  # fmt: skip
TINY = "depth=2&embed_dim=48&num_heads=4"
FAMILIES = [
    "small:plain",
    "small:rope",
    f"timm:eva_large_patch14_196?{TINY}",  # timm takes weights and bias of its qkv past the layer
    f"timm:beit_base_patch16_224?{TINY}",  # likewise
    f"timm:beit3_base_patch16_224?{TINY}",
    f"timm:vit_base_patch16_siglip_512?{TINY}",
    f"timm:samvit_base_patch16?{TINY}",
]


def build(**changes: object) -> Segmenter:
    return build_segmenter(SPEC.replace(**changes), 5)[0]


def trained(segmenter: Segmenter) -> dict[str, nn.Parameter]:
    return {name: p for name, p in segmenter.encoder.named_parameters() if p.requires_grad}


def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("encoder", FAMILIES)
def test_adapters_change_nothing_at_first_and_then_are_a_low_rank_sum(encoder: str) -> None:
    rank, alpha = 3, 12.0
    whole, adapted = build(encoder=encoder), build(encoder=encoder, lora_rank=rank, lora_alpha=alpha)
    with torch.no_grad():
        assert torch.equal(whole.encoder(images()), adapted.encoder(images()))
    assert torch.equal(whole.state_dict()["decoder.classify.weight"], adapted.state_dict()["decoder.classify.weight"])
    layers = {
        name: module
        for name, module in whole.encoder.named_modules()
        if isinstance(module, nn.Linear) and ".blocks." in name
    }
    sizes = sum(rank * (layer.in_features + layer.out_features) for layer in layers.values())
    assert sum(p.numel() for p in trained(adapted).values()) == sizes
    assert count_shapes(adapted, SPEC.crop).without_gradient == ()

    parts = dict(adapted.encoder.named_parameters())
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in trained(adapted).values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, layer in layers.items():
            a, b = parts[f"{name}.lora_A.default.weight"], parts[f"{name}.lora_B.default.weight"]
            layer.weight.add_(alpha / rank * (b.double() @ a.double()).float())
        merged, beside = whole.encoder(images()), adapted.encoder(images())
    torch.testing.assert_close(merged, beside, rtol=1e-4, atol=1e-4)


def test_adapters_are_drawn_by_the_seed_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    one, two, other = (build(lora_rank=2, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    name = next(name for name in trained(one) if "lora_A" in name)
    assert torch.equal(trained(one)[name], trained(two)[name])
    assert not torch.equal(trained(one)[name], trained(other)[name])


@pytest.mark.parametrize("decoder", ["linear", "eomt"])
def test_the_last_blocks_and_the_norm_are_trained(decoder: str) -> None:
    segmenter = build(trained_blocks=2, decoder=decoder)
    parts = {".".join(name.split(".")[1:3]) for name in trained(segmenter)}
    assert parts == {"blocks.2", "blocks.3", "norm.weight", "norm.bias"}
    assert count_shapes(segmenter, SPEC.crop).without_gradient == ()


def test_sam_has_no_norm_to_train() -> None:
    segmenter = build(encoder=FAMILIES[-1], trained_blocks=1)
    assert {name.split(".")[1] for name in trained(segmenter)} == {"blocks"}


def test_a_checkpoint_holds_what_is_trained_and_gives_it_back() -> None:
    kinds: tuple[dict[str, object], ...] = ({"lora_rank": 2}, {"trained_blocks": 1}, {"freeze": True}, {})
    for changes in kinds:
        one, two = build(**changes), build(**changes)
        with torch.no_grad():
            for parameter in one.parameters():
                if parameter.requires_grad:
                    parameter.add_(1)
        state = one.trained_state()
        assert len(state) == sum(p.requires_grad for p in one.parameters())
        two.load_trained_state(state)
        values = two.state_dict()
        assert all(torch.equal(value, values[name]) for name, value in one.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        two.load_trained_state(build(lora_rank=2).trained_state())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trained_blocks": 5}, "has 4 blocks, not 5"),
        ({"encoder": "timm:convnext_atto", "patch_size": 16, "lora_rank": 2}, "it is no plain vision transformer"),
        ({"encoder": "timm:convnext_atto", "patch_size": 16, "trained_blocks": 2}, "it is no plain vision transformer"),
    ],
)
def test_what_cannot_be_trained_in_part_is_said(changes: dict[str, object], said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        build(**changes)
