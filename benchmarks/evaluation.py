"""The evaluation of one image beside the plain one: time and memory, with the network and without.

    python benchmarks/evaluation.py

Plain, as the reference code of arXiv 2404.12172 goes about it: a linear layer on tokens, whose result is upsampled to
the crop; a sum and a count over windows of classes x pixels each; their quotient resized to the image's own size; and
torchmetrics, which takes the best class and counts. "Contiguous": the same with the layer's result copied into the
order of its shape before it is upsampled, which is often faster. A ViT-Ti with random weights, crop 512, 150 classes.
"After the network": its outputs are there already. Memory is what a call takes at most beyond the model and its inputs;
with the network that includes its activations. Takes about 3 minutes on 2 cores.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from paired import Call, paired, peak_mib
from torch import Tensor, nn

from segrank.bilinear import Rows
from segrank.counts import confusion_from_table
from segrank.data.dataset import Sample
from segrank.decoders.linear import LinearDecoder
from segrank.encoders.build import build_encoder
from segrank.evaluate.evaluate import evaluate
from segrank.evaluate.windows import resized_size, split, windows
from segrank.train.segmenter import Segmenter

# isort: split
# Torchvision comes after segrank, which lets every build of it be imported.
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex
from torchvision.transforms.v2 import functional as tvf

CLASSES = 150
CROP = (512, 512)
SIZES = [(512, 683), (1000, 1500)]
CPU = torch.device("cpu")


class OneImage:
    """A split with one sample that is there already. Labels in squares of 32 pixels, one in ten of them ignored."""

    def __init__(self, height: int, width: int) -> None:
        rng = np.random.default_rng(0)
        squares = rng.integers(0, CLASSES, (-(-height // 32), -(-width // 32)), dtype=np.uint8)
        squares[rng.random(squares.shape) < 0.1] = 255
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        self.sample = Sample(image, squares.repeat(32, 0).repeat(32, 1)[:height, :width].copy(), "image", False)

    @property
    def names(self) -> Sequence[str]:
        return ["image"]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample

    def digest(self) -> str:
        return ""


class Replayed:
    """A segmenter whose network has run."""

    classes, scores_are_logits = CLASSES, True

    def __init__(self, segmenter: Segmenter, output: Tensor) -> None:
        self.segmenter, self.kept = segmenter, output

    def output(self, images: Tensor) -> Tensor:
        return self.kept

    def scores(self, output: Any, image: int) -> Tensor | Rows:
        return self.segmenter.scores(output, image)


def build() -> Segmenter:
    torch.manual_seed(0)
    encoder, _ = build_encoder("timm:vit_tiny_patch16_224", crop=CROP, patch_size=16, weights="random")
    return Segmenter(encoder, LinearDecoder(encoder.dim, CLASSES), freeze=False).eval()


def on_tokens(segmenter: Segmenter, windows: Tensor) -> Tensor:
    """(b 3 H W) -> (b classes h w), class beside class in memory, as a linear layer on tokens leaves them."""
    features = segmenter.encoder(windows)
    layer = segmenter.decoder.classify
    assert isinstance(layer, nn.Linear)
    logits: Tensor = layer(features.flatten(2).transpose(1, 2)).transpose(1, 2)
    return logits.reshape(len(windows), CLASSES, *features.shape[2:])


@torch.inference_mode()
def evaluate_plainly(network: Callable[[Tensor], Tensor], sample: Sample, metric: nn.Module) -> None:
    own = sample.labels.shape[0], sample.labels.shape[1]
    size = resized_size(own, CROP)
    pixels = tvf.resize(torch.from_numpy(sample.image).permute(2, 0, 1), list(size), antialias=True)
    parts = F.interpolate(network(torch.stack(split(pixels, CROP))), CROP, mode="bilinear")
    total, count = torch.zeros(CLASSES, *size), torch.zeros(CLASSES, *size)
    for part, (top, left) in zip(parts, windows(size, CROP), strict=True):
        inside = (slice(None), slice(top, top + CROP[0]), slice(left, left + CROP[1]))
        total[inside] += part
        count[inside] += 1
    scores = F.interpolate((total / count)[None], own, mode="bilinear")
    metric.update(scores, torch.from_numpy(sample.labels)[None])  # type: ignore[operator]


def prepare(ours: bool, network: bool, contiguous: bool, size: tuple[int, int]) -> Call:
    """A call that evaluates one image. What it compiles, or loads compiled, it has when this returns."""
    segmenter, split_ = build(), OneImage(*size)
    places = windows(resized_size(size, CROP), CROP)
    with torch.inference_mode():
        images = torch.randint(0, 256, (len(places), 3, *CROP), dtype=torch.uint8)
        grids = on_tokens(segmenter, images)
    gc.collect()
    if ours:
        way = segmenter if network else Replayed(segmenter, grids.contiguous())
        call = partial(evaluate, way, split_, [0], CROP, CLASSES, device=CPU)
        for other in ((520, 520), CROP):
            evaluate(Replayed(segmenter, grids.contiguous()), OneImage(*other), [0], CROP, CLASSES, device=CPU)
        return call
    metric = MulticlassJaccardIndex(CLASSES, ignore_index=255, validate_args=False)
    plain: Callable[[Tensor], Tensor] = partial(on_tokens, segmenter) if network else lambda _: grids
    through = (lambda images: plain(images).contiguous()) if contiguous else plain
    return partial(evaluate_plainly, through, split_.sample, metric)


def differing_pixels(size: tuple[int, int]) -> int:
    """Labelled pixels that the two ways count elsewhere: half of what their confusions differ by."""
    segmenter, split_ = build(), OneImage(*size)
    metric = MulticlassConfusionMatrix(CLASSES, ignore_index=255, validate_args=False)
    evaluate_plainly(partial(on_tokens, segmenter), split_.sample, metric)
    ours = confusion_from_table(evaluate(segmenter, split_, [0], CROP, CLASSES, device=CPU), CLASSES)
    return int(np.abs(ours - metric.compute().numpy()).sum()) // 2


def main() -> None:
    for size in SIZES:
        print(f"{size[0]}x{size[1]}: {differing_pixels(size)} of {size[0] * size[1]} pixels differ")
        for network in (True, False):
            what = "with the network" if network else "after the network"
            ours = partial(prepare, True, network, False, size)
            plain, contiguous = (partial(prepare, False, network, order, size) for order in (False, True))
            print(f"  {paired(what, plain(), ours(), rounds=5)}")
            print(f"  {paired(f'{what}, plain contiguous', contiguous(), ours(), rounds=5)}")
            taken, least = peak_mib(plain), peak_mib(ours)
            name = f"memory {what}"
            print(f"  {name:<44} plain {taken:5.0f} MiB  ours {least:5.1f} MiB  {taken / least:6.1f}x")


if __name__ == "__main__":
    main()
