"""Where the weights of a spec are, or that they are missing and what to do: to be said before a study starts.

No torch, no network. timm is asked only on request: it brings torch.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal, NamedTuple

from segrank.cards import card_of
from segrank.encoders.hf_files import HfFiles
from segrank.encoders.hub import HubFile, cached, card_file
from segrank.encoders.reference import HF_INDEX, HF_WEIGHTS, SUFFIXES, hf_folder, weights_file, weights_names
from segrank.encoders.small import small_weights
from segrank.errors import EncoderError
from segrank.spec import parse_reference

Status = Literal["here", "none needed", "missing", "unknown"]


class Whereabouts(NamedTuple):
    """Of the weights that a spec's `encoder` and `weights` name."""

    encoder: str
    weights: str
    status: Status
    """`unknown`: without a card, timm alone knows whose weights they are, and it was not asked."""
    found: str
    """In words."""
    advice: str = ""
    """What to do where they are missing."""
    files: tuple[Path, ...] = ()
    """Those that are here."""
    on_hub: HubFile | None = None
    """Of missing ones: the file with the weights, where the hub should have it."""


def whereabouts(encoder: str, weights: str = "pretrained", *, ask_timm: bool = False) -> Whereabouts:
    """Look for weights on this machine. Nothing is downloaded and nothing raised.

    Args:
        encoder: as in a spec; likewise `weights`.
        weights: `pretrained`, `random`, a file, or a folder of them.
        ask_timm: about models of timm that have no card.
    """
    try:
        return _look(encoder, weights, ask_timm)
    except EncoderError as error:
        return Whereabouts(encoder, weights, "missing", error.found, error.fix or error.wanted)


def _look(encoder: str, weights: str, ask_timm: bool) -> Whereabouts:
    scheme, name, options = parse_reference(encoder)
    if weights not in ("pretrained", "random"):
        return _here(encoder, weights, weights_file(weights, encoder))
    if weights == "random" or scheme in ("file", "python"):
        said = "random weights" if weights == "random" else "as its function returns it"
        return Whereabouts(encoder, weights, "none needed", said)
    if scheme == "hf":
        files = HfFiles(name, str(options.get("revision", "")), download=False)
        try:
            return _here(encoder, weights, *files.weights(), files.config())
        except EncoderError:
            if hf_folder(name):
                raise
            return _missing(encoder, weights, files.on_hub(HF_WEIGHTS, HF_INDEX))
    if own := small_weights(encoder):
        return _here(encoder, weights, own)
    if scheme != "timm":
        return Whereabouts(encoder, weights, "missing", "there are no pretrained weights", "use weights=random")
    card = card_of(f"timm:{name}")
    if card is None:
        return _without_card(encoder, weights, name, ask_timm)
    file = card_file(card)
    if file is None:
        advice = " ".join([f"{_by_name(encoder)}.", *card.notes[:1]])
        return Whereabouts(encoder, weights, "missing", "not on this machine, and not on the hub", advice)
    return _on_hub(encoder, weights, file)


def _without_card(encoder: str, weights: str, name: str, ask_timm: bool) -> Whereabouts:
    if not ask_timm:
        advice = f"`segrank encoders fetch --dry-run {shlex.quote(encoder)}`"
        return Whereabouts(encoder, weights, "unknown", "it has no card, so that timm has to be asked", advice)
    from segrank.encoders.timm_model import check_name, published

    check_name(name, {})
    return _on_hub(encoder, weights, published(name)[0])


def _here(encoder: str, weights: str, *files: Path) -> Whereabouts:
    return Whereabouts(encoder, weights, "here", str(files[0]), files=tuple(files))


def _on_hub(encoder: str, weights: str, file: HubFile) -> Whereabouts:
    found = cached(file)
    return _here(encoder, weights, found) if found else _missing(encoder, weights, file)


def _missing(encoder: str, weights: str, file: HubFile) -> Whereabouts:
    return Whereabouts(
        encoder,
        weights,
        "missing",
        f"not on this machine; on the hub as {file.repository}",
        f"`segrank encoders fetch {shlex.quote(encoder)}` where there is a network, or {_by_name(encoder)}",
        on_hub=file,
    )


def _by_name(encoder: str) -> str:
    first, *others = [f"{name}{SUFFIXES[0]}" for name in weights_names(encoder)]
    either = "".join(f"{other}, " for other in others)
    return (
        f"put their file as {first} (or {either}or with {', '.join(SUFFIXES[1:])}) into a folder for --weights FOLDER"
    )
