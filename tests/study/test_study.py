"""Studies: which runs a file asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from segrank.cards import CARDS, card_of
from segrank.cli import app
from segrank.errors import SpecError
from segrank.spec import RunSpec
from segrank.study.settings import SETTINGS, setting_named
from segrank.study.study import Study, parse_encoders, read_study, shipped_studies

BASE = RunSpec(encoder="timm:vit_base_patch16_224.mae", dataset="ade20k")


def study(tmp_path: Path, text: str) -> Study:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return read_study(file)


def test_the_papers_study_is_ten_encoders_under_eight_settings() -> None:
    paper = read_study("paper")
    assert len(paper.cells) == 80
    assert not paper.absent
    assert len({cell.spec for cell in paper.cells}) == 80
    by_setting = {
        setting: [cell.spec for cell in paper.cells if cell.setting == setting]
        for setting in dict.fromkeys(cell.setting for cell in paper.cells)
    }
    assert list(by_setting) == [
        "base", "freeze", "mask2former", "large", "patch8", "voc", "cityscapes", "gta5-to-cityscapes",
    ]  # fmt: skip
    twenty = {card.reference for card in CARDS.values() if card.in_paper}
    assert {spec.encoder for spec in by_setting["base"] + by_setting["large"]} == twenty
    base = by_setting["base"][0]
    for setting, differing in {
        "freeze": {"freeze"},
        "mask2former": {"decoder"},
        "large": {"encoder"},
        "patch8": {"patch_size"},
        "voc": {"dataset", "steps"},
        "cityscapes": {"dataset", "steps", "crop"},
        "gta5-to-cityscapes": {"dataset", "eval_dataset", "steps", "crop"},
    }.items():
        other = by_setting[setting][0]
        assert {name for name in RunSpec.model_fields if getattr(base, name) != getattr(other, name)} == differing
    assert {spec.steps for spec in by_setting["base"]} == {40_000}
    assert {spec.steps for spec in by_setting["gta5-to-cityscapes"]} == {20_000}


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_can_be_read_and_says_what_it_is_for(name: str) -> None:
    shipped = read_study(name)
    assert shipped.about
    assert len({cell.spec for cell in shipped.cells}) == len(shipped.cells)


def test_a_factorial_is_every_combination() -> None:
    factorial = read_study("factorial")
    names = list(dict.fromkeys(cell.setting for cell in factorial.cells))
    assert len(names) == 16
    all_four = next(cell.spec for cell in factorial.cells if cell.setting == "freeze+mask2former+large+patch8")
    assert (all_four.freeze, all_four.decoder, all_four.patch_size) == (True, "mask2former", 8)
    card = card_of(all_four.encoder)
    assert card is not None
    assert card.size == "large"


def test_ones_own_encoders_settings_seeds_and_files_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").touch()
    mine = study(
        tmp_path,
        """
        encoders: [mae-base, "timm:vit_tiny_patch16_224", {name: mine, encoder: small:vit, weights: own.safetensors}]
        settings: [freeze, {gentle: {lr: 3e-5}}, gentle+patch8]
        seeds: 2
        set: {dataset: scenes, steps: 100}
        """,
    )
    assert mine.name == "mine"
    assert len(mine.cells) == 18
    last = mine.cells[-1]
    assert (last.encoder, last.setting) == ("mine", "gentle+patch8")
    assert last.spec == RunSpec(
        encoder="small:vit",
        weights=str(tmp_path / "own.safetensors"),
        dataset="scenes",
        steps=100,
        seed=1,
        lr=3e-5,
        patch_size=8,
    )
    assert [cell.spec.seed for cell in mine.cells] == [0] * 9 + [1] * 9


def test_a_cell_that_an_encoder_has_no_variant_for_is_absent(tmp_path: Path) -> None:
    mine = study(tmp_path, "{encoders: [mae-base, dino-base, small:vit], settings: [base, large], set: {dataset: d}}")
    assert [(cell.encoder, cell.setting) for cell in mine.cells if cell.setting == "large"] == [("mae-base", "large")]
    assert mine.absent == (("dino-base", "large"), ("small:vit", "large"))


def test_the_random_floor_has_a_large_variant_and_a_file_has_none() -> None:
    floor = SETTINGS["large"](BASE.replace(weights="random"))
    assert floor is not None
    assert (floor.encoder, floor.weights) == ("timm:vit_large_patch16_224.mae", "random")
    assert SETTINGS["large"](BASE.replace(weights="mine.safetensors")) is None


def test_overrides_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{encoders: mae-base, set: {dataset: ade20k, steps: 7}}")
    assert read_study(file, {"steps": 9}).cells[0].spec.steps == 9
    assert [cell.spec.seed for cell in read_study(file, {"seed": 4}).cells] == [4]


def test_a_new_encoder_beside_those_of_a_study() -> None:
    own = {"name": "mine", "encoder": "timm:vit_base_patch16_224", "weights": "mine.safetensors"}
    cells = read_study("new-encoder", {"steps": 9}, encoders=["small:plain", own]).cells
    assert len(cells) == 2 * (4 + 2)
    assert {cell.spec.steps for cell in cells} == {9}
    assert [(cell.encoder, cell.spec.weights) for cell in cells[4:6]] == [
        ("small:plain", "pretrained"),
        ("mine", "mine.safetensors"),
    ]
    with pytest.raises(SpecError, match="stands twice"):
        read_study("new-encoder", encoders=["mae-base"])


def test_encoders_of_a_command_line_are_as_in_a_file() -> None:
    found = parse_encoders(["timm:vit_tiny_patch16_224?depth=6", "{encoder: small:plain, weights: mine.pt}"])
    assert found == ["timm:vit_tiny_patch16_224?depth=6", {"encoder": "small:plain", "weights": "mine.pt"}]
    with pytest.raises(SpecError, match="is no encoder"):
        parse_encoders(["[a, b]"])


def test_the_shipped_studies_are_listed_and_printed_to_begin_with(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["studies"]).output
    assert all(name in listed for name in shipped_studies())
    (tmp_path / "mine.yaml").write_text(CliRunner().invoke(app, ["studies", "factorial"]).output)
    assert read_study(tmp_path / "mine.yaml").cells == read_study("factorial").cells


def test_label_efficiency_is_on_one_image_per_class_and_on_growing_shares() -> None:
    cells = [cell for cell in read_study("label-efficiency").cells if cell.spec.seed == 0]
    few = [(cell.spec.images_per_class, cell.spec.train_fraction) for cell in cells]
    assert list(dict.fromkeys(few)) == [
        (1, 1.0), ("all", 0.01), ("all", 0.05), ("all", 0.1), ("all", 0.25), ("all", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{encoders: mae-base}", "dataset"),
        ("{encoders: mae-base, settings: [frieze], set: {dataset: d}}", 'did you mean "freeze"'),
        ("{encoders: mae-base, setings: [base], set: {dataset: d}}", 'did you mean "settings"'),
        ("{encoders: mae-base, settings: [{freeze: {lr: 1}}], set: {dataset: d}}", "a name that no other setting has"),
        ("{encoders: mae-base, settings: [{lora8: {lr: 1}}], set: {dataset: d}}", "a name that no other setting has"),
        ("{encoders: mae-base, settings: [lora], set: {dataset: d}}", 'did you mean "lora16"'),
        ("{encoders: mae-base, settings: [last0], set: {dataset: d}}", "mae-base under last0"),
        ("{encoders: mae-base, settings: [{mine: {seed: 1}}], set: {dataset: d}}", "same for every encoder"),
        ("{encoders: mae-base, settings: [{mine: {lr: -1}}], set: {dataset: d}}", "mae-base under mine"),
        ("{encoders: [mae-base, mae-base], set: {dataset: d}}", "stands twice"),
        ("{encoders: mae-bse, set: {dataset: d}}", '"mae-bse" is no encoder'),
        ("{encoders: [], set: {dataset: d}}", "encoders"),
        ("{encoders: mae-base, seeds: 1000000, set: {dataset: d}}", "seeds"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("(", r"\(")) as caught:
        study(tmp_path, text)
    assert "mine.yaml" in str(caught.value) or "setting" in str(caught.value) or "encoder" in str(caught.value)


def test_an_unknown_study_names_those_there_are() -> None:
    with pytest.raises(
        SpecError, match="demo, factorial, label-efficiency, learning-rate, miniature, new-encoder, objectives"
    ):
        read_study("papr")


def test_settings_apply_from_left_to_right() -> None:
    both = setting_named("voc+freeze")(BASE)
    assert both == BASE.replace(dataset="voc2012", steps=20_000, freeze=True)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("last4", {"trained_blocks": 4}),
        ("lora16", {"lora_rank": 16}),
        ("fraction5", {"train_fraction": 0.05}),
        ("per-class1", {"images_per_class": 1}),
        ("crop224+patch14", {"crop": 224, "patch_size": 14}),
    ],
)
def test_settings_with_a_number(name: str, fields: dict[str, int]) -> None:
    assert setting_named(name)(BASE) == BASE.replace(**fields)
