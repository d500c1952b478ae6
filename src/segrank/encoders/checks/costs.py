"""What one image at the study's crop takes."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import torch
from torch import Tensor, nn

from segrank.encoders.checks.report import Finding
from segrank.encoders.checks.subject import Subject, pictures
from segrank.encoders.encoder import Encoder
from segrank.train.cost import count_shapes, peak_device_gib
from segrank.train.segmenter import Segmenter

BUDGET_S = 10.0
"""Passes are repeated until they took so long, between 3 and 20 times."""


class Mean(nn.Module):
    """The cheapest decoder there is: the mean of the features, for counting an encoder alone."""

    classes = 1

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((1, 2, 3))

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        return output


def measure_cost(subject: Subject, encoder: Encoder) -> Finding:
    """Latency, time of a training pass, memory, parameters and arithmetic of one image."""
    images = pictures(1, encoder.crop, subject.device)

    def infer() -> None:
        with torch.inference_mode():
            encoder(images)

    def train() -> None:
        encoder(images).float().square().mean().backward()
        encoder.zero_grad(set_to_none=True)

    parameters = sum(p.numel() for p in encoder.parameters())
    parts = [f"{parameters / 1e6:.1f} M parameters"]
    measured: dict[str, float] = {"parameters": parameters}
    shapes = count_shapes(Segmenter(encoder, Mean(), freeze=False), encoder.crop)
    if shapes.forward_flops is not None:
        parts.append(f"{shapes.forward_flops / 1e9:.3g} GFLOP forward")
        measured["forward_flops"] = shapes.forward_flops
    for name, work in (("inference", infer), ("forward and backward", train)):
        try:
            seconds, spread, memory = _timed(work, subject.device)
        except (RuntimeError, MemoryError) as error:  # torch's own out of memory is a RuntimeError
            encoder.zero_grad(set_to_none=True)
            parts.append(f"{name} fails: {' '.join(str(error).split())[:120]}")
            continue
        parts.append(
            f"{name} {_time(seconds)} an image (±{_time(spread)}), {memory / 2**20:.0f} MiB beyond the weights"
        )
        measured |= {f"{name}_s": seconds, f"{name}_bytes": memory}
    threads = f", {torch.get_num_threads()} threads" if subject.device.type == "cpu" else ""
    size = f"{encoder.crop[0]}x{encoder.crop[1]}/{encoder.patch_size}"
    status = "ok" if "inference_s" in measured else "wrong"
    evidence = f"at {size} in fp32 on {subject.device.type}{threads}: {'; '.join(parts)}"
    return Finding(name="cost", status=status, evidence=evidence, measured=measured)  # type: ignore[arg-type]


def _timed(work: Callable[[], None], device: torch.device) -> tuple[float, float, float]:
    """Median seconds, half the range between the quartiles, and peak memory in bytes beyond what was there before.

    The first pass is not timed: it warms up, and tells the memory.
    """
    memory = _peak(work, device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < BUDGET_S and len(times) < 20):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - started)
    low, _, high = statistics.quantiles(times, n=4)
    return statistics.median(times), (high - low) / 2, memory


def _peak(work: Callable[[], None], device: torch.device) -> float:
    """On a GPU what tensors took; on a CPU how far the process grew, sampled every few milliseconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return (peak_device_gib(device) or 0) * 2**30 - before
    process, done = psutil.Process(), threading.Event()
    _give_back()
    before = process.memory_info().rss
    highest = before

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.002):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        work()
        highest = max(highest, process.memory_info().rss)
    finally:
        done.set()
        watcher.join()
    return float(highest - before)


def _give_back() -> None:
    """Memory that was freed goes back to the system: else it would be used again unseen. glibc only."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
