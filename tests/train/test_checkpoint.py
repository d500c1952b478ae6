"""Checkpoints: whole or not accepted, and never code."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from segrank.attempt import checkpoints
from segrank.files import digest
from segrank.train import checkpoint


def state(step: int) -> dict[str, Any]:
    """As a run has it: tensors, an optimiser's state with numbers as keys, plain values."""
    parameter = torch.nn.Parameter(torch.arange(1000.0) * step)
    optimizer = torch.optim.AdamW([parameter], lr=1e-3)
    parameter.grad = torch.ones(1000)
    optimizer.step()
    return {
        "key": "0123456789abcdef",
        "model": {"weight": parameter.detach(), "half": torch.ones(3, dtype=torch.bfloat16)},
        "optimizer": optimizer.state_dict(),
        "scaler": {},
        "progress": {"step": step, "train_s": 0.5},
    }


def flat(value: Any) -> Any:
    """Comparable with ==, to the bit."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: flat(inner) for key, inner in value.items()}
    return [flat(inner) for inner in value] if isinstance(value, list) else value


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = state(7)
    path = checkpoint.save(tmp_path, 7, saved)
    assert flat(checkpoint.load(path)) == flat(saved)
    assert {file.name for file in tmp_path.iterdir()} == {"step-000000007.pt", "step-000000007.sha256"}


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 9, 10, 11):
        checkpoint.save(tmp_path, step, state(step))
    expected = [tmp_path / f"step-0000000{step}.pt" for step in (11, 10)]
    assert checkpoints([tmp_path]) == expected
    assert len(list(tmp_path.iterdir())) == 4


def test_the_newest_of_several_folders_comes_first(tmp_path: Path) -> None:
    for name, step in (("a", 3), ("b", 12), ("c", 5)):
        (tmp_path / name).mkdir()
        checkpoint.save(tmp_path / name, step, state(step))
    (tmp_path / "c" / "step-5.pt").write_bytes(b"another name")
    found = checkpoints([*tmp_path.iterdir(), tmp_path / "gone"])
    assert [path.parent.name for path in found] == ["b", "c", "a"]


@pytest.mark.parametrize("suffix", [".pt", ".sha256"])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_noticed(tmp_path: Path, suffix: str, bit: int) -> None:
    path = checkpoint.save(tmp_path, 1, state(1))
    damaged = path.with_suffix(suffix)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1 << bit
    damaged.write_bytes(content)
    assert checkpoint.load(path) is None


def test_what_was_cut_short_does_not_count(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 2, state(2))
    path.with_suffix(".sha256").unlink()
    assert checkpoints([tmp_path]) == []
    assert checkpoint.load(path) is None
    assert checkpoint.load(tmp_path / "step-000000099.pt") is None
    again = checkpoint.save(tmp_path, 2, state(2))
    again.write_bytes(again.read_bytes()[:-1])
    assert checkpoint.load(again) is None


def test_a_full_disk_leaves_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 3, state(3))
    monkeypatch.undo()
    found = checkpoints([tmp_path])
    assert [path.name for path in found] == ["step-000000002.pt", "step-000000001.pt"]
    assert all(checkpoint.load(path) is not None for path in found)
    assert not list(tmp_path.glob(".*"))


def test_moving_keeps_a_checkpoint_valid(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 4, state(4))
    target = tmp_path / "new"
    target.mkdir()
    checkpoint.move(path, target)
    assert checkpoints([tmp_path, target]) == [target / path.name]
    assert checkpoint.load(target / path.name) is not None
    assert list(tmp_path.iterdir()) == [target]


def test_removing_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 4, state(4))
    checkpoint.remove(path)
    checkpoint.remove(path)
    assert list(tmp_path.iterdir()) == []


class Code:
    """Unpickled without care, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("forced", ["", "1"])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forced: str, kind: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    path, proof = tmp_path / "step-000000001.pt", tmp_path / "proof"
    if kind == "torch":
        torch.save({"key": Code(proof)}, path)
    else:
        path.write_bytes(pickle.dumps({"key": Code(proof)}, protocol=2))
    path.with_suffix(".sha256").write_text(digest(path))
    with contextlib.suppress(pickle.UnpicklingError):
        assert checkpoint.load(path) is None
    assert not proof.exists()
