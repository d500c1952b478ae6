"""Download pretrained weights into the Hugging Face cache, where runs look for them. No torch but for timm's names."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import constants

from segrank.encoders.hf_files import HfFiles
from segrank.encoders.hub import HubFile, cached, check_reachable, download, obtain, size_on_hub
from segrank.encoders.reference import HF_CONFIG, HF_INDEX, HF_PROCESSORS, hf_shards
from segrank.encoders.whereabouts import Whereabouts, whereabouts
from segrank.errors import WeightsError
from segrank.progress import Reporter, Silent
from segrank.spec import parse_reference


class _Download(NamedTuple):
    encoder: str
    file: HubFile
    name: str
    """That the hub has of the file's."""
    size: int
    """Bytes; 0 if the hub does not say."""


def fetch_weights(encoders: Sequence[str], *, reporter: Reporter | None = None) -> list[Whereabouts]:
    """Download what is not on this machine: of each encoder the files that a run would take.

    How large they are is asked, and said, before. One that cannot be had does not keep the others from being fetched.

    Args:
        encoders: references: `timm:NAME`, `hf:OWNER/NAME`.
        reporter: where progress goes. On a terminal the hub's client shows a bar for each file besides.

    Returns:
        where the weights of each are now; `missing`, with the reason, where they could not be had.

    Raises:
        WeightsError: the hub does not answer, or there is no space for all.
    """
    reporter = reporter or Silent()
    places = {encoder: whereabouts(encoder, ask_timm=True) for encoder in encoders}
    missing = {encoder: place.on_hub for encoder, place in places.items() if place.on_hub}
    refused: dict[str, WeightsError] = {}
    wanted: list[_Download] = []
    for number, (encoder, file) in enumerate(missing.items()):
        if number == 0:
            check_reachable(file)
        try:
            wanted += _hf_downloads(encoder, file) if encoder.startswith("hf:") else [_sized(encoder, file)]
        except WeightsError as error:
            refused[encoder] = error
    if wanted:
        _check_space(wanted, reporter)
    for number, (encoder, file, name, size) in enumerate(wanted, start=1):
        if encoder in refused:
            continue
        reporter.say(f"{number} of {len(wanted)}: {encoder}, {name} of {file.repository}, {_bytes(size)}")
        try:
            download(file)
        except WeightsError as error:
            check_reachable(file)  # if nobody answers any more, the others would wait in vain
            refused[encoder] = error
    for encoder in missing:
        places[encoder] = whereabouts(encoder, ask_timm=True)
        if problem := refused.get(encoder):
            places[encoder] = places[encoder]._replace(found=problem.found, advice=problem.fix, on_hub=None)
    return list(places.values())


def _sized(encoder: str, file: HubFile) -> _Download:
    name, size = size_on_hub(file)
    return _Download(encoder, file, name, size or 0)


def _hf_downloads(encoder: str, weights: HubFile) -> list[_Download]:
    """Of a model of transformers: its configuration, one file of weights or all shards, and its preprocessor's file.

    The index of shards is fetched here, to know them. A model without a preprocessor's file runs with
    normalisation=imagenet.
    """
    _, name, options = parse_reference(encoder)
    files = HfFiles(name, str(options.get("revision", "")))
    found = _sized(encoder, weights)
    wanted = [files.on_hub(HF_CONFIG)]
    if found.name == HF_INDEX:
        wanted += [files.on_hub(shard) for shard in hf_shards(obtain(weights))]
    else:
        wanted.append(weights)
    sized = [_sized(encoder, file) for file in wanted if not cached(file)]
    with contextlib.suppress(WeightsError):
        sized.append(_sized(encoder, files.on_hub(*HF_PROCESSORS)))
    return sized


def _check_space(wanted: Sequence[_Download], reporter: Reporter) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    total = sum(item.size for item in wanted)
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())).free
    said = f"{len(wanted)} files to download into {cache}, {_bytes(total)}; {_bytes(free)} are free there"
    if total > free:
        raise WeightsError(said, fix="free some, put $HF_HOME on a larger disk, or fetch fewer")
    reporter.say(said)


def _bytes(size: int) -> str:
    """`1.2 GB`, as the hub's pages count: of 1000 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
