"""Where points come from."""

from __future__ import annotations

import torch
from scipy.stats import chisquare

from segrank.decoders.mask_points import counted, drawn


def test_a_point_is_two_parts_of_a_number_of_splitmix64() -> None:
    out = torch.empty(1, 2, 5)
    counted(1234567)(0, out)
    # the first five numbers for this seed, as published with many implementations (Rosetta Code, "Splitmix64")
    numbers = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert (out[0, 0].double() * 2**24).tolist() == [n >> 40 for n in numbers]
    assert (out[0, 1].double() * 2**24).tolist() == [n >> 16 & 0xFFFFFF for n in numbers]


def test_a_point_depends_on_its_number_alone() -> None:
    whole, parts = torch.empty(3, 2, 40), torch.empty(6, 2, 20)
    counted(5)(7, whole)
    counted(5)(7, parts)
    assert torch.equal(parts.view(3, 2, 2, 20).transpose(1, 2).flatten(2), whole)
    last = torch.empty(1, 2, 20)
    counted(5)(107, last)
    assert torch.equal(last, parts[5:])


def test_points_are_uniform() -> None:
    out = torch.empty(1, 2, 200_000)
    counted(3)(0, out)
    x, y = (out[0] * 20).long()
    assert 0 <= float(out.min()) <= float(out.max()) < 1
    assert chisquare(torch.bincount(20 * x + y, minlength=400)).pvalue > 0.01


def test_the_default_generator_of_torch_decides() -> None:
    out = torch.empty(3, 1, 2, 10)
    for seed, each in zip((1, 1, 2), out, strict=True):
        torch.manual_seed(seed)
        drawn(out.device)(0, each)
    assert torch.equal(out[0], out[1])
    assert (out[0] != out[2]).all()
