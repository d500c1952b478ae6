"""What each objective asks of the network, against its definition and against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip("lightly", reason="pretraining needs lightly")

from segrank.data import open_dataset
from segrank.data.dataset import IGNORE
from segrank.pretrain.collapse import loss_of_alike, warning
from segrank.pretrain.health import health
from segrank.pretrain.network import Network, build_network
from segrank.pretrain.objectives import OBJECTIVES, Objective
from segrank.pretrain.objectives.pixel_mim import patches, token_masks
from segrank.pretrain.objectives.promptable import components, mask_loss
from segrank.pretrain.objectives.self_distillation import SelfDistillation
from segrank.pretrain.objectives.supervised import Supervised
from segrank.pretrain.record import Health
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.views import batches_of_views, seeded

ARCHITECTURE = "timm:vit_tiny_patch16_224?embed_dim=32&depth=2&num_heads=2"
DATASET = "scenes?size=64&train=12"
CLASSES = 16


def spec_of(objective: str, **fields: object) -> PretrainSpec:
    common = {"architecture": ARCHITECTURE, "dataset": DATASET, "crop": 32, "patch_size": 8, "steps": 4}
    return PretrainSpec(**{**common, "batch_size": 4, "objective": objective, **fields})  # type: ignore[arg-type]


def built(objective: str, **fields: object) -> tuple[Objective, list[Tensor]]:
    spec = spec_of(objective, **fields)
    torch.manual_seed(0)
    way = OBJECTIVES[spec.objective]
    module = way.build(spec, build_network(spec), CLASSES)
    split = open_dataset(DATASET).split("train")
    views = next(batches_of_views(split, way.views(spec), seed=0, batch_size=4, steps=1))
    return module, views


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_trained_parameter_gets_a_gradient_and_the_others_none(objective: str) -> None:
    module, views = built(objective)
    module.train()
    module(views).backward()
    without = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []  # DDP would wait for them
    assert all(p.grad is None for p in module.parameters() if not p.requires_grad)
    assert any(p.requires_grad for p in module.network.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_all_objectives_begin_with_the_same_network(objective: str) -> None:
    def weights(of: PretrainSpec) -> dict[str, Tensor]:
        state: dict[str, Tensor] = build_network(of).vit.state_dict()
        return state

    module, _ = built(objective)
    plain = weights(spec_of("supervised"))
    assert module.network.vit.state_dict().keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in module.network.vit.state_dict().items())
    assert not torch.equal(weights(spec_of("supervised", seed=1))["pos_embed"], plain["pos_embed"])


def test_views_depend_on_seed_and_position_alone() -> None:
    spec, split = spec_of("self-distillation", local_views=1), open_dataset(DATASET).split("train")
    views = OBJECTIVES[spec.objective].views(spec)

    def batch(seed: int, first: int) -> list[Tensor]:
        torch.rand(3)  # whatever was drawn before
        return next(batches_of_views(split, views, seed=seed, batch_size=4, steps=9, first_step=first))

    whole = list(batches_of_views(split, views, seed=3, batch_size=4, steps=5))
    assert [view.shape[2:] for view in whole[0]] == [(32, 32), (32, 32), (16, 16)]
    assert all(torch.equal(a, b) for a, b in zip(whole[4], batch(3, 4), strict=True))
    assert not torch.equal(whole[0][0], whole[3][0])  # the next epoch
    assert not torch.equal(whole[0][0], batch(4, 0)[0])
    before = torch.get_rng_state(), np.random.get_state()[1][:4].tolist()  # type: ignore[index]
    seeded(5, lambda: (torch.rand(1), np.random.rand()))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1][:4].tolist() == before[1]  # type: ignore[index]


def test_masks_part_the_patches_and_leave_prefix_tokens_alone() -> None:
    keep, hidden = token_masks(3, 17, 1, 0.75, torch.device("cpu"))
    assert keep.shape == (3, 5)
    assert hidden.shape == (3, 12)
    assert (keep[:, 0] == 0).all()
    assert torch.equal(torch.cat([keep, hidden], 1).sort(dim=1).values, torch.arange(17).expand(3, -1))


def test_patches_are_those_of_the_network_row_by_row() -> None:
    images = torch.arange(2 * 3 * 16 * 24.0).view(2, 3, 16, 24)
    found = patches(images, 8)
    assert found.shape == (2, 6, 192)
    assert torch.equal(found[1, 4].view(3, 8, 8), images[1, :, 8:16, 8:16])


def test_hidden_pixels_do_not_reach_the_encoder_and_kept_ones_are_not_scored() -> None:
    module, views = built("pixel-mim")
    module.eval()
    images = views[0].requires_grad_()
    keep, _ = seeded(0, lambda: token_masks(4, 17, 1, 0.75, torch.device("cpu")))
    features = module.encoder.encode(images, idx_keep=keep)  # type: ignore[operator, union-attr]
    (gradient,) = torch.autograd.grad(features.square().sum(), images)
    touched = patches(gradient.abs(), 8).sum(dim=2) > 0  # b n
    expected = torch.zeros(4, 16, dtype=torch.bool).scatter(1, keep[:, 1:] - 1, True)
    assert torch.equal(touched, expected)


def test_the_teacher_is_the_moving_average_of_the_student_and_gets_no_gradient() -> None:
    module, views = built("self-distillation", teacher_momentum=0.9)
    teacher, student = module.learnt, module.network
    assert teacher is not student
    before = teacher.vit.pos_embed.clone()
    with torch.no_grad():
        student.vit.pos_embed.add_(1)
    module.after_step(0)
    assert torch.allclose(teacher.vit.pos_embed, 0.9 * before + 0.1 * student.vit.pos_embed)
    module.after_step(4)  # the last step: momentum 1
    assert torch.allclose(teacher.vit.pos_embed, 0.9 * before + 0.1 * student.vit.pos_embed)
    module.train()
    module(views).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert not teacher.training


def test_contrastive_loss_by_hand() -> None:
    module, views = built("contrastive", temperature=0.5)
    module.eval()
    a, b = module.head(module.network.summary(module.network(torch.cat(views)))).chunk(2)  # type: ignore[operator]
    z = F.normalize(torch.cat([a, b]), dim=1)
    logits = z @ z.T / 0.5
    logits.fill_diagonal_(-torch.inf)
    partner = (torch.arange(8) + 4) % 8
    assert torch.allclose(module(views), F.cross_entropy(logits, partner), atol=1e-5)


def test_a_class_is_shown_from_its_share_on() -> None:
    module, _ = built("supervised")
    assert isinstance(module, Supervised)
    labels = torch.full((2, 32, 32), IGNORE, dtype=torch.uint8)
    labels[0, 0, :4] = 3  # 4 of 1024 pixels
    labels[0, 1, :3] = 5
    labels[1, :16] = 0
    shown = module.shown(labels)
    assert shown.nonzero().tolist() == [[0, 3], [1, 0]]


def test_things_are_connected_pieces_of_a_class() -> None:
    labels = np.array([[0, 0, 1], [IGNORE, 1, 0], [1, 1, 0]], np.uint8)
    things = components(labels)
    assert (things > 0).tolist() == (labels != IGNORE).tolist()
    assert len(np.unique(things)) - 1 == 4  # two of class 0, two of class 1: corners do not touch
    assert things[1, 1] == things[2, 0] != things[0, 2]


def test_clicks_lie_on_their_masks() -> None:
    spec = spec_of("promptable", clicks=5)
    sample = open_dataset(DATASET).split("train")[0]
    image, clicks, masks = seeded(0, lambda: OBJECTIVES["promptable"].views(spec)(sample))
    assert image.shape == (3, 32, 32)
    assert all(masks[at, row, column] == 1 for at, (row, column) in enumerate(clicks.tolist()))


def test_the_loss_of_a_mask_by_hand_and_none_without_labels() -> None:
    masks = torch.full((1, 2, 1, 4), IGNORE, dtype=torch.uint8)
    masks[0, 0, 0, :3] = torch.tensor([1, 0, 1])
    logits = torch.tensor([0.5, -1.0, 2.0, 9.0]).view(1, 1, 1, 4).repeat(1, 2, 1, 1)
    p = torch.tensor([0.5, -1.0, 2.0]).sigmoid()
    t = torch.tensor([1.0, 0.0, 1.0])
    expected = F.binary_cross_entropy(p, t) + 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    assert torch.allclose(mask_loss(logits, masks), expected)
    assert mask_loss(logits, torch.full_like(masks, IGNORE)) == 0


def test_collapse_is_told_from_features_that_differ() -> None:
    class Given(Network):
        def __init__(self, features: Tensor) -> None:
            torch.nn.Module.__init__(self)
            self.features, self.prefix = features, 1

        def forward(self, images: Tensor) -> Tensor:
            return self.features

    torch.manual_seed(0)
    spec, images = spec_of("contrastive"), torch.zeros(8, 3, 32, 32)
    rich = health(Given(torch.randn(8, 101, 16)), images, 1)
    assert 15 < rich.rank <= 16  # isotropic in 16 channels
    assert abs(rich.spread - 1) < 0.05
    assert warning(rich, spec) == ""
    one = health(Given(torch.ones(8, 101, 16) + 1e-3 * torch.randn(8, 101, 16)), images, 2)
    assert one.spread < 0.01
    line = health(Given(torch.randn(8, 101, 1) * torch.ones(16)), images, 3)
    assert abs(line.rank - 1) < 1e-3
    for found in (one, line):
        assert "collapsed" in warning(found, spec)
        assert "batch_size" in warning(found, spec)


@pytest.mark.parametrize("objective", ["contrastive", "self-distillation"])
def test_outputs_that_are_the_same_for_every_image_are_told_from_the_loss(objective: str) -> None:
    module, views = built(objective)
    if isinstance(module, SelfDistillation):
        module.head.last_layer.weight_v.data.fill_(1)  # so that all outputs are equally likely
    spec, loss = module.spec, float(module.train()([torch.zeros_like(view) for view in views]).detach())
    assert loss == pytest.approx(loss_of_alike(spec), rel=1e-5)
    fine = Health(step=1, rank=30, spread=0.5, loss=0.9 * loss)
    assert warning(fine, spec) == ""
    alike = fine.model_copy(update={"loss": loss})
    assert "the same for every image" in warning(alike, spec)
    assert "batch_size" in warning(alike, spec)
    assert warning(alike, spec.replace(steps=100)) == ""  # it is early yet
