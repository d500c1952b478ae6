"""The evaluation of one image with the Mask2Former decoder beside the plain one: time and memory.

    python benchmarks/mask_evaluation.py

Plain, as one composes it of torch's modules and as transformers goes from queries to classes: a decoder of
`nn.MultiheadAttention`; the last output's masks, all upsampled to the crop; sigmoid; `einsum` with the softmax; a sum
and a count over windows of classes x pixels each; their quotient resized to the image's own size; argmax. That is the
honest baseline. "Network twice": the same, but the network runs a second time, as in code that asks it once for a loss
and once for scores. Both ways have the same weights, random but scaled so that queries differ and scores are not flat:
a ViT-S with 16x16 patches, 100 queries, 150 classes, crop 512. "From features": the encoder's features are there
already. Memory is what a call takes at most beyond the model and its inputs. Takes about 5 minutes on 2 cores.
"""

from __future__ import annotations

import gc
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from paired import Call, paired, peak_mib
from torch import Tensor, nn

from segrank.decoders.mask2former import Mask2FormerDecoder
from segrank.encoders.build import build_encoder
from segrank.encoders.encoder import Encoder
from segrank.evaluate.sliding import predict
from segrank.evaluate.windows import resized_size, split, windows
from segrank.train.segmenter import Segmenter

# isort: split
# Torchvision comes after segrank, which lets every build of it be imported.
from torchvision.transforms.v2 import functional as tvf

sys.path.append(str(Path(__file__).parents[1] / "tests/decoders"))
from plain_mask_decoder import PlainMaskDecoder

CLASSES, DIM = 150, 384
CROP = (512, 512)
SIZES = [(512, 683), (1000, 1500)]
CPU = torch.device("cpu")
Image = NDArray[np.uint8]


class Given(nn.Module):
    """An encoder that has run: random features for as many windows as it is asked for."""

    dim = DIM

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.randn(2, DIM, CROP[0] // 16, CROP[1] // 16)

    def forward(self, images: Tensor) -> Tensor:
        return self.features[: len(images)]


class Network(NamedTuple):
    """The same network, composed in two ways."""

    ours: Segmenter
    plain: PlainMaskDecoder

    def run_plainly(self, images: Tensor) -> tuple[Tensor, Tensor]:
        outputs: list[tuple[Tensor, Tensor]] = self.plain(self.ours.encoder(images))
        return outputs[-1]


def build(encoder: bool) -> Network:
    torch.manual_seed(0)
    vit = (
        build_encoder("timm:vit_small_patch16_224", crop=CROP, patch_size=16, weights="random")[0] if encoder else None
    )
    decoder = Mask2FormerDecoder(DIM, CLASSES)
    factors = {"classify.weight": 8.0, "mask.4.weight": 4.0, "out.weight": 0.1, "narrow.weight": 0.1}
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            parameter.mul_(next((factor for end, factor in factors.items() if name.endswith(end)), 1.0))
    ours = Segmenter(cast(Encoder, vit or Given()), decoder, freeze=False).eval()
    return Network(ours, PlainMaskDecoder(decoder).eval())


def image_of(height: int, width: int) -> Image:
    """Squares of 48 pixels, each of one colour, under noise."""
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (-(-height // 48), -(-width // 48), 3), dtype=np.uint8)
    noise = rng.integers(0, 32, (height, width, 3), dtype=np.uint8)
    return squares.repeat(48, 0).repeat(48, 1)[:height, :width] // 8 * 7 + noise


@torch.inference_mode()
def predict_plainly(network: Network, image: Image, twice: bool) -> Tensor:
    own = image.shape[0], image.shape[1]
    size = resized_size(own, CROP)
    pixels = tvf.resize(torch.from_numpy(image).permute(2, 0, 1), list(size), antialias=True)
    batch = torch.stack(split(pixels, CROP))
    if twice:
        network.run_plainly(batch)
    classes, masks = network.run_plainly(batch)
    inside = F.interpolate(masks, CROP, mode="bilinear").sigmoid()
    parts = torch.einsum("bqc,bqhw->bchw", classes.softmax(-1)[..., :-1], inside)
    del inside
    total, count = torch.zeros(CLASSES, *size), torch.zeros(CLASSES, *size)
    for part, (top, left) in zip(parts, windows(size, CROP), strict=True):
        where = (slice(None), slice(top, top + CROP[0]), slice(left, left + CROP[1]))
        total[where] += part
        count[where] += 1
    return F.interpolate((total / count)[None], own, mode="bilinear")[0].argmax(0)


def prepare(ours: bool, encoder: bool, size: tuple[int, int], twice: bool = False) -> Call:
    """A call that labels one image. What it compiles, or loads compiled, it has when this returns."""
    network, image = build(encoder), image_of(*size)
    gc.collect()
    if not ours:
        return partial(predict_plainly, network, image, twice)
    for other in ((520, 520), CROP):
        predict(network.ours, image_of(*other), CROP, device=CPU)
    return partial(predict, network.ours, image, CROP, device=CPU)


def differing_pixels(encoder: bool, size: tuple[int, int]) -> str:
    network, image = build(encoder), image_of(*size)
    ours = predict(network.ours, image, CROP, device=CPU)
    plain = predict_plainly(network, image, twice=False).numpy()
    edges = (plain[:, 1:] != plain[:, :-1]).mean()
    return (
        f"{(ours != plain).sum()} of {ours.size} pixels differ; {len(np.unique(plain))} classes, "
        f"{100 * edges:.1f} % of neighbours unlike"
    )


def main() -> None:
    for size in SIZES:
        for encoder in (False, True):
            what = f"{size[0]}x{size[1]} {'with ViT-S' if encoder else 'from features'}"
            print(f"{what}: {differing_pixels(encoder, size)}")
            ours = partial(prepare, True, encoder, size)
            plain, twice = (partial(prepare, False, encoder, size, twice) for twice in (False, True))
            print(f"  {paired('plain', plain(), ours(), rounds=5)}")
            print(f"  {paired('plain, network twice', twice(), ours(), rounds=5)}")
            taken, least = peak_mib(plain), peak_mib(ours)
            print(f"  {'memory':<44} plain {taken:5.0f} MiB  ours {least:5.1f} MiB  {taken / least:6.1f}x")


if __name__ == "__main__":
    main()
