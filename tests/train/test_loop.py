"""The training loop on a network small enough to do by hand."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrank.assemble import make_fabric
from segrank.data import open_dataset
from segrank.decoders.linear import LinearDecoder
from segrank.encoders.encoder import Encoder
from segrank.errors import TrainingError
from segrank.evaluate.evaluate import evaluate
from segrank.train.loop import Progress, train
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter
from segrank.train.step_clock import StepClock

CROP, CLASSES, IMAGES = (16, 24), 16, 5
LR, MULTIPLIER = 1e-2, 0.5
Batch = tuple[Tensor, Tensor]

# made anew each time: a raised error refers to the frames it came through
OUT_OF_MEMORY: dict[str, Callable[[], RuntimeError]] = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
    ),
}


class Backbone(nn.Module):
    """Patches, dropout, and a hook for what a test wants to happen."""

    def __init__(self, dropout: float, on_images: Callable[[Tensor], None] | None) -> None:
        super().__init__()
        self.patches, self.mix = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 8, 1)
        self.dropout, self.on_images = nn.Dropout(dropout), on_images

    def forward(self, images: Tensor) -> Tensor:
        if self.on_images is not None and self.training:
            self.on_images(images)
        hidden = F.gelu(self.patches(images))
        features: Tensor = self.mix(self.dropout(hidden))
        return features


def build(*, dropout: float = 0.0, on_images: Callable[[Tensor], None] | None = None) -> Segmenter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        backbone, decoder = Backbone(dropout, on_images), LinearDecoder(8, CLASSES)
    encoder = Encoder(backbone, dim=8, crop=CROP, patch_size=8, mean=[0.5] * 3, std=[0.2] * 3, name="toy")
    return Segmenter(encoder, decoder, freeze=False)


def batches(count: int) -> list[Batch]:
    """Of five images: all labelled, half, one pixel, none, most."""
    generator = torch.Generator().manual_seed(7)
    made = []
    for _ in range(count):
        images = torch.randint(0, 256, (IMAGES, 3, *CROP), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, CLASSES, (IMAGES, *CROP), dtype=torch.uint8, generator=generator)
        labels[1, 8:] = 255
        labels[2].flatten()[1:] = 255
        labels[3] = 255
        labels[4, :, :3] = 255
        made.append((images, labels))
    return made


@dataclass
class Done:
    """What was seen of a training."""

    segmenter: Segmenter
    progress: Progress
    reached_the_end: bool = False
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    rates: list[list[float]] = field(default_factory=list)
    steps: list[tuple[int, float, float]] = field(default_factory=list)
    checkpoints: list[int] = field(default_factory=list)

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.segmenter.named_parameters()}


def start(
    segmenter: Segmenter,
    data: Iterable[Batch],
    *,
    steps: int,
    micro_batch: int = IMAGES,
    first_step: int = 0,
    evaluate_at: Iterable[int] = (),
    on_evaluate: Callable[[int], None] = lambda _: None,
    checkpoint_every_s: float = 1e9,
    stop_after: int = -1,
) -> Done:
    fabric = make_fabric("cpu", 1, "fp32")
    done = Done(segmenter, Progress(micro_batch=micro_batch, step=first_step))
    plain = adamw(segmenter, lr=LR, encoder_lr_multiplier=MULTIPLIER, weight_decay=0.05)

    def before_step(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        done.rates.append([group["lr"] for group in optimizer.param_groups])
        done.gradients.append({n: p.grad.clone() for n, p in segmenter.named_parameters() if p.grad is not None})

    plain.register_step_pre_hook(before_step)
    model, optimizer = fabric.setup(segmenter, plain)
    done.reached_the_end = train(
        fabric,
        model,
        optimizer,
        data,
        done.progress,
        StepClock(fabric.device),
        steps=steps,
        poly_power=0.9,
        seed=3,
        evaluate_at=frozenset(evaluate_at),
        checkpoint_every_s=checkpoint_every_s,
        on_step=lambda *seen: done.steps.append(seen),
        on_evaluate=on_evaluate,
        on_checkpoint=lambda: done.checkpoints.append(done.progress.step),
        stop=lambda: done.progress.step == stop_after,
    )
    return done


def assert_same_weights(one: Done, other: Done) -> None:
    for name, value in one.weights.items():
        assert torch.equal(value, other.weights[name]), name


@pytest.mark.parametrize("micro_batch", [1, 2, 5])
def test_the_gradient_is_that_of_the_mean_of_the_images_own_losses(micro_batch: int) -> None:
    [(images, labels)] = data = batches(1)
    segmenter = build()
    losses = []
    for image, truth in zip(images, labels, strict=True):
        scores = segmenter.decoder(segmenter.encoder(image[None]))
        scores = F.interpolate(scores, CROP, mode="bilinear", align_corners=False)
        summed = F.cross_entropy(scores, truth[None].long(), ignore_index=255, reduction="sum")
        losses.append(summed / max(1, int((truth != 255).sum())))
    mean = torch.stack(losses).sum() / IMAGES
    names, parameters = zip(*segmenter.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(mean, parameters), strict=True))

    done = start(segmenter, data, steps=1, micro_batch=micro_batch)
    assert done.steps[0][1] == pytest.approx(mean.item(), rel=1e-6)
    assert losses[3] == 0
    assert expected.keys() == done.gradients[0].keys()
    for name, gradient in done.gradients[0].items():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6 * scale, msg=name)


@pytest.mark.parametrize("where", OUT_OF_MEMORY)
def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(where: str) -> None:
    sizes: list[int] = []

    def two_fit(images: Tensor) -> None:
        sizes.append(len(images))
        if len(images) > 2:
            raise OUT_OF_MEMORY[where]()

    done = start(build(on_images=two_fit), batches(3), steps=3)
    assert sizes == [5, 3, *[2, 2, 1] * 3]
    assert done.progress.micro_batch == 2
    assert_same_weights(done, start(build(), batches(3), steps=3, micro_batch=2))


def test_what_was_accumulated_before_memory_ran_out_is_not_counted_twice() -> None:
    calls: list[int] = []

    def second_fails(images: Tensor) -> None:
        calls.append(len(images))
        if len(calls) == 2:
            raise OUT_OF_MEMORY["cuda"]()

    done = start(build(dropout=0.5, on_images=second_fails), batches(2), steps=2, micro_batch=2)
    assert calls == [2, 2, *[1] * IMAGES * 2]
    # the dropout of the second try is drawn anew from the step's seed
    assert_same_weights(done, start(build(dropout=0.5), batches(2), steps=2, micro_batch=1))


def test_nothing_of_a_failed_pass_is_in_memory_during_the_next() -> None:
    stored: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class FailsOnce(torch.autograd.Function):
        """Identity that stores its input; the first backward pass runs out of memory."""

        @staticmethod
        def forward(ctx: Any, features: Tensor) -> Tensor:
            kept = features.clone()
            ctx.save_for_backward(kept)
            stored.append(weakref.ref(kept))
            return features.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            if len(stored) == 1:
                raise OUT_OF_MEMORY["cuda"]()
            return gradients[0]

    segmenter = build(on_images=lambda _: alive.append(sum(kept() is not None for kept in stored)))
    segmenter.encoder.register_forward_hook(lambda _module, _inputs, output: FailsOnce.apply(output))  # type: ignore[no-untyped-call]
    done = start(segmenter, batches(1), steps=1, micro_batch=4)
    assert done.progress.micro_batch == 2
    # at the start of the first pass, and of the one after the failure
    assert alive[:2] == [0, 0]


def test_one_image_that_does_not_fit_ends_the_run_with_what_to_do() -> None:
    def none_fits(_: Tensor) -> None:
        raise OUT_OF_MEMORY["cuda"]()

    with pytest.raises(TrainingError, match=r"out of memory with .*\b1\b") as caught:
        start(build(on_images=none_fits), batches(1), steps=1)
    assert "smaller" in caught.value.fix
    assert "crop" in caught.value.fix


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    def wrong(_: Tensor) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        start(build(on_images=wrong), batches(1), steps=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_before_the_step(value: float) -> None:
    segmenter = build()
    backbone = segmenter.encoder.backbone
    assert isinstance(backbone, Backbone)
    with torch.no_grad():
        backbone.mix.bias[0] = value  # type: ignore[index]
    before = {name: p.detach().clone() for name, p in segmenter.named_parameters()}
    with pytest.raises(TrainingError, match="the loss is nan at step 1") as caught:
        start(segmenter, batches(2), steps=2)
    assert "lr" in caught.value.fix
    for name, parameter in segmenter.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0, equal_nan=True, msg=name)


def test_stop_ends_after_the_step_with_a_checkpoint() -> None:
    done = start(build(), batches(5), steps=5, stop_after=2)
    assert not done.reached_the_end
    assert [step for step, _, _ in done.steps] == [1, 2]
    assert done.checkpoints == [2]
    rest = start(done.segmenter, batches(5)[2:], steps=5, first_step=2)
    assert rest.reached_the_end
    assert [step for step, _, _ in rest.steps] == [3, 4, 5]
    assert rest.checkpoints == [5]


def test_an_evaluation_that_a_stop_put_off_comes_first_when_the_run_goes_on() -> None:
    seen: list[int] = []
    done = start(build(), batches(2), steps=5, stop_after=2, evaluate_at={2}, on_evaluate=seen.append)
    assert (seen, done.checkpoints) == ([], [2])
    start(done.segmenter, batches(5)[2:], steps=5, first_step=2, evaluate_at={2}, on_evaluate=seen.append)
    assert seen == [2]


def test_checkpoints_come_as_often_as_asked() -> None:
    assert start(build(), batches(3), steps=3, checkpoint_every_s=0).checkpoints == [1, 2, 3]


def test_the_rates_are_the_schedules_at_each_step_also_of_a_resumed_run() -> None:
    expected = [LR * (1 - step / 5) ** 0.9 for step in range(5)]
    whole = start(build(), batches(5), steps=5)
    assert [lr for _, _, lr in whole.steps] == pytest.approx(expected)
    assert whole.rates == [pytest.approx([MULTIPLIER * lr, lr]) for lr in expected]
    rest = start(build(), batches(5)[3:], steps=5, first_step=3)
    assert [lr for _, _, lr in rest.steps] == pytest.approx(expected[3:])


def test_evaluations_happen_at_the_stated_steps_and_cannot_change_the_training() -> None:
    split = open_dataset("scenes?size=16x24&train=1&val=2").split("val")
    segmenter = build(dropout=0.5)  # the mode and the random state would show
    seen: list[int] = []

    def on_evaluate(step: int) -> None:
        seen.append(step)
        evaluate(segmenter, split, [0, 1], CROP, CLASSES, device=torch.device("cpu"))
        torch.rand(10)  # torch's global state is nobody's

    with_them = start(segmenter, batches(4), steps=4, evaluate_at={1, 3}, on_evaluate=on_evaluate)
    assert seen == [1, 3]
    assert with_them.checkpoints == [1, 3, 4]  # an evaluation that is cut short costs no steps
    without = start(build(dropout=0.5), batches(4), steps=4)
    assert_same_weights(with_them, without)
    assert with_them.steps == without.steps
    # and dropout does take part
    other = start(build(), batches(4), steps=4)
    assert not torch.equal(other.weights["decoder.classify.weight"], without.weights["decoder.classify.weight"])


class Told(LinearDecoder):
    """Remembers what share of the steps it was told of, at each image."""

    def __init__(self) -> None:
        super().__init__(8, CLASSES)
        self.done, self.seen = -1.0, list[float]()

    def anneal(self, done: float) -> None:
        self.done = done

    def forward(self, features: Tensor) -> Tensor:
        self.seen += [self.done] * len(features)
        return super().forward(features)


def test_a_decoder_is_told_before_each_step_what_share_of_them_is_done_also_in_a_resumed_run() -> None:
    segmenter = build()
    segmenter.decoder = told = Told()
    start(segmenter, batches(4), steps=4, micro_batch=2)
    assert told.seen == [share for share in (0, 0.25, 0.5, 0.75) for _ in range(IMAGES)]
    told.seen.clear()
    start(segmenter, batches(4)[3:], steps=4, first_step=3)
    assert told.seen == [0.75] * IMAGES
