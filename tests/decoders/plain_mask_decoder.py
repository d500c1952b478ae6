"""The Mask2Former decoder as one would compose it of torch's own modules, with the weights of ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401
from segrank.decoders.mask2former import Mask2FormerDecoder
from segrank.decoders.query_block import QueryBlock

# isort: split
# It imports torchvision: after segrank, which lets every build of that be imported.
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

WIDTH, HEADS = 256, 8


def load(module: nn.MultiheadAttention, inputs: list[tuple[Tensor, Tensor]], out: nn.Linear) -> None:
    """Give it these weights and biases of queries, keys and values, and these for what comes out."""
    weights, biases = zip(*inputs, strict=True)
    state = {"in_proj_weight": torch.cat(weights), "in_proj_bias": torch.cat(biases)}
    module.load_state_dict(state | {"out_proj.weight": out.weight, "out_proj.bias": out.bias})


class PlainBlock(nn.Module):
    """A block that projects keys and values by itself, with what ours is given them by."""

    def __init__(self, block: QueryBlock, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.own = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(WIDTH, 2048), nn.ReLU(), nn.Linear(2048, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        query = block.cross_query.weight, block.cross_query.bias
        load(self.cross, [query, keys, values], block.cross_out)
        query_key = block.self_query_key.weight, block.self_query_key.bias
        load(self.own, [query_key, (block.self_value.weight, block.self_value.bias)], block.self_out)
        self.ffn[0].load_state_dict(block.widen.state_dict())
        self.ffn[2].load_state_dict(block.narrow.state_dict())
        for norm, same in zip(self.norms, (block.cross_norm, block.self_norm, block.ffn_norm), strict=True):
            norm.load_state_dict(same.state_dict())

    def forward(self, x: Tensor, position: Tensor, keys: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
        """`hidden` (b q n), bool: which tokens a query does not see."""
        mask = hidden.repeat_interleave(HEADS, dim=0)
        x = self.norms[0](x + self.cross(x + position, keys, values, attn_mask=mask, need_weights=False)[0])
        x = self.norms[1](x + self.own(x + position, x + position, x, need_weights=False)[0])
        after: Tensor = self.norms[2](x + self.ffn(x))
        return after


class PlainMaskDecoder(nn.Module):
    """Features (b dim h w) -> for each output, class logits (b q classes + 1) and mask logits (b q h w)."""

    def __init__(self, ours: Mask2FormerDecoder) -> None:
        super().__init__()
        self.project, self.norm, self.classify = ours.project, ours.norm, ours.classify
        self.mask = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
        ).to(ours.queries)
        self.mask.load_state_dict(ours.mask.state_dict())
        self.queries, self.query_positions = ours.queries, ours.query_positions
        self.position = Mask2FormerSinePositionEmbedding(WIDTH // 2, normalize=True)
        of_keys = zip(ours.keys.weight.chunk(9), ours.keys.bias.chunk(9), strict=True)
        of_values = zip(ours.values.weight.chunk(9), ours.values.bias.chunk(9), strict=True)
        self.blocks = nn.ModuleList()
        for block, keys, values in zip(ours.blocks, of_keys, of_values, strict=True):
            assert isinstance(block, QueryBlock)
            self.blocks.append(PlainBlock(block, keys, values).to(ours.queries))

    def forward(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        image = self.project(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # b width h w
        values = image.flatten(2).transpose(1, 2)
        keys = values + self.position(image.shape, image.device, image.dtype).flatten(2).transpose(1, 2)
        x = self.queries[None].repeat(len(features), 1, 1)
        outputs = [self._output(x, image)]
        for block in self.blocks:
            hidden = (outputs[-1][1] < 0).detach().flatten(2)
            hidden[hidden.all(dim=-1)] = False
            x = block(x, self.query_positions, keys, values, hidden)
            outputs.append(self._output(x, image))
        return outputs

    def _output(self, x: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x)
        return self.classify(x), torch.einsum("bqc,bchw->bqhw", self.mask(x), image)
