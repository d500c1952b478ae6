"""How much memory and disk a run takes, from its sizes. No torch.

Float32 parameters take 4 bytes, their gradients 4, AdamW's two averages 8. What a block of a vision transformer keeps
for its backward, beside attention's scores, which fused kernels compute again: its two norms' inputs and outputs, q, k
and v, what attention gives, and the MLP's inner layer before and after its activation. That is 16 values of a token for
each channel, 18 with LayerScale, of 4 bytes; in half precision the norms' inputs stay float32 and the rest is halved
(counted as in Korthikanti et al., arXiv 2205.05198, section 4, without dropout). The tests hold this against what torch
keeps.
"""

from __future__ import annotations

from collections.abc import Callable

from segrank.decoders import sizes
from segrank.encoders.sam_window import window_size
from segrank.spec import RunSpec
from segrank.study.flops import SAM_GLOBAL, Work
from segrank.study.network import Transformer

PROCESS_GIB = 0.62
"""A process that has imported everything and opened a dataset, on a CPU: what small runs were seen to take."""
_PER_VALUE = {"fp32": 18 * 4, "bf16": 2 * 4 + 16 * 2, "fp16": 2 * 4 + 16 * 2}
"""Bytes for each token, block and channel."""
_GIB = 2**30
_LOG_LINE = 75
"""Bytes, of a step."""
_COUNTS = 700
"""Bytes of a scored image in counts.parquet: what runs on 11 to 150 classes were seen to take is 250 to 1,200."""


def memory_gib(spec: RunSpec, net: Transformer, work: Work, micro_batch: int) -> float:
    """What training holds: parameters, gradients, optimiser, and what a micro-batch keeps for its backward.

    At the end weights are there four times, to be published, which for a frozen encoder is more: the model, copies of
    its tensors, and what safetensors makes of them before and after it puts them together.

    Args:
        spec: with its precision resolved.
        net: its encoder.
        work: its parameters.
        micro_batch: images that go through at once.
    """
    parameters = work.encoder_parameters + work.decoder_parameters
    held = 4 * parameters + 12 * work.trained_parameters
    if spec.precision in ("bf16", "fp16"):
        held += 2 * parameters  # autocast's copies
    training = held + micro_batch * kept_bytes(spec, net)
    publication = 4 * 4 * parameters + 8 * work.trained_parameters
    return max(training, publication) / _GIB


def kept_bytes(spec: RunSpec, net: Transformer) -> int:
    """Of one image, for its backward."""
    rows, columns = spec.crop[0] // spec.patch_size, spec.crop[1] // spec.patch_size
    tokens = rows * columns
    depth = 0 if spec.freeze else net.depth if spec.trained_blocks == "all" else min(net.depth, spec.trained_blocks)
    per_value = _PER_VALUE.get(spec.precision, _PER_VALUE["fp32"])
    kept = (tokens + 1) * depth * net.dim * per_value
    if spec.freeze:
        kept += (tokens + 1) * net.dim * 12 * 4  # not kept, but there while a block is computed
    if net.windowed and depth:
        # its scores have relative positions added to them and are kept, before and after
        side = window_size(max(rows, columns))
        padded = -(-rows // side) * side * (-(-columns // side) * side)
        kept += 2 * 4 * net.heads * (SAM_GLOBAL * tokens**2 + (net.depth - SAM_GLOBAL) * padded * side**2)
    return kept + _DECODERS[spec.decoder](spec, net, tokens)


def disk_gib(work: Work, *, steps: int, images: int, keep_weights: bool = True) -> tuple[float, float]:
    """While it runs, and when it is done.

    Args:
        work: its parameters.
        steps: of the run, a line of its log each.
        images: that are scored, evaluations along the way included.
        keep_weights: whether the trained weights stay.
    """
    small = steps * _LOG_LINE + images * _COUNTS
    weights = 4 * (work.encoder_parameters + work.decoder_parameters)
    checkpoint = 12 * work.trained_parameters  # weights and AdamW's averages; two stay, and one is being written
    running = small + 3 * checkpoint
    done = small + (weights if keep_weights else 0)
    return max(running, done) / _GIB, done / _GIB


def _linear(spec: RunSpec, net: Transformer, tokens: int) -> int:
    return 0


def _mask2former(spec: RunSpec, net: Transformer, tokens: int) -> int:
    queries, width, blocks = sizes.QUERIES, sizes.WIDTH, sizes.BLOCKS
    of_queries = blocks * queries * (14 * width + 2 * sizes.HIDDEN) * 4
    of_image = tokens * (2 * blocks + 3) * width * 4
    masks = tokens * queries * ((blocks + 1) * 4 + blocks)  # each prediction, and where each block looks
    return of_queries + of_image + masks


def _eomt(spec: RunSpec, net: Transformer, tokens: int) -> int:
    predictions, doublings = sizes.shared_blocks(net.depth) + 1, sizes.doublings(spec.patch_size)
    grids = [tokens << 2 * step for step in range(1, doublings + 1)]
    return predictions * 4 * (5 * net.dim * sum(grids) + sizes.QUERIES * grids[-1])


_DECODERS: dict[str, Callable[[RunSpec, Transformer, int], int]] = {
    "linear": _linear,
    "mask2former": _mask2former,
    "eomt": _eomt,
}
