"""The vision transformer that a spec names, as far as its card tells without building it. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from segrank.cards import CARDS, card_of
from segrank.encoders.small import SMALL
from segrank.spec import parse_reference

_HARMLESS = {"num_heads", "use_abs_pos_emb", "use_fc_norm"}
"""Options of timm's models that change neither FLOPs nor, by much, parameters."""
_BLOCK = 12
"""A block has this times dim^2 parameters: 4 dim^2 of its attention and 8 dim^2 of an MLP that widens four times."""
_BY_ARCHITECTURE = {card.timm.partition(".")[0]: card for card in CARDS.values()}
"""timm's name without its tag, which tells of weights alone."""


@dataclass(frozen=True)
class Transformer:
    """A plain vision transformer, or SAM's, whose attention is windowed in most blocks."""

    dim: int
    depth: int
    block_parameters: int
    """Of all blocks together."""
    windowed: bool = False
    position_table: bool = True

    @property
    def heads(self) -> int:
        """64 channels each, as all but a few have them."""
        return max(1, self.dim // 64)

    def parameters(self, patch: int, tokens: int) -> int:
        """With patch embedding and table of positions, at a patch size and a number of tokens."""
        return self.block_parameters + (3 * patch**2 + self.position_table * tokens) * self.dim


def transformer_of(encoder: str) -> Transformer | None:
    """What the catalogue knows of an encoder's architecture, whatever its weights; none where it does not.

    >>> transformer_of("timm:vit_base_patch16_224.mae").depth
    12
    """
    scheme, name, options = parse_reference(encoder)
    if scheme == "small" and name in SMALL:
        scheme, name, options = parse_reference(SMALL[name])
    if scheme != "timm":
        return None
    changed = options.keys() - _HARMLESS
    if changed == {"embed_dim", "depth"} and name in {parse_reference(reference).name for reference in SMALL.values()}:
        dim, depth = int(options["embed_dim"]), int(options["depth"])
        has_table = options.get("use_abs_pos_emb", True) is not False
        return Transformer(dim, depth, _BLOCK * dim**2 * depth, position_table=has_table)
    card = card_of(f"timm:{name}") or _BY_ARCHITECTURE.get(name.partition(".")[0])
    if changed or card is None or card.depth is None:
        return None
    outside = (3 * card.patch**2 + card.grid**2) * card.dim
    sam = card.timm.startswith("samvit_")
    return Transformer(card.dim, card.depth, round(card.parameters_m * 1e6) - outside, windowed=sam)
