"""Weights from a hub on this machine, through the hub's own client; and where they are found afterwards."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from against_timm import query, save, timm_model
from fake_hub import FakeHub, serve
from huggingface_hub import constants

from segrank.cards import CARDS
from segrank.encoders import hub
from segrank.encoders.build import build_encoder
from segrank.encoders.fetch import fetch_weights
from segrank.encoders.whereabouts import Whereabouts, whereabouts
from segrank.errors import WeightsError

MAE = "timm:vit_base_patch16_224.mae"
FILE = "timm/vit_base_patch16_224.mae/model.safetensors"


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        pass


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """An empty cache, and a hub that has nothing yet."""
    with serve(FakeHub()) as fake:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", fake.url)
        template = f"{fake.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        huggingface_hub.close_session()
        yield fake
        huggingface_hub.close_session()


def test_what_a_run_would_take_is_fetched_once_and_then_taken(there: FakeHub, tmp_path: Path) -> None:
    content = save(timm_model("vit_base_patch16_224.mae"), tmp_path / "w.safetensors").read_bytes()
    there.files = {FILE: content, FILE.replace("model.safetensors", "pytorch_model.bin"): b"not this one"}
    assert whereabouts(MAE).status == "missing"
    lines = Lines()
    [place] = fetch_weights([MAE], reporter=lines)
    assert place.status == "here"
    assert place.files[0].read_bytes() == content
    assert there.sent == [(FILE, 0)]
    size = f"{len(content) / 1e6:.1f} MB"
    assert [size in line for line in lines.said] == [True, True]  # all together, then this one
    assert "1 of 1: timm:vit_base_patch16_224.mae, model.safetensors of timm/vit_base_patch16_224.mae" in lines.said[1]

    assert fetch_weights([MAE]) == [place] == [whereabouts(MAE)]
    _, report = build_encoder(query("vit_base_patch16_224.mae"), crop=(32, 32), patch_size=16)
    assert report.source == "pretrained: mae"
    assert len(report.sha256) == 64
    assert there.sent == [(FILE, 0)]


def test_without_safetensors_the_publishers_other_file_is_taken_and_a_card_is_not_needed(there: FakeHub) -> None:
    """timm itself is asked for a model without a card."""
    there.files = {"timm/vit_small_patch32_224.augreg_in21k/pytorch_model.bin": b"weights"}
    reference = "timm:vit_small_patch32_224.augreg_in21k"
    assert whereabouts(reference).status == "unknown"
    [place] = fetch_weights([reference])
    assert [file.name for file in place.files] == ["pytorch_model.bin"]
    assert whereabouts(reference, ask_timm=True).files == place.files


def test_a_connection_that_breaks_is_taken_up_where_it_broke(there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's attempts
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    there.files, there.breaks = {FILE: bytes(range(256)) * 4096}, {FILE}
    [place] = fetch_weights([MAE])
    assert place.files[0].read_bytes() == there.files[FILE]
    assert there.sent == [(FILE, 0), (FILE, len(there.files[FILE]) // 2)]


def test_what_cannot_be_had_is_told_and_the_others_are_fetched_all_the_same(there: FakeHub) -> None:
    there.files = {FILE: b"weights", "timm/vit_small_patch16_224.dino/README.md": b""}
    there.gated = {"timm/vit_large_patch16_224.mae"}
    names = ["mae-large", "dino-small", "dinov2-base", "ijepa-in1k-huge", "mae-base"]
    found = dict(zip(names, fetch_weights([CARDS[name].reference for name in names]), strict=True))
    assert found.pop("mae-base").status == "here"
    assert {place.status for place in found.values()} == {"missing"}
    gated = found["mae-large"]
    assert "is gated" in gated.found
    assert f"accept them at {there.url}/timm/vit_large_patch16_224.mae" in gated.advice
    assert "hf auth login" in gated.advice
    assert "the hub has no model.safetensors or pytorch_model.bin" in found["dino-small"].found
    assert "no repository timm/vit_base_patch14_dinov2.lvd142m" in found["dinov2-base"].found
    assert "dl.fbaipublicfiles.com" in found["ijepa-in1k-huge"].advice


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    there: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.files = {FILE: b"weights" * 10**6}
    usage = type("Usage", (), {"free": 10**6})
    with monkeypatch.context() as small:
        small.setattr("shutil.disk_usage", lambda folder: usage)
        with pytest.raises(WeightsError, match=r"7\.0 MB; 1\.0 MB are free(.|\n)*HF_HOME"):
            fetch_weights([MAE])
    assert there.sent == []

    def full(*arguments: Any, **options: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub, "hf_hub_download", full)
    [place] = fetch_weights([MAE])
    assert (place.status, "no space" in place.found, "HF_HOME" in place.advice) == ("missing", True, True)


def test_nobody_waits_where_there_is_no_network(there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound, and listening to nobody
        closed.bind(("127.0.0.1", 0))
        template = f"http://127.0.0.1:{closed.getsockname()[1]}/{{repo_id}}/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        with pytest.raises(WeightsError, match="cannot be reached"):
            fetch_weights([MAE, CARDS["mae-large"].reference])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        fetch_weights([MAE])
    assert there.sent == []


@pytest.mark.parametrize("sharded", [False, True])
def test_a_model_of_transformers_with_all_its_files(sharded: bool, there: FakeHub) -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    weights = {name: name.encode() for name in (shards if sharded else ["model.safetensors"])}
    if sharded:
        weights["model.safetensors.index.json"] = json.dumps(index).encode()
    files = {"config.json": b"{}", "processor_config.json": b'{"a": 1}', **weights}
    there.files = {f"me/net/{name}": content for name, content in files.items()}
    assert whereabouts("hf:me/net").status == "missing"
    [place] = fetch_weights(["hf:me/net"])
    assert place.status == "here"
    assert {name for name, _ in there.sent} == there.files.keys()
    assert [file.name for file in place.files] == [*(shards if sharded else ["model.safetensors"]), "config.json"]
    assert fetch_weights(["hf:me/net"]) == [place]
    assert len(there.sent) == len(files)


def test_the_verb_in_a_process_of_its_own(tmp_path: Path) -> None:
    """No torch is loaded, files arrive in $HF_HOME, and the exit code tells whether any is missing."""
    code = """
import sys
from segrank.cli import main
sys.argv = ["segrank", "encoders", "fetch", *sys.argv[1:]]
try: main()
finally: assert "torch" not in sys.modules
"""
    with serve(FakeHub({FILE: b"weights"})) as fake:
        env = {**os.environ, "HF_ENDPOINT": fake.url, "HF_HOME": str(tmp_path), "no_proxy": "127.0.0.1"}
        env.pop("HF_HUB_OFFLINE", None)
        env.pop("HF_HUB_CACHE", None)

        def call(*arguments: str) -> tuple[int, str, str]:
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, timeout=60
            )
            return done.returncode, done.stdout, done.stderr

        status, out, _ = call("mae-base", "--dry-run")
        assert (status, out.splitlines()[0].split()[:2]) == (1, ["missing", MAE])
        assert "segrank encoders fetch" in out
        status, out, err = call("mae-base")
        assert (status, out.splitlines()[0].split()[:2]) == (0, ["here", MAE])
        assert "1 of 1" in err
        assert "Traceback" not in err
    assert Path(out.splitlines()[0].split()[2]).read_bytes() == b"weights"
    assert tmp_path in Path(out.splitlines()[0].split()[2]).parents
    status, out, err = call("mae-base", "mae-large")  # the hub is gone
    assert (status, out) == (1, "")
    assert "cannot be reached" in err
    assert "Traceback" not in err


def test_whereabouts_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mae-base.pth"
    file.write_bytes(b"weights")

    def place(encoder: str, weights: str = "pretrained") -> Whereabouts:
        return whereabouts(encoder, weights)

    assert place(MAE, str(file)).files == place(MAE, str(tmp_path)).files == (file,)
    assert {place(MAE, "random").status, place("file:model.py:build").status} == {"none needed"}
    assert "fetch timm:vit_base_patch16_224.mae" in place(MAE).advice
    assert "ijepa-in1k-huge.safetensors" in place(CARDS["ijepa-in1k-huge"].reference).advice
    for encoder, weights in ((MAE, "nowhere.pt"), ("small:plain", "pretrained"), (f"hf:{tmp_path}", "pretrained")):
        missing = place(encoder, weights)
        assert missing.status == "missing", encoder
        assert missing.found
        assert missing.advice, encoder
