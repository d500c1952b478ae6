"""FLOPs against a count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segrank.assemble import build_segmenter
from segrank.decoders.linear import LinearDecoder
from segrank.encoders.encoder import Encoder
from segrank.spec import RunSpec
from segrank.study.trained_part import trained_part
from segrank.train.cost import count_shapes
from segrank.train.segmenter import Segmenter

HEIGHT, WIDTH, PATCH, DIM, DEPTH, CLASSES = 48, 80, 8, 128, 4, 7
SPEC = RunSpec(
    encoder="small:plain", weights="random", dataset="scenes", crop=(HEIGHT, WIDTH), patch_size=PATCH
)  # fmt: skip
PATCHES = HEIGHT * WIDTH // PATCH**2
TOKENS = PATCHES + 1  # and the class token

EMBED = 2 * PATCHES * (3 * PATCH**2) * DIM
LINEAR = 2 * TOKENS * (DIM * 3 * DIM + DIM * DIM + 2 * DIM * 4 * DIM)  # qkv, projection, MLP
ATTENTION = 2 * 2 * TOKENS * TOKENS * DIM  # scores, and their products with the values
ENCODER = EMBED + DEPTH * (LINEAR + ATTENTION)
DECODER = 2 * PATCHES * DIM * CLASSES


def test_forward_and_training_flops_equal_the_count_by_hand() -> None:
    segmenter, _ = build_segmenter(SPEC, CLASSES)
    shapes = count_shapes(segmenter, SPEC.crop)
    assert shapes.forward_flops == ENCODER + DECODER
    # backward: the same once for inputs and once for weights; images need no gradient
    assert shapes.train_flops == 3 * (ENCODER + DECODER) - EMBED
    assert shapes.without_gradient == ()


def test_a_frozen_encoder_has_no_backward() -> None:
    segmenter, _ = build_segmenter(SPEC.replace(freeze=True), CLASSES)
    # of the decoder, weights only: features need no gradient
    assert count_shapes(segmenter, SPEC.crop) == (ENCODER + DECODER, ENCODER + 2 * DECODER, ())


def test_of_the_last_blocks_alone_there_is_a_backward() -> None:
    segmenter, _ = build_segmenter(SPEC.replace(trained_blocks=3), CLASSES)
    trained = 3 * (LINEAR + ATTENTION) + DECODER
    assert count_shapes(segmenter, SPEC.crop) == (ENCODER + DECODER, ENCODER + DECODER + 2 * trained, ())


def test_frozen_weights_beside_adapters_pass_gradients_on_and_get_none() -> None:
    rank = 4
    inward = 2 * TOKENS * rank * (DIM + DIM + DIM + 4 * DIM)  # A of qkv, projection, MLP
    outward = 2 * TOKENS * rank * (3 * DIM + DIM + 4 * DIM + DIM)  # B
    adapters = DEPTH * (inward + outward)
    segmenter, _ = build_segmenter(SPEC.replace(lora_rank=rank), CLASSES)
    first_qkv = 2 * TOKENS * (DIM * 3 * DIM + DIM * rank)  # nothing before it wants a gradient
    backward = DEPTH * (LINEAR + 2 * ATTENTION) + 2 * adapters - first_qkv + 2 * DECODER
    forward = ENCODER + DECODER + adapters
    assert count_shapes(segmenter, SPEC.crop) == (forward, forward + backward, ())


@pytest.mark.parametrize("changes", [{}, {"freeze": True}, {"trained_blocks": 3}, {"lora_rank": 4}])
def test_planning_knows_what_training_a_part_takes(changes: dict[str, object]) -> None:
    spec = SPEC.replace(**changes)
    segmenter, _ = build_segmenter(spec, CLASSES)
    shapes, encoder = count_shapes(segmenter, spec.crop), segmenter.encoder
    added = sum(p.numel() for name, p in encoder.named_parameters() if "lora" in name)
    part = trained_part(
        spec, dim=DIM, depth=DEPTH, tokens=TOKENS, embed=EMBED, linear=DEPTH * LINEAR, attention=DEPTH * ATTENTION,
        parameters=sum(p.numel() for p in encoder.parameters()) - added,
    )  # fmt: skip
    assert shapes.forward_flops == ENCODER + part.added_flops + DECODER
    decoder = 2 * DECODER - DECODER * spec.freeze  # features of a frozen encoder need no gradient
    assert shapes.train_flops == shapes.forward_flops + part.backward_flops + decoder
    assert part.added_parameters == added
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert part.parameters == pytest.approx(trained, rel=0.02)  # norms and biases are left out of blocks


def test_eomt_runs_queries_through_the_last_blocks_and_predicts_once_in_evaluation() -> None:
    queries, shared, doubled = 100, 3, 4 * PATCHES
    block = LINEAR // TOKENS * (TOKENS + queries) + 2 * 2 * (TOKENS + queries) ** 2 * DIM
    heads = 2 * queries * DIM * (3 * DIM + CLASSES + 1) + 2 * queries * DIM * doubled
    upscale = 2 * doubled * DIM * (DIM + 3 * 3)
    segmenter, _ = build_segmenter(SPEC.replace(decoder="eomt"), CLASSES)
    shapes = count_shapes(segmenter, SPEC.crop)
    trunk, joint, predictions = EMBED + LINEAR + ATTENTION, shared * block, heads + upscale
    assert shapes.forward_flops == trunk + joint + predictions
    # in training four predictions; backward is twice the forward again
    assert shapes.train_flops == 3 * (trunk + joint + (shared + 1) * predictions) - EMBED
    frozen, _ = build_segmenter(SPEC.replace(decoder="eomt", freeze=True), CLASSES)
    assert count_shapes(frozen, SPEC.crop).forward_flops == trunk + joint + predictions


def test_parameters_that_the_loss_does_not_depend_on_are_named() -> None:
    segmenter, _ = build_segmenter(SPEC, CLASSES)
    segmenter.encoder.backbone.idle = nn.Linear(2, 2)
    found = count_shapes(segmenter, SPEC.crop).without_gradient
    assert found == ("encoder.backbone.idle.weight", "encoder.backbone.idle.bias")


def test_counting_leaves_the_network_alone() -> None:
    segmenter, _ = build_segmenter(SPEC, CLASSES)
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    random = torch.get_rng_state()
    count_shapes(segmenter.eval(), SPEC.crop)
    assert torch.equal(torch.get_rng_state(), random)
    assert not segmenter.training
    assert all(parameter.grad is None for parameter in segmenter.parameters())
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


class ByValue(nn.Module):
    """What it does depends on the values, which the meta device does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 4, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.patches(images)
        return features * 2 if features.mean().item() > 0 else features


@pytest.mark.parametrize("freeze", [False, True])
def test_what_cannot_be_counted_is_none(freeze: bool) -> None:
    encoder = Encoder(
        ByValue(), dim=4, crop=SPEC.crop, patch_size=PATCH, mean=[0.5] * 3, std=[0.5] * 3, name="by value"
    )
    segmenter = Segmenter(encoder, LinearDecoder(4, CLASSES), freeze=freeze)
    assert count_shapes(segmenter, SPEC.crop) == (None, None, ())
