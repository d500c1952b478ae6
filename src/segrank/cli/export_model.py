"""`segrank export-model`: a finished run's network for programs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.run_options import RunArgument, StoreOption, find_run
from segrank.store import DEFAULT_STORE, Store


def export_model(
    key: RunArgument,
    out: Annotated[Path, typer.Option(help="The file.")] = Path("model.onnx"),
    labels: Annotated[
        bool, typer.Option("--labels", help="Give the best class of each pixel, instead of scores of all classes.")
    ] = False,
    opset: Annotated[
        int | None, typer.Option(min=18, help="Of ONNX's operators; the exporter's own by default.", show_default=False)
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Any number of images; without, one at a time.")] = False,
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Write a finished run's network as an ONNX file: images of its crop in, class scores out.

    Input `images` (b, 3, H, W), uint8 RGB, normalised inside; output `scores` (b, classes, H, W), float32, or with
    --labels `labels` (b, H, W), uint8. Larger images are yours to cut into windows. Needs the extra `segrank[onnx]`.

    Example: `segrank export-model 3f2a --out model.onnx --labels`
    """
    from segrank.console.output import out as output
    from segrank.onnx_model import export_onnx
    from segrank.progress import plain

    results = Store(store)
    size = export_onnx(results, find_run(results, key), out, labels=labels, opset=opset, dynamic=dynamic)
    output().print(plain(f"{out}: {size / 1e6:.1f} MB"))
