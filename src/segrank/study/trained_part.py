"""What of an encoder a run trains, in parameters and FLOPs: all, nothing, its last blocks, or adapters. No torch."""

from __future__ import annotations

from typing import NamedTuple

from segrank.spec import RunSpec

_WIDTHS = 16
"""Inputs and outputs of a block's linear layers, in dims: qkv 1 + 3, projection 1 + 1, MLP 1 + 4 and 4 + 1."""


class TrainedPart(NamedTuple):
    """Of an encoder under a spec. FLOPs are of one crop, a multiply-add as 2."""

    parameters: int
    """That are trained."""
    added_parameters: int
    """Adapters, which the encoder does not have by itself."""
    added_flops: int
    """Theirs, forward."""
    backward_flops: int


def trained_part(
    spec: RunSpec, *, dim: int, depth: int, tokens: int, embed: int, linear: int, attention: int, parameters: int
) -> TrainedPart:
    """What a plain vision transformer's training takes beside its forward pass.

    Backward takes as much again for inputs and for weights. Before the first block that is trained there is none;
    frozen weights beside adapters take it for their inputs alone, but for the first layer, before which nothing wants a
    gradient.

    Args:
        spec: the run.
        dim, depth: channels, and how many blocks there are.
        tokens: with class token and registers.
        embed, linear, attention: forward FLOPs of the patch embedding, and of all blocks' linear layers and attention.
        parameters: of the encoder.
    """
    if spec.freeze:
        return TrainedPart(0, 0, 0, 0)
    if spec.lora_rank:
        added = _WIDTHS * dim * spec.lora_rank * depth
        added_flops = 2 * tokens * added
        first = 2 * tokens * dim * (3 * dim + spec.lora_rank)
        return TrainedPart(added, added, added_flops, linear + 2 * attention + 2 * added_flops - first)
    if spec.trained_blocks != "all":
        blocks = min(spec.trained_blocks, depth)
        of_blocks = linear // (2 * tokens)  # the weights that each token meets once
        return TrainedPart(of_blocks * blocks // depth, 0, 0, 2 * (linear + attention) * blocks // depth)
    return TrainedPart(parameters, 0, 0, 2 * (linear + attention) + embed)  # images need no gradient
