"""One block of the Mask2Former decoder: queries look at the image, then at each other."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


class QueryBlock(nn.Module):
    """Masked cross-attention, self-attention and a feed-forward network, each with a LayerNorm after its residual.

    Equal to blocks of `nn.MultiheadAttention`, except that keys and values of the image come projected: the decoder
    does that for all blocks at once. Initialised as in Mask2Former's code
    (mask2former/modeling/transformer_decoder/mask2former_transformer_decoder.py).
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.cross_query = attention_input(width, width)
        self.cross_out = nn.Linear(width, width)
        self.cross_norm = nn.LayerNorm(width)
        self.self_query_key = attention_input(width, 2 * width)
        self.self_value = attention_input(width, width)
        self.self_out = nn.Linear(width, width)
        self.self_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.ffn_norm = nn.LayerNorm(width)
        for layer in (self.cross_out, self.self_out, self.widen, self.narrow):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.cross_out, self.self_out):
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, position: Tensor, keys: Tensor, values: Tensor, attended: Tensor) -> Tensor:
        """(b q width) -> (b q width).

        Args:
            queries: (b q width).
            position: (q width): added wherever queries are compared with something.
            keys: (b n width): projected, of the image's n tokens.
            values: (b n width): likewise.
            attended: (b q n), bool: which tokens a query looks at; one at least.
        """
        seen = self._attend(self.cross_query(queries + position), keys, values, attended[:, None])
        queries = self.cross_norm(queries + self.cross_out(seen))
        query, key = self.self_query_key(queries + position).chunk(2, dim=2)
        seen = self._attend(query, key, self.self_value(queries))
        queries = self.self_norm(queries + self.self_out(seen))
        changed: Tensor = self.ffn_norm(queries + self.narrow(F.relu(self.widen(queries))))
        return changed

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attended: Tensor | None = None) -> Tensor:
        query, key, value = (
            x.view(*x.shape[:2], self.heads, -1).transpose(1, 2) for x in (query, key, value)
        )  # each b heads tokens -1
        return F.scaled_dot_product_attention(query, key, value, attended).transpose(1, 2).flatten(2)


def attention_input(width: int, out: int) -> nn.Linear:
    """A projection of queries, keys or values, or of several, as `nn.MultiheadAttention` initialises them together."""
    layer = nn.Linear(width, out)
    bound = math.sqrt(6 / (width + 3 * width))  # Xavier's, of its one matrix with three outputs
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
    return layer
