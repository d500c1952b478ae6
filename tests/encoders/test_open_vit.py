"""Encoders that leave their last blocks to a decoder, against their own whole forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from against_timm import images
from torch import Tensor, nn

from segrank.encoders.build import build_encoder
from segrank.encoders.encoder import Encoder
from segrank.encoders.open_vit import OpenFeatures, OpenViT, depth
from segrank.errors import EncoderError

CROP = (32, 48)
TINY = "embed_dim=48&num_heads=4&depth=3"
MODELS = {
    f"timm:vit_tiny_patch16_224?{TINY}": 1,
    f"timm:deit3_small_patch16_224?{TINY}": 1,  # a table of positions without the class token
    f"timm:vit_base_patch16_siglip_224?{TINY}": 0,
    f"timm:vit_base_patch16_clip_224?{TINY}": 1,  # a norm before the blocks
    f"timm:vit_small_patch14_reg4_dinov2?{TINY}": 5,
    f"timm:beit3_base_patch16_224?{TINY}": 1,
    f"timm:eva02_tiny_patch14_224?{TINY}": 1,  # rotary, and a table
    f"timm:vit_small_patch16_dinov3?{TINY}": 5,  # rotary alone
    f"timm:vit_small_patch16_rope_mixed_224?{TINY}": 1,  # rotary, otherwise in each block
    f"timm:vit_pe_spatial_tiny_patch16_512?{TINY}": 1,
    "small:plain": 1,
    "small:rope": 1,
}
"""And how many tokens stand before the patches."""


def build(name: str) -> Encoder:
    """All parameters at random: those that begin as zero hide what they do."""
    encoder, _ = build_encoder(name, crop=CROP, patch_size=8, weights="random")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return encoder


def go_on(features: OpenFeatures, added: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """What becomes of a decoder's tokens (b q dim), and of the patches, as a map."""
    tokens = torch.cat([features.prefix, added, features.patches], 1)
    for block in features.blocks:
        tokens = block(tokens, mask)
    before = features.prefix.shape[1]
    _, added, patches = torch.split(
        features.norm(tokens), [before, added.shape[1], features.patches.shape[1]], dim=1
    )  # fmt: skip
    return added, patches.transpose(1, 2).reshape(len(patches), -1, *features.grid)


@pytest.mark.parametrize("name", MODELS)
def test_with_all_its_blocks_run_it_gives_the_encoders_features(name: str) -> None:
    encoder = build(name)
    opened = OpenViT(encoder, 2)
    features = opened(images(*CROP, 2))
    assert (features.prefix.shape[1], len(features.blocks), features.grid) == (MODELS[name], 2, encoder.grid)
    count, added = MODELS[name] + 6 * 4, 5
    # tokens that nobody attends to change nothing
    mask = torch.ones(1, 1, count + added, count + added, dtype=torch.bool)
    mask[..., MODELS[name] : MODELS[name] + added] = False
    others = torch.randn(len(features.patches), added, encoder.dim, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = encoder(images(*CROP, 2))
        torch.testing.assert_close(go_on(features, others[:, :0], None)[1], expected, rtol=1e-5, atol=1e-5)
        seen, patches = go_on(features, others, mask)
        torch.testing.assert_close(patches, expected, rtol=1e-5, atol=1e-5)
        # and have no place of their own: in another order they come out in that order
        turned, _ = go_on(features, others.flip(1), mask)
        torch.testing.assert_close(turned.flip(1), seen, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(go_on(features, others, None)[1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_mask_of_the_first_tokens_is_one_of_all_in_which_the_others_attend_to_all(name: str, fused: bool) -> None:
    features = OpenViT(build(name), 2)(images(*CROP, 2))
    for block in features.blocks:
        attention: Any = block.module.attn
        assert attention.fused_attn
        attention.fused_attn = fused
    generator = torch.Generator().manual_seed(5)
    added = torch.randn(len(features.patches), 5, features.patches.shape[2], generator=generator)
    first, count = MODELS[name] + 5, MODELS[name] + 5 + 6 * 4
    mask = torch.rand(len(added), 1, count, count, generator=generator) < 0.5
    mask[..., 0] = mask[:, :, first:] = True
    with torch.no_grad():
        expected, found = (go_on(features, added, rows) for rows in (mask, mask[:, :, :first]))
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(expected[0], go_on(features, added, None)[0], rtol=1e-5, atol=1e-5)


def test_parameters_and_their_names_are_the_encoders() -> None:
    encoder = build("small:rope")
    opened = OpenViT(encoder, 3)
    assert [(name, id(p)) for name, p in opened.named_parameters()] == [
        (name, id(p)) for name, p in encoder.named_parameters()
    ]
    assert opened.state_dict().keys() == encoder.state_dict().keys()
    assert torch.equal(opened.mean, encoder.mean)
    assert torch.equal(opened.std, encoder.std)


@pytest.mark.parametrize(
    "name",
    [
        "timm:samvit_base_patch16?depth=2&embed_dim=48&num_heads=4&global_attn_indexes=[1]",
        "timm:beit_base_patch16_224?depth=2&embed_dim=48&num_heads=4",
        "timm:vit_relpos_small_patch16_224?depth=2&embed_dim=48&num_heads=4",
        "timm:convnext_atto",
    ],
)
def test_other_encoders_are_refused_with_what_works(name: str) -> None:
    encoder, _ = build_encoder(name, crop=(64, 64), patch_size=16, weights="random")
    with pytest.raises(EncoderError, match="mask2former, which any encoder can have"):
        OpenViT(encoder, 1)


def test_a_users_own_module_is_refused() -> None:
    own = Encoder(
        nn.Conv2d(3, 4, 8, 8), dim=4, crop=CROP, patch_size=8, mean=[0.5] * 3, std=[0.5] * 3, name="own"
    )  # fmt: skip
    with pytest.raises(EncoderError, match="no plain vision transformer"):
        depth(own)


def test_a_block_at_least_comes_before_those_that_are_shared() -> None:
    with pytest.raises(EncoderError, match="too few blocks to share some with a decoder: 4"):
        OpenViT(build("small:plain"), 4)
    with pytest.raises(EncoderError, match="choose a deeper encoder"):
        OpenViT(build("small:shallow"), 0)
