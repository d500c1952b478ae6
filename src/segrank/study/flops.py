"""FLOPs and parameters of a run from its card: what `train.cost.count_shapes` counts, without building anything.

A multiply-add is 2. A linear layer takes 2 x parameters for a token, so blocks take 2 x theirs, whatever their MLP is;
attention takes 4 x tokens^2 x dim a block for its two products. Backward takes as much again for inputs and for
weights. Norms, activations and losses are left out, as torch's counter leaves them out. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segrank.decoders import sizes
from segrank.encoders.sam_window import window_size
from segrank.spec import RunSpec
from segrank.study.network import Transformer, transformer_of
from segrank.study.trained_part import trained_part

SAM_GLOBAL = 4
"""Blocks of SAM's encoder that attend over the whole grid, in every size (arXiv 2304.02643)."""


class Work(NamedTuple):
    """What one image, or one window, asks of a network."""

    forward_flops: int
    """Of one crop, in evaluation."""
    train_flops: int
    """Of one crop, forward and backward."""
    encoder_parameters: int
    decoder_parameters: int
    trained_parameters: int


class _Blocks(NamedTuple):
    """Forward FLOPs of some blocks."""

    linear: int
    attention: int


class _Decoder(NamedTuple):
    """Forward FLOPs and parameters."""

    parameters: int
    evaluation: int
    training: int
    once: int
    """Of those in training, what has no backward."""
    to_frozen: int
    """FLOPs of the backward towards a frozen encoder, which is left out."""


def work_of(spec: RunSpec, classes: int) -> Work | None:
    """FLOPs and parameters; none where the encoder's architecture is not known.

    Args:
        spec: the run.
        classes: of its dataset.
    """
    net = transformer_of(spec.encoder)
    if net is None:
        return None
    grid = spec.crop[0] // spec.patch_size, spec.crop[1] // spec.patch_size
    tokens = grid[0] * grid[1]
    embed = 2 * tokens * 3 * spec.patch_size**2 * net.dim
    shared = sizes.shared_blocks(net.depth) if spec.decoder == "eomt" else 0
    blocks = _blocks(net, grid, net.depth - shared)
    decoder = _DECODERS[spec.decoder](net, tokens, classes, spec.patch_size)
    own_parameters = net.parameters(spec.patch_size, tokens)
    part = trained_part(
        spec, dim=net.dim, depth=net.depth, tokens=tokens if net.windowed else tokens + 1, embed=embed,
        linear=blocks.linear, attention=blocks.attention, parameters=own_parameters,
    )  # fmt: skip
    flops = embed + sum(blocks) + part.added_flops
    backward = 2 * (decoder.training - decoder.once) + part.backward_flops
    if spec.freeze or (spec.lora_rank and spec.decoder == "eomt"):
        backward -= decoder.to_frozen
    return Work(
        forward_flops=flops + decoder.evaluation,
        train_flops=flops + decoder.training + backward,
        encoder_parameters=own_parameters + part.added_parameters,
        decoder_parameters=decoder.parameters,
        trained_parameters=decoder.parameters + part.parameters,
    )


def _blocks(net: Transformer, grid: tuple[int, int], depth: int) -> _Blocks:
    """Of `depth` of the blocks."""
    rows, columns = grid
    tokens = rows * columns
    if not net.windowed:
        tokens += 1  # the class token; registers are few
        return _Blocks(
            2 * tokens * net.block_parameters // net.depth * depth, depth * _attention(tokens, tokens, net.dim)
        )
    whole = min(SAM_GLOBAL, depth)
    side = window_size(max(grid))
    padded = -(-rows // side) * side * (-(-columns // side) * side)  # grids are filled up with whole windows
    linear = 2 * tokens * net.block_parameters // net.depth * depth
    linear += (depth - whole) * 2 * (padded - tokens) * 4 * net.dim**2
    # relative positions are one more product each along rows and columns
    attention = whole * (_attention(tokens, tokens, net.dim) + 2 * tokens * (rows + columns) * net.dim)
    attention += (depth - whole) * (_attention(padded, side**2, net.dim) + 2 * padded * 2 * side * net.dim)
    return _Blocks(linear, attention)


def _attention(queries: int, keys: int, dim: int) -> int:
    """Scores, and their products with the values."""
    return 2 * 2 * queries * keys * dim


def _linear(net: Transformer, tokens: int, classes: int, patch: int) -> _Decoder:
    flops = 2 * tokens * net.dim * classes
    return _Decoder((net.dim + 1) * classes, flops, flops, once=0, to_frozen=flops)


def _mask2former(net: Transformer, tokens: int, classes: int, patch: int) -> _Decoder:
    queries, width, hidden, blocks = sizes.QUERIES, sizes.WIDTH, sizes.HIDDEN, sizes.BLOCKS
    of_image = net.dim * width + 2 * blocks * width**2
    of_query = 6 * width**2 + 2 * width * hidden  # cross query and out; self query, key, value and out; feed-forward
    mask_head = 3 * width**2
    block = 2 * queries * of_query + _attention(queries, tokens, width) + _attention(queries, queries, width)
    mask = 2 * queries * (mask_head + width * tokens)
    prediction = mask + 2 * queries * width * (classes + 1)
    looked = blocks * mask  # where queries look: a comparison, which has no gradient
    common = 2 * tokens * of_image + blocks * block + looked
    return _Decoder(
        of_image + blocks * of_query + mask_head + width * (classes + 1 + 2 * queries),
        evaluation=common + prediction,
        training=common + (blocks + 1) * prediction,
        once=looked,
        to_frozen=2 * tokens * net.dim * width,
    )


def _eomt(net: Transformer, tokens: int, classes: int, patch: int) -> _Decoder:
    queries, doublings = sizes.QUERIES, sizes.doublings(patch)
    shared = sizes.shared_blocks(net.depth)
    seen = tokens + 1 + queries
    linear = 2 * shared * seen * net.block_parameters // net.depth
    joint = linear + shared * _attention(seen, seen, net.dim)
    upscale = sum(2 * tokens * 4**step * net.dim * (net.dim + 9) for step in range(1, doublings + 1))
    masks = 2 * queries * net.dim * tokens * 4**doublings
    prediction = 2 * queries * net.dim * (3 * net.dim + classes + 1) + upscale + masks
    return _Decoder(
        net.dim * (queries + classes + 1 + 3 * net.dim + doublings * (4 * net.dim + 9)),
        evaluation=joint + prediction,
        training=joint + (shared + 1) * prediction,
        once=0,
        to_frozen=linear,  # weights of the shared blocks are frozen as well
    )


_DECODERS: dict[str, Callable[[Transformer, int, int, int], _Decoder]] = {
    "linear": _linear,
    "mask2former": _mask2former,
    "eomt": _eomt,
}
