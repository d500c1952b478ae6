"""Are the weights really in the model?

An encoder is built twice, from two seeds. A parameter that comes out otherwise the second time was drawn at random: it
is in no file. Where the file is known, the model's tensors are looked up in it by content, not by name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.checks.gradients import named
from segrank.encoders.checks.report import Finding
from segrank.encoders.checks.subject import Subject, core_of
from segrank.encoders.encoder import Encoder
from segrank.encoders.hub import obtain
from segrank.encoders.reference import weights_file
from segrank.encoders.timm_model import published
from segrank.errors import EncoderError
from segrank.record import WeightsReport
from segrank.spec import parse_reference


def random_parameters(subject: Subject, encoder: Encoder) -> list[str]:
    """Names of the parameters that depend on the seed."""
    other = dict(subject.build(seed=subject.seed + 1)[0].backbone.named_parameters())
    return [
        name for name, p in encoder.backbone.named_parameters() if name in other and not torch.equal(p, other[name])
    ]


def check_keys(subject: Subject, encoder: Encoder, report: WeightsReport, random: list[str]) -> Finding:
    """Args: `random` as `random_parameters` gives them."""
    parameters = dict(encoder.backbone.named_parameters())
    measured: dict[str, float] = {"parameters": len(parameters), "random": len(random)}
    if subject.weights == "random":
        return _finding("skipped", "weights are random, as asked for", "", measured)
    constant = [n for n, p in parameters.items() if n not in random and bool((p == p.flatten()[0]).all())]
    loaded = len(parameters) - len(random) - len(constant)
    measured |= {"constant": len(constant)}
    if random and not loaded:
        said = f"nothing is loaded: all {len(random)} parameters that are not constant differ with another seed"
        if report.source == "as built":
            return _finding(
                "unsure", said, "if it should be pretrained, load its weights, or give --weights FILE", measured
            )
        return _finding("wrong", said, "the file's weights do not reach the model", measured)
    if random or report.missing:
        return _finding(
            "wrong",
            f"{len(random)} of {len(parameters)} parameters come out otherwise from another seed: they are in no file, "
            f"such as {named(random or list(report.missing))}",
            "the file lacks them or calls them otherwise: load with strict=True, and rename what it then complains of",
            measured,
        )
    file = _file(subject)
    if file is None:
        said = (
            f"{len(parameters)} parameters, none of them random; {report.source}, so that there is no file to compare"
        )
        if weights := [name for name in constant if name.endswith("weight")]:
            return _finding(
                "unsure",
                f"{said}, and {len(weights)} weights hold one value throughout, as fresh ones do: {named(weights)}",
                "give the file with --weights FILE to compare",
                measured,
            )
        return _finding("ok", said, "", measured)
    return _against(file, encoder, report, measured)


def _against(file: Path, encoder: Encoder, report: WeightsReport, measured: dict[str, float]) -> Finding:
    tensors, _ = read_weights(file)
    held = {_content(value) for value in tensors.values()}
    own = core_of(encoder).state_dict()
    found = [name for name, value in own.items() if _content(value) in held]
    changed = [name for name in own if name not in set(found) and name not in report.resampled]
    measured |= {"tensors": len(own), "in_file": len(found), "changed": len(changed)}
    evidence = f"{len(found)} of {len(own)} tensors stand in {file.name} value for value"
    if report.resampled:
        evidence += f", {len(report.resampled)} are resampled ({named(list(report.resampled))})"
    if report.unexpected:
        evidence += f"; {len(report.unexpected)} of the file's have no place: {named(list(report.unexpected))}"
    if changed:
        return _finding(
            "unsure" if found else "wrong",
            f"{evidence}; {len(changed)} neither: {named(changed)}",
            "a filter may have converted them (split, joined, turned); if there is none for this model, they are wrong",
            measured,
        )
    return _finding("ok", evidence, "", measured)


def _file(subject: Subject) -> Path | None:
    """The weights file, where it is known and at hand."""
    if subject.weights != "pretrained":
        return weights_file(subject.weights, subject.reference)
    scheme, name, _ = parse_reference(subject.reference)
    try:
        return obtain(published(name)[0]) if scheme == "timm" else None
    except EncoderError:
        return None


def _content(value: Tensor) -> bytes:
    flat = value.detach().cpu().float().contiguous().numpy()
    return hashlib.blake2b(flat.tobytes(), digest_size=16, salt=str(value.numel()).encode()[:16]).digest()


def _finding(status: str, evidence: str, advice: str, measured: dict[str, float]) -> Finding:
    return Finding(name="keys loaded", status=status, evidence=evidence, advice=advice, measured=measured)  # type: ignore[arg-type]
