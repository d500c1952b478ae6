"""The optimiser against torch's own plain AdamW, the schedule against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from segrank.assemble import build_segmenter
from segrank.spec import RunSpec
from segrank.train.optim import adamw, poly, set_lr
from segrank.train.segmenter import Segmenter

LR, MULTIPLIER, DECAY = 1e-2, 0.1, 0.05
SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes", crop=(16, 24), patch_size=8, seed=1
)  # fmt: skip


def build(*, freeze: bool = False) -> Segmenter:
    return build_segmenter(SPEC.replace(freeze=freeze), 3)[0]


def optimizer_of(segmenter: Segmenter) -> torch.optim.AdamW:
    return adamw(segmenter, lr=LR, encoder_lr_multiplier=MULTIPLIER, weight_decay=DECAY)


def give_gradients(module: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def test_poly_is_the_formula_and_torchs_schedule() -> None:
    assert poly(0, 40_000, 0.9) == 1
    assert poly(20_000, 40_000, 0.9) == pytest.approx(0.535886731268)  # 0.5 ** 0.9
    assert poly(39_999, 40_000, 0.9) == pytest.approx(40_000**-0.9)
    assert poly(7, 10, 0) == 1
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    schedule = torch.optim.lr_scheduler.PolynomialLR(theirs, total_iters=10, power=0.9)
    for step in range(10):
        assert LR * poly(step, 10, 0.9) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        schedule.step()


def test_groups_partition_the_parameters_by_learning_rate() -> None:
    segmenter = build()
    encoder, others = optimizer_of(segmenter).param_groups
    assert (encoder["lr"], others["lr"]) == (pytest.approx(LR * MULTIPLIER), LR)
    assert [id(p) for p in encoder["params"]] == [id(p) for p in segmenter.encoder.parameters()]
    assert [id(p) for p in others["params"]] == [id(p) for p in segmenter.decoder.parameters()]
    assert len(encoder["params"]) + len(others["params"]) == len(list(segmenter.parameters()))
    assert encoder["weight_decay"] == others["weight_decay"] == DECAY


def test_a_share_of_the_initial_rate_goes_to_each_group() -> None:
    optimizer = optimizer_of(build())
    for share in (0.5, 0.25):  # of the initial rate, not of the last one
        set_lr(optimizer, share)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([share * LR * MULTIPLIER, share * LR])


def test_steps_equal_torchs_plain_adamw() -> None:
    segmenter = build()
    plain = copy.deepcopy(segmenter)
    fused = optimizer_of(segmenter)
    # defaults spelled out: they are the protocol's
    theirs = [
        torch.optim.AdamW(
            part.parameters(), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY, fused=False,
            foreach=False,
        )
        for part, lr in ((plain.encoder, LR * MULTIPLIER), (plain.decoder, LR))
    ]  # fmt: skip
    for step in range(3):  # equal gradients would hide the betas
        give_gradients(segmenter, step)
        give_gradients(plain, step)
        for optimizer in (fused, *theirs):
            optimizer.step()
    for name, value in values(plain).items():
        torch.testing.assert_close(values(segmenter)[name], value, msg=name)


def test_decay_shrinks_norms_biases_and_positions_too() -> None:
    segmenter = build()
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.fill_(2.0)
    optimizer = optimizer_of(segmenter)
    for parameter in segmenter.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = values(segmenter)
    kinds = ("norm.weight", "norm.bias", "pos_embed", "cls_token", "qkv.bias", "classify.bias")
    assert all(any(name.endswith(kind) for name in after) for kind in kinds)
    for name, value in after.items():
        lr = LR * MULTIPLIER if name.startswith("encoder.") else LR
        torch.testing.assert_close(value, torch.full_like(value, 2 * (1 - lr * DECAY)), msg=name)


def test_a_frozen_encoder_is_in_no_group_and_does_not_decay() -> None:
    segmenter = build(freeze=True)
    optimizer = optimizer_of(segmenter)
    [group] = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in segmenter.decoder.parameters()]
    assert group["lr"] == LR
    before = values(segmenter)
    for parameter in segmenter.parameters():  # even where something left gradients behind
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, value in values(segmenter).items():
        assert torch.equal(value, before[name]) == name.startswith("encoder."), name
