"""Every encoder at every size: does it build, load its publisher's layout, run, and pass gradients?

    python benchmarks/encoder_table.py [NAME ...] [--out encoder_table.jsonl] [--memory GIB] [--shapes]

NAME is a timm name; without one, all that have a card. For each name and each cell (crop/patch) one process
- builds the encoder on the meta device and runs it there, which gives shapes and an estimate of memory;
- where the estimate fits, has timm build the model at its own size with random values, saves it as a checkpoint,
  builds the encoder from that file and runs it on noise, in bf16 autocast as a GPU would; at 512/16, up to size
  large, backwards as well, as far as that fits.
What does not fit, 1024/8, and everything with --shapes, is known by its shapes only, and the table says so.

Results are appended to the file as JSON lines, one for each name and cell, and are not made again. The table is
printed at the end. All cards take some hours on 2 cores, --shapes some minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.cards import CARDS
from segrank.cards.card import SIZE_LIMITS_M
from segrank.encoders.build import build_encoder
from segrank.encoders.encoder import Encoder
from segrank.errors import SegrankError

CELLS = {
    "512/16": ((512, 512), 16),
    "512/8": ((512, 512), 8),
    "1024/16": ((1024, 1024), 16),
    "512x1024/16": ((512, 1024), 16),
    "1024/8": ((1024, 1024), 8),
}
SHAPES_ONLY = {"1024/8"}
"""Too much for any machine that this is run on without a GPU."""
GRADIENTS_AT = "512/16"
HEADROOM = 1.5
"""Estimates are multiplied by this before they are compared with the memory there is: kernels need some as well."""
TIMEOUT_S = 3600


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                self.bytes = max(self.bytes, value.numel() * value.element_size())
        return result


class FusedAttention(TorchFunctionMode):
    """Stands in for the fused attention kernel, which the meta device lacks: it keeps queries, keys, values and
    one more tensor of their size, and no weights between tokens. With a mask that is learned there is no fused
    kernel on the CPU either."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention and kwargs.get("attn_mask") is None:
            query, key, value = args[:3]
            if query.shape == key.shape == value.shape:
                return query * key * value
        return func(*args, **kwargs)


def estimate(encoder: Encoder) -> tuple[list[int], float, float]:
    """Shape of the features, and GiB for a forward pass and for one with gradients, from a run on the meta device."""
    images = torch.zeros(1, 3, *encoder.crop, dtype=torch.uint8, device="meta")
    parameters = sum(p.numel() * p.element_size() for p in encoder.parameters())
    with torch.no_grad(), FusedAttention(), Largest() as largest:
        shape = list(encoder(images).shape)
    storages: dict[int, int] = {}
    kept = []  # or else two storages could have one address after another

    def keep(value: Tensor) -> Tensor:
        kept.append(value)
        storages[value.untyped_storage()._cdata] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value), FusedAttention():
        features = encoder(images)
    del features
    # forward: the model, the file's tensors, and a few of the largest; backward: the model, its gradients, what is kept
    forward = 2 * parameters + 4 * largest.bytes
    backward = 2 * parameters + sum(storages.values()) + 4 * largest.bytes
    return shape, forward / 2**30, backward / 2**30


def native_file(name: str, folder: Path) -> tuple[Path, int]:
    """A checkpoint as timm's own model at its own size saves it, and how many tensors it has."""
    torch.manual_seed(1)
    model = timm.create_model(name)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    path = folder / "model.safetensors"
    safetensors.torch.save_file(state, path)
    return path, len(state)


def run(name: str, cell: str, memory_gib: float, *, shapes: bool) -> dict[str, Any]:
    """One cell of the table, in this process."""
    crop, patch_size = CELLS[cell]
    reference = f"timm:{name}"
    result: dict[str, Any] = {"name": name, "cell": cell, "timm": timm.__version__, "status": "shapes"}
    try:
        with torch.device("meta"):
            probe, _ = build_encoder(reference, crop=crop, patch_size=patch_size, weights="random")
    except SegrankError as error:
        return {**result, "status": "refused", "reason": str(error)}
    shape, forward_gib, backward_gib = estimate(probe)
    result |= {
        "features": shape,
        "parameters_m": round(sum(p.numel() for p in probe.parameters()) / 1e6, 1),
        "forward_gib": round(forward_gib, 2),
        "backward_gib": round(backward_gib, 2),
    }
    if shapes or cell in SHAPES_ONLY or forward_gib * HEADROOM > memory_gib:
        return result
    with tempfile.TemporaryDirectory() as folder:
        file, saved = native_file(name, Path(folder))
        encoder, report = build_encoder(reference, crop=crop, patch_size=patch_size, weights=str(file))
    result |= {
        "saved": saved,
        "loaded": report.loaded,
        "unexpected": list(report.unexpected),
        "resampled": len(report.resampled),
    }
    images = torch.randint(0, 256, (1, 3, *crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), _mixed():
        features = encoder.eval()(images)
    assert list(features.shape) == shape, f"{features.shape}, but {shape} on the meta device"
    if not bool(torch.isfinite(features).all()):
        return {**result, "status": "failed", "reason": "features are not finite"}
    result["status"] = "forward"
    small_enough = result["parameters_m"] <= SIZE_LIMITS_M["large"] and backward_gib * HEADROOM <= memory_gib
    if cell == GRADIENTS_AT and small_enough:
        with _mixed():
            loss = encoder.train()(images).float().square().mean()
        loss.backward()
        without = [key for key, p in encoder.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
        if without:
            return {**result, "status": "failed", "reason": f"no finite gradient: {', '.join(without[:3])}"}
        result["status"] = "gradients"
    result["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    return result


def _mixed() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def run_apart(name: str, cell: str, memory_gib: float, *, shapes: bool) -> dict[str, Any]:
    """One cell in a process of its own, so that one that dies takes nothing along. It is forked, since starting torch
    and timm would take longer than most cells; this process itself computes nothing."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def work() -> None:
        try:
            theirs.send(run(name, cell, memory_gib, shapes=shapes))
        except Exception as error:
            theirs.send({"name": name, "cell": cell, "status": "failed", "reason": f"{type(error).__name__}: {error}"})

    process = context.Process(target=work)
    process.start()
    theirs.close()  # so that the other end is seen to close when the process dies
    reason = f"not done in {TIMEOUT_S} s"
    try:
        if ours.poll(TIMEOUT_S):
            result: dict[str, Any] = ours.recv()
            return result
    except EOFError:
        process.join()
        reason = f"exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return {"name": name, "cell": cell, "status": "failed", "reason": reason}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row for each encoder, a column for each cell."""
    rows = ["| encoder | parameters, M | " + " | ".join(CELLS) + " |", "|---|---|" + "---|" * len(CELLS)]
    notes: dict[str, str] = {}
    for name in dict.fromkeys(result["name"] for result in results):
        cells = {result["cell"]: result for result in results if result["name"] == name}
        parameters = next((str(c["parameters_m"]) for c in cells.values() if "parameters_m" in c), "")
        texts = []
        for cell in CELLS:
            text = cells[cell]["status"] if cell in cells else ""
            if "features" in cells.get(cell, {}):
                text += f" {'x'.join(map(str, cells[cell]['features'][1:]))}"
            if "reason" in cells.get(cell, {}):
                text += f" [{notes.setdefault(cells[cell]['reason'], str(len(notes) + 1))}]"
            texts.append(text)
        rows.append(f"| {name} | {parameters} | " + " | ".join(texts) + " |")
    rows.append("")
    rows.append(
        "gradients: loaded from a checkpoint in timm's own layout, run forwards and backwards, every parameter with a "
        "finite gradient; forward: the same without gradients; shapes: built and run on the meta device only."
    )
    return "\n".join([*rows, *(f"[{number}] {' '.join(reason.split())}" for reason, number in notes.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("encoder_table.jsonl"))
    parser.add_argument("--memory", type=float, metavar="GIB", default=psutil.virtual_memory().available / 2**30)
    parser.add_argument("--shapes", action="store_true", help="on the meta device only")
    options = parser.parse_args()
    names = options.names or [card.timm for card in sorted(CARDS.values(), key=lambda card: card.parameters_m)]
    results = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.is_file() else []
    known = {(result["name"], result["cell"]) for result in results}
    for name in names:
        for cell in CELLS:
            if (name, cell) in known:
                continue
            result = run_apart(name, cell, options.memory, shapes=options.shapes)
            results.append(result)
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(name, cell, result["status"], file=sys.stderr, flush=True)
    print(table([result for result in results if result["name"] in names]))


if __name__ == "__main__":
    main()
