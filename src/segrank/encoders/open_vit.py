"""A plain vision transformer that stops before its last blocks, for a decoder that runs them with tokens of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.encoders.encoder import Encoder
from segrank.errors import EncoderError


@dataclass(frozen=True)
class Block:
    """One of the encoder's blocks, for tokens of which a decoder may have put some of its own behind the prefix."""

    module: nn.Module
    rope: Tensor | None
    """(... patches 2*channels): sines and cosines by which it rotates every token behind the prefix."""
    prefix: int

    def __call__(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (b n dim) -> tokens (b n dim).

        Args:
            mask: (b 1 r n), bool: to which tokens the first r of them attend; the others attend to all, as do those
                without a mask.
        """
        if mask is None or mask.shape[2] == tokens.shape[1]:
            return self._run(tokens, mask)
        if getattr(getattr(self.module, "attn", None), "fused_attn", False):
            with _MaskOfFirst(mask):
                return self._run(tokens, None)
        return self._run(tokens, F.pad(mask, (0, 0, 0, tokens.shape[1] - mask.shape[2]), value=True))

    def _run(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        if self.rope is None:
            return self.module(tokens, attn_mask=mask)  # type: ignore[no-any-return]
        added = tokens.shape[1] - self.prefix - self.rope.shape[-2]
        sines = self.rope.new_zeros((*self.rope.shape[:-2], added, self.rope.shape[-1] // 2))
        unmoved = torch.cat([sines, torch.ones_like(sines)], dim=-1)  # a decoder's tokens have no place in the image
        rope = torch.cat([unmoved, self.rope], dim=-2)
        return self.module(tokens, rope=rope, attn_mask=mask)  # type: ignore[no-any-return]


class _MaskOfFirst(TorchFunctionMode):
    """Within it, torch's fused attention has a mask for the first tokens alone (b 1 r n).

    A mask of all, in which the others' rows are nothing but ones, would take gigabytes at 16,384 patches.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        query, *key_and_value = args
        first, others = query.tensor_split([self.mask.shape[2]], dim=2)
        seen = func(first, *key_and_value, **{**kwargs, "attn_mask": self.mask})
        return torch.cat([seen, func(others, *key_and_value, **kwargs)], dim=2)


@dataclass(frozen=True)
class OpenFeatures:
    """Tokens before the last blocks, and what is left to be done with them.

    Blocks and norm are the encoder's: their parameters are its own, with its learning rate, or frozen.
    """

    prefix: Tensor
    """(b p dim): class token and registers; p may be 0."""
    patches: Tensor
    """(b n dim), row by row."""
    grid: tuple[int, int]
    """Rows and columns of the patches."""
    blocks: tuple[Block, ...]
    norm: Callable[[Tensor], Tensor]
    """The final one: of the patches behind the last block it makes the encoder's features."""


class OpenViT(Encoder):
    """images (b 3 H W, uint8) -> `OpenFeatures`, with every parameter and name of the encoder that it is made of.

    Args:
        encoder: of a plain vision transformer of timm.
        shared: how many of the last blocks are left to the decoder; at least one comes before them.

    Raises:
        EncoderError: it is another kind of encoder, or has too few blocks.
    """

    def __init__(self, encoder: Encoder, shared: int) -> None:
        super().__init__(
            encoder.backbone,
            dim=encoder.dim,
            crop=encoder.crop,
            patch_size=encoder.patch_size,
            mean=encoder.mean.flatten().tolist(),
            std=encoder.std.flatten().tolist(),
            name=encoder.name,
        )
        self.first = depth(encoder) - shared
        if shared < 1 or self.first < 1:
            raise EncoderError(
                f"{encoder.name} has too few blocks to share some with a decoder: {depth(encoder)}",
                wanted="one at least before those that are shared",
                fix="choose a deeper encoder, or decoder=linear or mask2former",
            )

    def forward(self, images: Tensor) -> OpenFeatures:  # type: ignore[override]  # what its decoder asks for
        """Raises EncoderError as `Encoder.forward`."""
        model: Any = self.backbone
        has_prefix = model.num_prefix_tokens > 0
        [tokens] = model.forward_intermediates(
            self.normalised(images),
            indices=[self.first - 1],
            return_prefix_tokens=has_prefix,
            stop_early=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
        patches, prefix = tokens if has_prefix else (tokens, tokens[:, :0])
        parts = list(zip(model.blocks, _ropes(model, self.grid), strict=True))[self.first :]
        blocks = tuple(Block(module, rope, prefix.shape[1]) for module, rope in parts)
        return OpenFeatures(prefix, patches, self.grid, blocks, model.norm)


def depth(encoder: Encoder) -> int:
    """How many blocks a plain vision transformer has.

    Raises:
        EncoderError: it is another kind of encoder, or one whose blocks know of no tokens without a place.
    """
    model: Any = encoder.backbone
    if not isinstance(model, timm.models.VisionTransformer | timm.models.Eva):
        raise EncoderError(
            f"the last blocks of {encoder.name} cannot be shared with a decoder: it is no plain vision transformer, or "
            "its attention goes by relative positions",
            wanted="a vit_, deit, eva02_ or beit3_ model of timm without such positions, or small:",
            fix="choose one of these, or decoder=linear or mask2former, which any encoder can have",
        )
    return len(model.blocks)


def _ropes(model: Any, grid: tuple[int, int]) -> list[Tensor | None]:
    """Of each block, as timm's own forward (`Eva._pos_embed`) asks for them."""
    rope = getattr(model, "rope", None)
    if rope is None:
        return [None] * len(model.blocks)
    cached = hasattr(rope, "feat_shape") and not model.dynamic_img_size
    turns = rope.get_embed() if cached else rope.get_embed(shape=grid)
    return list(turns) if getattr(model, "rope_mixed", False) else [turns] * len(model.blocks)
