"""`segrank encoders`, as a user gives it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from rich.console import Console
from typer.testing import CliRunner

from segrank.cards import CARDS
from segrank.cli.encoders import encoders_app
from segrank.console import encoders as console_encoders
from segrank.errors import EncoderError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that holds the weights of mae-base, and a cut download of mae-large."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("mae-base", "mae-large"):
        folder = tmp_path / f"models--{str(CARDS[name].repository).replace('/', '--')}"
        snapshot = folder / "snapshots" / "abc"
        for part in (folder / "refs", snapshot):
            part.mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (snapshot / "model.safetensors").symlink_to(folder / "blobs" / "0")
    blob = tmp_path / "models--timm--vit_base_patch16_224.mae" / "blobs" / "0"
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    return tmp_path


def call(*arguments: str) -> str:
    result = CliRunner().invoke(encoders_app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines()[1:-1]}


def test_the_list_says_what_is_known_and_whether_weights_are_here() -> None:
    listed = rows(call())
    assert listed.keys() == CARDS.keys()
    for text in ("base", "86", "16", "14", "pixels", "none", "ImageNet-1k", "cc-by-nc-4.0"):
        assert text in listed["mae-base"]
    assert [name for name, line in listed.items() if line.rstrip().endswith("yes")] == ["mae-base"]
    assert "ade20k, coco_stuff" in listed["eva02-large"]


def test_filters_reach_the_list() -> None:
    options = ["--mim", "abstract", "--size", "base", "--licence", "permissive", "--supervision", "none"]
    assert rows(call(*options, "--family", "DINOv2", "--saw", "ade20k", "--paper")).keys() == {"dinov2-base"}
    with pytest.raises(EncoderError, match="did you mean"):
        call("--size", "bse")


def test_json_holds_every_field() -> None:
    (card,) = json.loads(call("--json", "--family", "MAE", "--size", "base"))
    assert card["reference"] == "timm:vit_base_patch16_224.mae"
    assert card["weights"].endswith("model.safetensors")
    assert card["terms"] == "non-commercial"
    assert set(CARDS["mae-base"].__slots__) <= card.keys()


def test_show_tells_all_of_one() -> None:
    told = call("show", "eva02-clip-large")
    for text in (
        "encoder: timm:eva02_large_patch14_clip_336.merged2b", "303.6 M", "grid 24x24", "6,000 million",
        "from eva02-large (continued)", "ADE20K train", "mit (permissive)", "arXiv 2303.15389", "not on this machine",
    ):  # fmt: skip
        assert text in told
    assert "to sam-base (continued)" in call("show", "mae-base")
    assert "unknown" in call("show", "pe-spatial-base")
    assert "give a file" in call("show", "ijepa-in1k-huge")
    with pytest.raises(EncoderError, match="did you mean"):
        call("show", "mae-bsae")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_line_for_each_on_any_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console_encoders, "out", lambda: Console(file=screen, width=width, highlight=False))
    console_encoders.print_cards(list(CARDS.values()))
    lines = screen.getvalue().splitlines()
    assert len(lines) == len(CARDS) + 2
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[1:-1]] == list(CARDS)  # no name is cut


def test_fetch_tells_what_is_here_and_what_to_do_about_the_rest() -> None:
    done = CliRunner().invoke(encoders_app, ["fetch", "mae-base", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert done.output.split()[:2] == ["here", "timm:vit_base_patch16_224.mae"]
    done = CliRunner().invoke(encoders_app, ["fetch", "mae-base", "--family", "MAE", "--dry-run"])
    lines = done.output.splitlines()
    assert done.exit_code == 1
    assert [line.split()[0] for line in lines[:3]] == ["here", "missing", "missing"]
    assert "on the hub as timm/vit_large_patch16_224.mae" in lines[1]
    assert lines[-1] == "1 of 3 are here"
    assert CliRunner().invoke(encoders_app, ["fetch"]).exit_code == 2
    with pytest.raises(EncoderError, match="did you mean"):
        call("fetch", "mae-bsae", "--dry-run")


def test_neither_listing_nor_showing_nor_looking_for_weights_loads_torch() -> None:
    code = """
import sys
from segrank.cli.encoders import encoders_app
for arguments, code in (([], 0), (["show", "mae-base"], 0), (["fetch", "--paper", "--dry-run"], 1)):
    try: encoders_app(arguments)
    except SystemExit as end: assert (end.code or 0) == code
assert not {"torch", "timm", "torchvision", "numba"} & {module.split(".")[0] for module in sys.modules}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
