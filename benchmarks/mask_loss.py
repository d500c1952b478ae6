"""The mask decoders' loss beside the plain one: matching, losses and backward together; time, memory, and calls.

    python benchmarks/mask_loss.py

Plain: one boolean mask per class at the crop's size, then transformers' Mask2FormerLoss, which goes layer by layer and
matches image by image. 512x512, 150 classes, 100 queries, 2 images, 10 output layers; 5, 15 or 40 classes in an image.
Ignored pixels are background in both, unless it says excluded. Memory is what a call takes at most beyond its inputs.
What decides on a GPU is counted, not timed: calls of torch's operators, and those that make the host wait for values.
Takes about two minutes on 2 cores. Needs transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from paired import Call, paired, peak_mib
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from segrank import _torchvision  # noqa: F401
from segrank.data.dataset import IGNORE
from segrank.decoders.mask_loss import TORCH, compare, mask_loss
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_points import CANDIDATES, FRESH, drawn

# isort: split
# Transformers brings torchvision in, which comes after the line above.
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

CROP, CLASSES, QUERIES, IMAGES, LAYERS = 512, 150, 100, 2, 10
CASES = [(patch, present) for patch in (16, 8) for present in (5, 15, 40)]
"""(patch_px, classes in an image)."""
REMEMBERED = [(16, 15), (8, 40)]
CPU = torch.device("cpu")
Losses = Callable[[MaskOutput, Tensor], Tensor]


def plain(output: MaskOutput, labels: Tensor) -> Tensor:
    """The sum over images with as many masks each."""
    criterion = Mask2FormerLoss(Mask2FormerConfig(num_labels=CLASSES), {})  # type: ignore[call-arg]
    classes = [values[values != IGNORE].long() for values in map(torch.unique, labels)]
    masks = [(image == c[:, None, None]).float() for image, c in zip(labels, classes, strict=True)]
    of_layers = [
        {"masks_queries_logits": m, "class_queries_logits": c}
        for m, c in zip(output.masks, output.classes, strict=True)
    ]
    losses = criterion(**of_layers[-1], mask_labels=masks, class_labels=classes, auxiliary_predictions=of_layers[:-1])
    weighted = [(2 if "cross_entropy" in name else 5) * loss for name, loss in losses.items()]
    return torch.stack(weighted).sum() * len(labels)


def ours(output: MaskOutput, labels: Tensor) -> Tensor:
    return mask_loss(output, labels, ignored="negative").sum()


def ours_excluded(output: MaskOutput, labels: Tensor) -> Tensor:
    return mask_loss(output, labels, ignored="excluded").sum()


def ours_in_torch(output: MaskOutput, labels: Tensor) -> Tensor:
    """What a GPU is given."""
    return compare(output, labels, "negative", TORCH, drawn(CPU)).sum()


def inputs(patch: int, present: int) -> tuple[MaskOutput, Tensor]:
    """Random logits; labels in squares of 32 pixels, in each image the same number of classes, one in ten ignored."""
    torch.manual_seed(0)
    side = CROP // patch
    classes = torch.randn(LAYERS, IMAGES, QUERIES, CLASSES + 1, requires_grad=True)
    masks = (4 * torch.randn(LAYERS, IMAGES, QUERIES, side, side)).requires_grad_()
    squares = 3 * torch.randint(0, present, (IMAGES, (CROP // 32) ** 2))
    squares[torch.rand(squares.shape) < 0.1] = IGNORE
    squares[:, :present] = 3 * torch.arange(present)
    labels = squares.to(torch.uint8).view(IMAGES, CROP // 32, CROP // 32)
    return MaskOutput(classes, masks), labels.repeat_interleave(32, 1).repeat_interleave(32, 2)


def prepare(losses: Losses, patch: int, present: int) -> Call:
    output, labels = inputs(patch, present)

    def call() -> tuple[Tensor, ...]:
        return torch.autograd.grad(losses(output, labels), output)

    few = MaskOutput(*(part[:1, :, :2] for part in output))
    torch.autograd.grad(losses(few, labels[:, :64, :64]), few)  # compiles, or loads what was compiled before
    return call


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is given to the device; separately, operators that make the host wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.waits = 0, Counter[str]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2"):
            self.waits[name] += 1
        if name == "index" and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            self.waits["index by a mask"] += 1
        return function(*args, **(kwargs or {}))


class _Transfers(TorchFunctionMode):
    """Counts `Tensor.cpu`, which on a CPU gives no operator anything to do."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Counter[str]()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is Tensor.cpu:
            self.waits["cpu"] += 1
        return function(*args, **(kwargs or {}))


def count(losses: Losses, present: int) -> tuple[int, Counter[str]]:
    call = prepare(losses, 16, present)
    with _Transfers() as transfers, _Operators() as operators:
        call()
    return operators.calls, operators.waits + transfers.waits


def by_torch(first: int, out: Tensor) -> None:
    out.uniform_()


def draw(write: Callable[[int, Tensor], None], pairs: int) -> Call:
    """All the points of these pairs, pair by pair."""
    out = torch.empty(1, 2, CANDIDATES + FRESH)

    def call() -> None:
        for pair in range(pairs):
            write(pair * (CANDIDATES + FRESH), out)

    return call


def main() -> None:
    for case in CASES:
        print(f"{CROP}x{CROP}, {case[0]}x{case[0]} patches, {case[1]} classes in an image", flush=True)
        torch.testing.assert_close(ours(*inputs(*case)), plain(*inputs(*case)), rtol=0.01, atol=0)
        beside, here = prepare(plain, *case), prepare(ours, *case)
        print(f"  {paired('matching, losses, backward', beside, here, rounds=3)}", flush=True)
        if case in REMEMBERED:
            print(f"  {paired('the same, ignored pixels excluded', beside, prepare(ours_excluded, *case), rounds=3)}")
            least, taken = (peak_mib(partial(prepare, losses, *case)) for losses in (ours, plain))
            print(f"  {'memory':<44} plain {taken:5.0f} MiB  ours {least:5.0f} MiB  {taken / least:6.1f}x", flush=True)
    print("Points of 300 pairs, on one thread")
    torch.set_num_threads(1)
    print(f"  {paired('drawing them', draw(by_torch, 300), draw(drawn(CPU), 300))}")
    print("Calls, forward and backward, 16x16 patches")
    for present in (present for patch, present in CASES if patch == 16):
        (beside_calls, beside_waits), (calls, waits) = count(plain, present), count(ours_in_torch, present)
        print(f"  {present} classes: operators  plain {beside_calls}  ours {calls}  {beside_calls / calls:6.1f}x")
        print(f"    waits  plain {dict(beside_waits)}  ours {dict(waits)} (the check of labels waits on a CPU only)")


if __name__ == "__main__":
    main()
