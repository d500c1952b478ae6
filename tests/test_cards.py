"""The catalogue against the paper's table and against timm."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.cards import CARDS, LINEAGES, Card, card_named, card_of, untrained
from segrank.cards.card import LICENCES, SIZE_LIMITS_M
from segrank.cards.select import select
from segrank.encoders.build import build_encoder
from segrank.errors import EncoderError

# arXiv 2404.12172: base, large, masked image modelling and its target, supervision
PAPER = [
    ("eva02_base_patch16_clip_224.merged2b", "eva02_large_patch14_clip_336.merged2b", "abstract", "image-text"),
    ("eva02_base_patch14_224.mim_in22k", "eva02_large_patch14_224.mim_m38m", "abstract", "image-text"),
    ("vit_base_patch14_dinov2.lvd142m", "vit_large_patch14_dinov2.lvd142m", "abstract", None),
    ("beit3_base_patch16_224.pt", "beit3_large_patch16_224.pt", "abstract", "image-text"),
    ("vit_base_patch16_siglip_512.webli", "vit_large_patch16_siglip_384.webli", "none", "image-text"),
    ("vit_base_patch16_clip_224.dfn2b", "vit_large_patch14_clip_224.dfn2b", "none", "image-text"),
    ("deit3_base_patch16_384.fb_in22k_ft_in1k", "deit3_large_patch16_384.fb_in22k_ft_in1k", "none", "labels"),
    ("deit3_base_patch16_384.fb_in1k", "deit3_large_patch16_384.fb_in1k", "none", "labels"),
    ("vit_base_patch16_224.mae", "vit_large_patch16_224.mae", "pixels", None),
    ("samvit_base_patch16.sa1b", "samvit_large_patch16.sa1b", "pixels", "masks"),
]
each_card = pytest.mark.parametrize("card", [pytest.param(card, id=card.name) for card in CARDS.values()])


def test_the_twenty_of_the_paper() -> None:
    twenty = {name: (mim, supervision) for base, large, mim, supervision in PAPER for name in (base, large)}
    cards = {card.timm: card for card in CARDS.values() if card.in_paper}
    assert cards.keys() == twenty.keys()
    for name, (mim, supervision) in twenty.items():
        assert (cards[name].mim, cards[name].supervised_by) == (mim, (supervision,) if supervision else ())
        assert cards[name].promptable == (supervision == "masks")
    assert [cards[base].size for base, *_ in PAPER] == ["base"] * 10
    assert [cards[large].size for _, large, *_ in PAPER] == ["large"] * 10
    assert all(cards[base].family == cards[large].family for base, large, *_ in PAPER)


@each_card
def test_timm_says_the_same_of_the_weights(card: Card) -> None:
    config, default = timm.get_pretrained_cfg(card.timm), timm.get_pretrained_cfg(card.timm.partition(".")[0])
    assert config is not None
    assert default is not None
    assert config.has_weights
    assert config.license == card.licence
    assert config.input_size[1:] == (card.image, card.image)
    assert (config.hf_hub_id or None) == card.repository
    assert config.hf_hub_filename is None  # so the files have the names that the cache is searched for
    assert (default.tag == config.tag) == card.timm_default


@functools.cache
def native_model(architecture: str) -> Any:
    """timm's model at its native size on the meta device, without head, pooling and neck."""
    options: dict[str, Any] = {"global_pool": "token"} if architecture.startswith("beit3") else {}
    with torch.device("meta"):
        model: Any = timm.create_model(architecture, num_classes=0, **options).eval()
        model.reset_classifier(0, "")
    if hasattr(model, "neck"):
        model.neck = torch.nn.Identity()
    return model


@each_card
def test_timm_builds_what_the_card_says(card: Card) -> None:
    model = native_model(card.timm.partition(".")[0])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters / 1e6 == pytest.approx(card.parameters_m, rel=0.005)

    normed: list[torch.Tensor] = []
    handles = [
        module.register_forward_hook(lambda _module, _input, output: normed.append(output))
        for module in model.modules()
        if "norm" in type(module).__name__.lower()
    ]
    with torch.no_grad():
        features = model.forward_features(torch.zeros(1, 3, card.image, card.image, device="meta"))
    for handle in handles:
        handle.remove()
    assert (features is normed[-1]) == card.final_norm
    prefix = getattr(model, "num_prefix_tokens", 0)
    assert features.numel() == (card.grid**2 + prefix) * card.dim
    assert card.plain == (card.patch != 32)
    assert card.depth == (len(model.blocks) if card.plain else None)
    assert card.image == card.grid * card.patch


SMALLEST = {card.family: card for card in sorted(CARDS.values(), key=lambda card: -card.parameters_m)}


@pytest.mark.parametrize("smallest", [pytest.param(card, id=card.name) for card in SMALLEST.values()])
def test_what_a_run_builds_ends_in_a_norm_where_the_cards_of_a_family_say_so(smallest: Card) -> None:
    """Told by the last module with parameters that is called; a family's sizes differ in their numbers only."""
    side = 4 * smallest.patch if smallest.plain else 64
    called: list[torch.nn.Module] = []
    with torch.device("meta"):
        encoder, _ = build_encoder(
            smallest.reference + ("?depth=2" if smallest.plain else ""),
            crop=(side, side),
            patch_size=smallest.patch,
            weights="random",
        )
        for module in encoder.modules():
            if not any(True for _ in module.children()) and any(True for _ in module.parameters()):
                module.register_forward_hook(lambda module, _inputs, _output: called.append(module))
        with torch.no_grad():
            encoder.eval()(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    ends_in_norm = "norm" in type(called[-1]).__name__.lower()
    assert {card.final_norm for card in CARDS.values() if card.family == smallest.family} == {ends_in_norm}


def test_names_families_and_lineages_hang_together() -> None:
    assert all(name == card.name for name, card in CARDS.items())
    assert len({card.timm for card in CARDS.values()}) == len(CARDS)
    assert len({(card.family, card.size) for card in CARDS.values()}) == len(CARDS)
    for card in CARDS.values():
        assert card.licence in LICENCES
        parent = CARDS[card.initialised_from] if card.initialised_from else None
        assert parent is None or {seen.dataset for seen in parent.saw} <= {seen.dataset for seen in card.saw}
        # a teacher that is written like a card is one
        assert all(teacher in CARDS for teacher in card.distilled_from if " " not in teacher)
    assert {step.child for step in LINEAGES} | {step.parent for step in LINEAGES} <= CARDS.keys()
    continued = {(step.child, step.parent) for step in LINEAGES if step.kind == "continued"}
    assert continued == {(card.name, card.initialised_from) for card in CARDS.values() if card.initialised_from}
    pairs = {(step.child, step.parent) for step in LINEAGES}
    assert {
        ("sam-base", "mae-base"),
        ("deit3-in21k-large", "deit3-in1k-large"),
        ("eva02-clip-base", "eva02-base"),
        ("dinov2-reg-base", "dinov2-base"),
        ("siglip2-large", "siglip-large"),
    } <= pairs


def test_sizes_are_those_of_the_plain_vit() -> None:
    assert list(SIZE_LIMITS_M.values()) == sorted(SIZE_LIMITS_M.values())
    for name, size in (("dinov2-small", "small"), ("mae-base", "base"), ("mae-large", "large"), ("mae-huge", "huge")):
        assert CARDS[name].size == size
    assert CARDS["dinov2-giant"].size == "giant"


def test_the_card_of_what_a_spec_names() -> None:
    card = CARDS["dinov2-base"]
    assert card_of(card.reference) is card
    assert card_of("timm:vit_base_patch14_dinov2") is card
    assert card_of("timm:vit_base_patch16_224") is None  # its default weights have no card, MAE's are another tag
    for other in ("timm:vit_base_patch14_dinov2?depth=6", "timm:resnet50", "small:plain", "file:a.py:build", ""):
        assert card_of(other) is None
    assert card_of(card.reference, weights="mine.safetensors") is None


def test_random_weights_keep_the_architecture_and_nothing_else() -> None:
    card = CARDS["eva02-large"]
    floor = card_of(card.reference, weights="random")
    assert floor == untrained(card)
    assert floor is not None
    assert (floor.dim, floor.parameters_m, floor.patch, floor.final_norm) == (1024, 303.3, 14, False)
    assert (floor.mim, floor.supervised_by, floor.data, floor.saw, floor.images_seen_m) == ("none", (), (), (), 0)
    assert (floor.repository, floor.terms, floor.in_paper) == (None, "permissive", False)


@each_card
def test_a_card_as_data_comes_back_from_json_as_it_was(card: Card) -> None:
    """What a record keeps: to be grouped by with no catalogue at hand."""
    data = card.to_data()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(card.__slots__) < data.keys()
    assert data["data"] == list(card.data)
    assert [seen["dataset"] for seen in data["saw"]] == [seen.dataset for seen in card.saw]
    derived = (card.size, card.grid, card.terms, list(card.supervised_by), card.reference)
    assert (data["size"], data["grid"], data["terms"], data["supervised_by"], data["reference"]) == derived


def test_filters_add_up() -> None:
    def names(**wanted: Any) -> set[str]:
        return {card.name for card in select(CARDS.values(), **wanted)}

    assert names() == set(CARDS)
    assert len(names(paper=True)) == 20
    assert names(paper=True, mim="pixels") == {"mae-base", "mae-large", "sam-base", "sam-large"}
    assert names(paper=True, supervision="none", size="base") == {"dinov2-base", "mae-base"}
    assert names(paper=True, saw="coco_stuff") == {"eva02-large", "eva02-clip-large"}
    assert names(family="dinov2", size="base") == {"dinov2-base"}
    assert names(licence="apple-ascl") == {"dfn-base", "dfn-large", "aimv2-large", "aimv2-huge"}
    assert "mae-base" not in names(licence="permissive")
    assert "mae-base" in names(licence="non-commercial")


@pytest.mark.parametrize(
    ("wanted", "found", "fix"),
    [
        ({"mim": "abstrakt"}, 'mim "abstrakt"', "abstract"),
        ({"family": "DINOv9"}, 'family "DINOv9"', "DINOv"),
        ({"saw": "ade20"}, 'saw "ade20"', "ade20k"),
        ({"licence": "permisive"}, 'licence "permisive"', "permissive"),
        ({"size": "x" * 500}, 'size "xxx', ""),
    ],
)
def test_a_value_that_no_card_has(wanted: dict[str, Any], found: str, fix: str) -> None:
    with pytest.raises(EncoderError, match=found) as raised:
        select(CARDS.values(), **wanted)
    assert fix in raised.value.fix
    assert len(str(raised.value)) < 600


def test_a_name_that_no_card_has() -> None:
    assert card_named("timm:vit_base_patch16_224.mae") is card_named("mae-base")
    assert card_named("vit_base_patch16_224.mae") is card_named("mae-base")
    with pytest.raises(EncoderError, match=r'did you mean "dinov2-base"\?'):
        card_named("dinov2-bsae")
    with pytest.raises(EncoderError, match="runs as timm:NAME"):
        card_named("resnet50")
