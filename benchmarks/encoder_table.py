"""Every encoder at every size: does it build, load its publisher's layout, run, and pass gradients?

    python benchmarks/encoder_table.py [NAME ...] [--out FILE.jsonl] [--memory GIB] [--shapes]

NAME is a timm name; without one, all that have a card. For each name, timm builds the model at its own size with random
values and saves it as a checkpoint. For each name and cell (crop/patch)
- the encoder is built on the meta device and run there, which gives shapes and an estimate of memory;
- where the estimate fits, it is built from that file and run on noise, in bf16 autocast as a GPU would; at 512/16, up
  to size large, backwards as well, as far as that fits.
What does not fit, 1024/8, and everything with --shapes, is known by its shapes only, and the table says so.

Results are appended to the file as JSON lines, one for each name and cell, and are not made again. Those of all cards
are kept in benchmarks/results/encoder_table.jsonl, of which encoder_table_page.py makes a page; they take some hours on
2 cores, with --shapes some minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import safetensors.torch
import torch
from encoder_table_page import CELLS, Cell, table
from memory_estimate import estimate
from quick_numbers import QuickNumbers

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.cards import CARDS
from segrank.cards.card import SIZE_LIMITS_M
from segrank.encoders.build import build_encoder
from segrank.errors import SegrankError

SHAPES_ONLY = {"1024/8"}
"""Too much for any machine that this is run on without a GPU."""
GRADIENTS_AT = "512/16"
HEADROOM = 1.5
"""Estimates are multiplied by this before they are compared with the memory there is: kernels need some as well."""
TIMEOUT_S = 3600


def native_file(name: str, folder: Path) -> tuple[Path, int]:
    """A checkpoint as timm's own model at its own size saves it, and how many tensors it has."""
    with QuickNumbers():
        model = timm.create_model(name)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    path = folder / "model.safetensors"
    safetensors.torch.save_file(state, path)
    return path, len(state)


def run(name: str, cells: Sequence[str], memory_gib: float) -> Iterator[Cell]:
    """Cells of one encoder in turn, in this process; without memory, on the meta device only."""
    with tempfile.TemporaryDirectory() as folder:
        saved: tuple[Path, int] | None = None
        for cell in cells:
            result: Cell = {"name": name, "cell": cell, "timm": timm.__version__}
            try:
                fits = _on_meta(result, memory_gib)
                if fits:
                    saved = saved or native_file(name, Path(folder))
                    _on_memory(result, *saved, memory_gib)
            except Exception as error:
                result |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
            yield result


def _on_meta(result: Cell, memory_gib: float) -> bool:
    """Shapes into the result. Whether there is memory for more."""
    crop, patch_size = CELLS[result["cell"]]
    result["status"] = "shapes"
    try:
        with torch.device("meta"):
            probe, _ = build_encoder(f"timm:{result['name']}", crop=crop, patch_size=patch_size, weights="random")
    except SegrankError as error:
        result |= {"status": "refused", "reason": str(error)}
        return False
    estimated = estimate(probe)
    result["features"] = estimated.shape
    result["parameters_m"] = round(sum(p.numel() for p in probe.parameters()) / 1e6, 1)
    result["forward_gib"] = round(estimated.forward_gib, 2)
    result["backward_gib"] = round(estimated.backward_gib, 2)
    if result["cell"] in SHAPES_ONLY or not memory_gib:
        return False
    fits = estimated.forward_gib * HEADROOM <= memory_gib
    if not fits:
        result["limit_gib"] = memory_gib
    return fits


def _on_memory(result: Cell, file: Path, saved: int, memory_gib: float) -> None:
    """What becomes of the file and of an image, into the result."""
    crop, patch_size = CELLS[result["cell"]]
    reference = f"timm:{result['name']}"
    with QuickNumbers(fill=False):
        encoder, report = build_encoder(reference, crop=crop, patch_size=patch_size, weights=str(file))
    result |= {"saved": saved, "loaded": report.loaded, "resampled": len(report.resampled)}
    result["left_out"] = len(report.unexpected)
    result["left_out_parts"] = sorted({key.partition(".")[0] for key in report.unexpected})
    images = torch.randint(0, 256, (1, 3, *crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), _mixed():
        features = encoder.eval()(images)
    assert list(features.shape) == result["features"], f"{features.shape}, but {result['features']} on the meta device"
    if not bool(torch.isfinite(features).all()):
        result |= {"status": "failed", "reason": "features are not finite"}
        return
    result["status"] = "forward"
    small_enough = result["parameters_m"] <= SIZE_LIMITS_M["large"] and result["backward_gib"] <= memory_gib
    if result["cell"] == GRADIENTS_AT and small_enough:
        with _mixed():
            loss = encoder.train()(images).float().square().mean()
        loss.backward()
        without = [key for key, p in encoder.named_parameters() if p.grad is None or not bool(p.grad.sum().isfinite())]
        if without:
            result |= {"status": "failed", "reason": f"no finite gradient: {', '.join(without[:3])}"}
        else:
            result["status"] = "gradients"


def _mixed() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def run_apart(name: str, cells: Sequence[str], memory_gib: float) -> Iterator[Cell]:
    """As `run`, in a process of its own, so that one that dies takes no more than a cell along. It is forked, since
    starting torch and timm would take longer than most cells; this process itself computes nothing."""
    context = multiprocessing.get_context("fork")
    left = list(cells)
    while left:
        ours, theirs = context.Pipe(duplex=False)

        def work(theirs: Any = theirs) -> None:
            for result in run(name, left, memory_gib):
                theirs.send(result)

        process = context.Process(target=work)
        process.start()
        theirs.close()  # so that the other end is seen to close when the process dies
        reason = f"not done in {TIMEOUT_S} s"
        try:
            while left and ours.poll(TIMEOUT_S):
                yield ours.recv()
                left.pop(0)
        except EOFError:
            process.join()
            reason = f"exit code {process.exitcode}"
        finally:
            process.kill()
            process.join()
        if left:
            yield {"name": name, "cell": left.pop(0), "timm": timm.__version__, "status": "failed", "reason": reason}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, metavar="FILE.jsonl", default=Path("encoder_table.jsonl"))
    parser.add_argument("--memory", type=float, metavar="GIB", default=psutil.virtual_memory().available / 2**30)
    parser.add_argument("--shapes", action="store_true", help="on the meta device only")
    options = parser.parse_args()
    names = options.names or [card.timm for card in sorted(CARDS.values(), key=lambda card: card.parameters_m)]
    results = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.is_file() else []
    for name in names:
        known = {result["cell"] for result in results if result["name"] == name}
        memory_gib = 0 if options.shapes else options.memory
        for result in run_apart(name, [cell for cell in CELLS if cell not in known], memory_gib):
            results.append(result)
            with options.out.open("a") as file:
                file.write(json.dumps(result, separators=(",", ":")) + "\n")
            print(name, result["cell"], result["status"], file=sys.stderr, flush=True)
    print(table([result for result in results if result["name"] in names]))


if __name__ == "__main__":
    main()
