"""The verbs, as a user gives them, on one small finished run."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segrank.cli import app, main
from segrank.data import open_dataset
from segrank.data.official import OFFICIAL
from segrank.data.palette import class_colours
from segrank.errors import DataError, SegrankError, SpecError
from segrank.record import Record
from segrank.runner import run
from segrank.spec import RunSpec

DATASET = "scenes?size=32&train=24&val=8"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    store = tmp_path_factory.mktemp("store")
    spec = RunSpec(
        encoder="small:shallow", weights="random", dataset=DATASET, crop=(32, 32), patch_size=8, steps=4, batch_size=4
    )
    return store, run(spec, store=store)


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_show_lists_runs_and_tells_all_of_one(finished: tuple[Path, Record]) -> None:
    store, record = finished
    listed = call("show", "--store", store)
    assert f"{100 * (record.miou or 0):.2f}" in listed
    assert record.key in listed
    shown = call("show", record.key[:5], "--store", store)
    for text in ("small:shallow", "step 4 of 4", "micro-batch 4", "balloon", "mIoU along the way", record.key):
        assert text in shown


def test_show_of_an_empty_store_says_so(tmp_path: Path) -> None:
    assert "there are no runs" in call("show", "--store", tmp_path)


def test_evaluate_adds_an_evaluation_and_show_shows_it(finished: tuple[Path, Record]) -> None:
    store, record = finished
    said = call("evaluate", record.key, "--split", "shift", "--store", store)
    assert "shift: 8 images" in said
    assert "shift: 8 images" in call("show", record.key, "--store", store)


def test_further_figures_are_asked_for_and_shown(finished: tuple[Path, Record]) -> None:
    store, record = finished
    more = ("--also", "boundary,calibration,corruptions", "--corruptions", "jpeg,contrast", "--severities", "1,5")
    for said in (call("evaluate", record.key, *more, "--store", store), call("show", record.key, "--store", store)):
        for text in ("Boundary IoU %", "calibration error", "per-image mIoU", "jpeg", "severity 5", "less than the"):
            assert text in said
        assert said.count("frequency-weighted IoU") == said.count("classes, fp32")
    for wrong in (("--severities", "3"), ("--also", "edges"), (*more[:-1], "7"), (*more[:-1], "x"), (*more[:3], "fog")):
        with pytest.raises(SegrankError) if wrong[-1] in ("edges", "7", "fog") else nullcontext():
            call("evaluate", record.key, *wrong, "--store", store, code=2)


def test_predict_writes_index_masks_and_overlays(finished: tuple[Path, Record], tmp_path: Path) -> None:
    store, record = finished
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("wide.jpg", (40, 90)), ("tall.png", (70, 33))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(photos / name)
    said = call("predict", record.key, photos, "--out", tmp_path / "masks", "--store", store)
    assert "2 masks" in said
    classes = len(open_dataset(DATASET).classes)
    with Image.open(tmp_path / "masks" / "wide.png") as mask:
        assert (mask.mode, mask.size) == ("P", (90, 40))
        assert np.asarray(mask).max() < classes
        palette = mask.getpalette()
        assert palette is not None
        assert palette[: 3 * classes] == class_colours(classes).flatten().tolist()
    with Image.open(tmp_path / "masks" / "tall.overlay.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (33, 70))


def test_predict_does_not_replace_a_photograph_or_another_result(finished: tuple[Path, Record], tmp_path: Path) -> None:
    store, record = finished
    image = Image.new("RGB", (40, 40))
    image.save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(DataError, match="would be replaced by a mask"):
        call("predict", record.key, tmp_path, "--out", tmp_path, "--store", store)
    assert (tmp_path / "a.png").read_bytes() == before
    image.save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"several images would be predicted to a\.png"):
        call("predict", record.key, tmp_path, "--out", tmp_path / "out", "--store", store)


def test_names_from_files_are_no_commands_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(
        'name: d\nclasses: ["[red]x", "<script>"]\nsplits: {val: {images: "i/*.png", masks: "m/*.png"}}\n'
    )
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        Image.new("L", (20, 20), 1).save(tmp_path / folder / "[bold]a.png")
    said = call("data", "check", tmp_path / "d.yaml")
    assert "\x1b" not in said
    assert "[red]x" in said
    assert "<script>" in said
    assert "[bold]a" in said


def test_errors_are_told_in_plain_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["segrank", "run", "--encoder", "timm:\x1b[31m[red]x", "--dataset", "scenes"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "\x1b" not in said
    assert "[red]x" in said
    assert "is no encoder" in said


def test_options_out_of_range_are_refused_with_their_name(tmp_path: Path) -> None:
    spec = RunSpec(encoder="small:shallow", weights="random", dataset=DATASET, crop=(32, 32), patch_size=8, steps=1)
    for option, value in (
        ("workers", -1),
        ("micro_batch", 0),
        ("devices", 0),
        ("devices", -2),
        ("devices", 3),
        ("checkpoint_every_s", float("nan")),
        ("checkpoint_every_s", -1.0),
        ("device", "tpu"),
    ):
        with pytest.raises(SpecError):
            run(spec, store=tmp_path / "store", **{"device": "cpu", option: value})  # type: ignore[arg-type]
    assert not (tmp_path / "store").exists()


def test_a_spec_file_with_a_key_that_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("1: 2\n")
    with pytest.raises(SpecError, match="has the key 1"):
        call("run", tmp_path / "spec.yaml")


def test_data_check_ends_with_1_where_there_are_problems(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert "no problems" in call("data", "check", DATASET, "--images", "3", "--sheet", sheet)
    with Image.open(sheet) as image:
        assert image.width > 100
    (tmp_path / "d.yaml").write_text('name: d\nclasses: [a]\nsplits: {val: {images: "*.jpg", masks: "*.png"}}\n')
    assert "problem: split" in call("data", "check", tmp_path / "d.yaml", code=1)


def test_datasets_are_listed_and_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGRANK_DATA", raising=False)
    listed = call("datasets")
    assert all(name in listed for name in (*OFFICIAL, "scenes"))
    assert "give --root FOLDER or set $SEGRANK_DATA" in listed
    (tmp_path / "gta5").mkdir()
    for file in ("ADEChallengeData2016.zip", "gta5/01_images.zip", "gta5/01_labels.zip"):
        (tmp_path / file).touch()
    rows = {line.split()[0]: line for line in call("datasets", "--root", tmp_path).splitlines() if line}
    assert rows["ade20k"].split()[-1] == "archives"
    assert "18 of 20 parts missing: 02_images.zip, 02_labels.zip, ..." in rows["gta5"]
    assert rows["voc2012"].split()[-1] == "no"
    told = call("datasets", "gta5", "--root", tmp_path)
    assert f"found in {tmp_path / 'gta5'}: 01_images.zip, 01_labels.zip" in told
    assert "missing: 02_images.zip" in told
    assert f"--dataset gta5 --root {tmp_path} --set eval_dataset=cityscapes" in told
    assert "research and education only" in told
    monkeypatch.setenv("SEGRANK_DATA", str(tmp_path))
    assert "found in" in call("datasets", "ade20k")
    assert "scenes?look=day" in call("datasets", "scenes")
    with pytest.raises(DataError, match='did you mean "ade20k"'):
        call("datasets", "ADE20K")
    with pytest.raises(DataError, match="data check"):
        call("datasets", "mine.yaml")


def test_every_field_is_explained() -> None:
    text = call("fields")
    for name in RunSpec.model_fields:
        assert name in text


@pytest.mark.parametrize(
    "verb",
    [[], ["run"], ["evaluate"], ["predict"], ["show"], ["demo"], ["datasets"], ["data", "check"], ["data", "cache"]],
)
def test_help_teaches(verb: list[str]) -> None:
    assert "Usage" in call(*verb, "--help")
