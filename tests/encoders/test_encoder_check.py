"""The check of an encoder's wiring: sound ones pass, and each broken one is caught by the test that is made for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from against_timm import query, save, timm_model
from typer.testing import CliRunner

from segrank.console.encoders_check import print_encoder_report
from segrank.encoders.build import build_encoder
from segrank.encoders.check import check_encoder
from segrank.encoders.checks.normalisation import first_input
from segrank.encoders.checks.places import fit, locate, spread_places
from segrank.encoders.checks.report import TESTS, EncoderReport
from segrank.errors import SpecError

BROKEN = Path(__file__).parent / "broken.py"
WEIGHTS = "weights/vit_small_patch14_dinov2_type.fp16.safetensors"
FREE = tuple(name for name in TESTS if name != "cost")
LOADED = ("keys loaded", "resampling", "position table", "patch weights")
"""Tests that need pretrained weights."""


def broken(fault: str, file: Path | None = None, tests: tuple[str, ...] = FREE) -> EncoderReport:
    reference = f"file:{BROKEN}:build?fault={fault}" + (f"&file={file}" if file else "")
    weights, patch_size = ("pretrained", 16) if file else ("random", 8)
    return check_encoder(reference, weights=weights, crop=(128, 128), patch_size=patch_size, tests=tests)


def names(report: EncoderReport, status: str) -> set[str]:
    return {finding.name for finding in report.findings if finding.status == status}


def told(report: EncoderReport) -> str:
    return "\n".join(f"{f.status} {f.name}: {f.evidence}" for f in report.findings)


# ---------------------------------------------------------------- sound ones


@pytest.mark.parametrize(
    ("reference", "crop", "patch_size"),
    [
        ("small:plain", (128, 192), 16),
        ("small:rope", (64, 64), 8),
        (f"file:{BROKEN}:build", (128, 128), 16),
        ("timm:vit_small_patch14_reg4_dinov2?depth=2", (112, 112), 14),
        ("timm:deit3_small_patch16_224?depth=2&embed_dim=96&num_heads=3", (128, 128), 16),
        ("timm:eva02_tiny_patch14_224?depth=2", (112, 168), 14),
        ("timm:vit_base_patch16_siglip_512?depth=2&embed_dim=96&num_heads=3", (128, 128), 16),
        ("timm:beit3_base_patch16_224?depth=2&embed_dim=96&num_heads=3", (128, 128), 16),
        ("timm:samvit_base_patch16?depth=2&embed_dim=96&num_heads=3", (128, 128), 16),
        ("timm:convnext_atto", (256, 256), 32),
    ],
)
def test_no_false_alarm(reference: str, crop: tuple[int, int], patch_size: int) -> None:
    report = check_encoder(reference, weights="random", crop=crop, patch_size=patch_size, tests=FREE)
    assert names(report, "wrong") == set(), told(report)
    assert names(report, "unsure") == set(), told(report)
    assert names(report, "skipped") == set(LOADED)


@pytest.mark.shared
def test_no_false_alarm_on_real_weights(shared: Path) -> None:
    file = str(shared / WEIGHTS)
    report = check_encoder("timm:vit_small_patch14_dinov2", weights=file, crop=(192, 192), patch_size=16, tests=FREE)
    assert names(report, "wrong") | names(report, "unsure") | names(report, "skipped") == set(), told(report)
    # pos_embed and the patch weights are resampled: all else is the file's, value for value
    assert report["keys loaded"].measured["in_file"] == 172


@pytest.mark.parametrize(
    ("name", "crop", "patch_size"),
    [
        ("vit_base_patch16_224.mae", (64, 64), 8),
        ("vit_base_patch16_clip_224.dfn2b", (512, 1024), 32),
        ("vit_base_patch16_siglip_512.webli", (96, 160), 8),
        ("samvit_base_patch16.sa1b", (64, 96), 8),
        ("vit_base_patch16_radio_v3.c_radio", (96, 160), 8),
        ("flexivit_small.1200ep_in1k", (64, 96), 32),
        ("eva02_base_patch14_224.mim_in22k", (96, 160), 16),
    ],
)
def test_no_false_alarm_where_weights_are_rough(
    name: str, crop: tuple[int, int], patch_size: int, tmp_path: Path
) -> None:
    """Tables and filters of noise: no smoothness helps, and features of two sizes have hardly anything in common."""
    file = save(timm_model(name), tmp_path / "w.safetensors")
    report = check_encoder(query(name), weights=str(file), crop=crop, patch_size=patch_size, tests=LOADED)
    assert names(report, "wrong") == set(), told(report)
    assert {"position table", "patch weights"} <= names(report, "ok"), told(report)


# ---------------------------------------------------------------- broken ones


@pytest.mark.parametrize(
    ("fault", "tests", "words"),
    [
        ("half_patch", {"registration"}, "about half a patch"),
        ("swapped_statistics", {"normalisation"}, "changed places"),
        ("bgr", {"normalisation"}, "BGR"),
        ("normalised_twice", {"normalisation"}, "normalised twice"),
        ("class_token_left_in", {"prefix tokens", "registration"}, "drop"),
        ("transposed", {"registration"}, "do not swap height and width"),
        ("centre_crop", {"registration"}, "the edges are not"),
        ("dropout_in_eval", {"repeatable"}, "training=self.training"),
        ("gradient_cut", {"gradient"}, "detach"),
        ("norm_never_called", {"final norm", "gradient"}, "forward_intermediates"),
        ("norm_taken_out", {"final norm"}, "the model's own final norm"),
        ("norm_twice", {"final norm"}, "leave the second one out"),
        ("norm_on_top", {"final norm"}, "leave the second one out"),
        ("batch_statistics", {"batch", "training mode"}, "batch norm"),
    ],
)
def test_a_broken_integration_is_caught_by_the_right_test(fault: str, tests: set[str], words: str) -> None:
    report = broken(fault)
    assert names(report, "wrong") == tests, told(report)
    assert any(words in report[name].advice for name in tests)
    assert not report.ok


@pytest.mark.shared
@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("half_loaded", "keys loaded"),
        ("cut_table", "position table"),
        ("table_with_class_token", "position table"),
        ("table_by_nearest_upside_down", "position table"),
        ("patches_by_nearest", "patch weights"),
    ],
)
def test_wrong_weights_are_caught_by_the_right_test(shared: Path, fault: str, test: str) -> None:
    # features take the most time, and are never called wrong: only what may make them so
    report = broken(fault, shared / WEIGHTS, tuple(name for name in LOADED if name != "resampling"))
    assert names(report, "wrong") == {test}, told(report)


@pytest.mark.shared
def test_the_same_module_with_its_weights_loaded_rightly_passes(shared: Path) -> None:
    report = broken("none", shared / WEIGHTS, LOADED)
    assert names(report, "ok") == {"builds", *LOADED}, told(report)


def test_half_loaded_names_what_is_random(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text(
        "import torch\nfrom torch import nn\n"
        "def build(crop, patch_size):\n"
        "    model = nn.Sequential(nn.Conv2d(3, 8, patch_size, patch_size), nn.Conv2d(8, 8, 1))\n"
        "    model[0].load_state_dict({'weight': torch.arange(192.0).view(8, 3, 8, 1)[..., :1].expand(8, 3, 8, 8),\n"
        "                              'bias': torch.arange(8.0)}) if patch_size == 8 else None\n"
        "    return model\n"
    )
    report = check_encoder(f"file:{source}:build", crop=(64, 64), patch_size=8, tests=("keys loaded",))
    assert report["keys loaded"].status == "wrong"
    assert "2 of 4 parameters" in report["keys loaded"].evidence
    assert "1.weight" in report["keys loaded"].evidence


# ---------------------------------------------------------------- what cannot be decided, or built


def test_what_nobody_states_is_unsure_and_never_ok(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text(
        "from torch import nn\n"
        "class Own(nn.Conv2d):\n"
        "    mean, std = (0.4, 0.4, 0.4), (0.3, 0.3, 0.3)\n"
        "def build(crop, patch_size):\n"
        "    return Own(3, 8, patch_size, patch_size)\n"
    )
    report = check_encoder(f"file:{source}:build", crop=(64, 64), patch_size=8, tests=FREE)
    assert names(report, "unsure") == {"keys loaded", "normalisation", "final norm"}, told(report)
    assert names(report, "wrong") == set()


def test_an_encoder_that_cannot_be_built_is_a_finding() -> None:
    report = check_encoder("timm:vit_tiny_patch16_223", crop=(64, 64))
    assert [(f.name, f.status) for f in report.findings] == [("builds", "wrong")]
    assert "vit_tiny_patch16_224" in report.findings[0].advice
    with pytest.raises(SpecError, match="registration"):
        check_encoder("small:plain", tests=("registraton",))


# ---------------------------------------------------------------- the measurements by themselves


def test_places_are_even_and_a_known_map_is_found_again() -> None:
    places = spread_places((12, 20), 200)
    assert places.min() > 0
    assert (places.max(0) < (11, 19)).all()
    fractions = places - np.rint(places)
    assert np.abs(fractions.mean(0)).max() < 0.02  # all phases within a cell
    middle = np.array([5.5, 9.5])
    matrix = np.array([[1.1, 0.2], [-0.1, 0.9]])
    seen = middle + np.array([0.5, -1.0]) + (places - middle) @ matrix.T
    seen[::10] += 7  # some seen elsewhere
    found = fit(places, seen, (12, 20), 1.0)
    np.testing.assert_allclose(found.offset, [0.5, -1.0], atol=1e-9)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-9)


def test_an_average_over_patches_locates_the_pattern_exactly(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text(
        "from torch import nn\ndef build(crop, patch_size):\n    return nn.Conv2d(3, 64, patch_size, patch_size)\n"
    )
    encoder, _ = build_encoder(f"file:{source}:build", crop=(96, 160), patch_size=8)
    found = locate(encoder.eval(), 32)
    assert np.abs(found.offset).max() < 0.05
    assert found.near == 1


def test_the_map_to_the_first_layer_is_exact() -> None:
    encoder, _ = build_encoder("small:plain", crop=(32, 48), patch_size=16, weights="random")
    encoder.mean.copy_(torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1))
    encoder.std.copy_(torch.tensor([0.2, 0.25, 0.5]).view(1, 3, 1, 1))
    seen = first_input(encoder)
    assert seen is not None
    np.testing.assert_allclose(seen.matrix, np.diag([5, 4, 2]), atol=1e-5)
    np.testing.assert_allclose(seen.bias, [-0.5, -0.8, -0.6], atol=1e-6)


# ---------------------------------------------------------------- for a person


def test_the_report_names_each_test_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    report = check_encoder("small:shallow", weights="random", crop=(64, 64), patch_size=16)
    cost = report["cost"].measured
    assert cost["parameters"] == sum(
        p.numel()
        for p in build_encoder("small:shallow", crop=(64, 64), patch_size=16, weights="random")[0].parameters()
    )
    assert cost["forward_flops"] > 2 * 16 * 768 * 128  # the patch embedding alone
    print_encoder_report(report)
    lines = capsys.readouterr().out.splitlines()
    assert [line[2:].split("  ")[0].strip() for line in lines[1:-1]] == list(TESTS)
    assert {line[0] for line in lines[1:-1]} == {"✓", "-"}
    print_encoder_report(broken("bgr", tests=("normalisation",)))
    text = capsys.readouterr().out
    assert "✗ normalisation   the first layer gets BGR" in text
    assert "do this: segrank gives RGB" in text
    assert "1 wrong (normalisation)" in text


def test_the_verb_exits_with_1_where_something_is_wrong() -> None:
    import typer

    from segrank.cli.encoders_check import check

    app = typer.Typer()
    app.command()(check)
    runner = CliRunner()
    common = ["--weights", "random", "--crop", "64x96", "--no-cost", "--device", "cpu"]
    good = runner.invoke(app, ["small:shallow", *common])
    assert good.exit_code == 0, good.output
    assert "64x96, patch 16" in good.output
    bad = runner.invoke(app, [f"file:{BROKEN}:build?fault=norm_twice", *common, "--json"])
    assert bad.exit_code == 1
    assert '"applied twice' in bad.output
    assert runner.invoke(app, ["small:shallow", "--native", "224"]).exit_code == 2


def test_printing_a_report_needs_no_torch() -> None:
    code = "import sys, segrank.console.encoders_check; assert not {'torch', 'timm'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
