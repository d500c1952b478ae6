"""Whether an encoder is wired rightly, with evidence: one that is a pixel off makes every later ranking worthless."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch

from segrank.assemble import resolve_device
from segrank.encoders.checks import contract, costs, gradients, keys, normalisation, norms, registration, resampling
from segrank.encoders.checks.publisher import publisher_of, stated_norm
from segrank.encoders.checks.report import TESTS, EncoderReport, Finding
from segrank.encoders.checks.resampling import Native
from segrank.encoders.checks.subject import Subject, pictures
from segrank.encoders.checks.trace import trace
from segrank.errors import EncoderError, SpecError
from segrank.files import nearest


def check_encoder(
    reference: str,
    *,
    weights: str = "pretrained",
    crop: tuple[int, int] = (512, 512),
    patch_size: int = 16,
    device: str = "auto",
    native: tuple[tuple[int, int], int] | None = None,
    tests: Collection[str] = TESTS,
    on_test: Callable[[str, int, int], None] | None = None,
) -> EncoderReport:
    """Build an encoder as a run does, and test it.

    Args:
        reference: as `build_encoder` takes it; likewise `weights`.
        crop: height and width of the study, pixels.
        patch_size: of the study, pixels.
        device: auto, cpu or cuda.
        native: ((height, width), patch size) that the model was trained at; by default as timm states it.
        tests: which, by name; all by default.
        on_test: called with (name, tests done, tests in all) before each, and once when all are done.

    Returns:
        what was found. An encoder that cannot be built is a finding too, `builds`, and then the only one.

    Raises:
        SpecError: no such device here, or no such test.
    """
    for name in tests:
        if name not in TESTS:
            raise SpecError(f'there is no test "{name[:60]}"', wanted=", ".join(TESTS), fix=nearest(name, TESTS))
    subject = Subject(reference, weights, crop, patch_size, torch.device(resolve_device(device)))
    findings = _findings(subject, native and Native(*native), tests, on_test or (lambda name, done, total: None))
    return EncoderReport(
        reference=reference,
        weights=weights,
        crop=crop,
        patch_size=patch_size,
        device=str(subject.device),
        findings=tuple(findings),
    )


def _findings(
    subject: Subject, native: Native | None, tests: Collection[str], tell: Callable[[str, int, int], None]
) -> list[Finding]:
    tell("builds", 0, len(TESTS))
    try:
        encoder, loaded = subject.build()
    except EncoderError as error:
        return [_refused("builds", error)]
    findings = [
        Finding(
            name="builds",
            status="ok",
            evidence=f"{type(encoder.backbone).__name__}, {encoder.dim} channels on a grid of "
            f"{encoder.grid[0]}x{encoder.grid[1]}; weights: {loaded.source}",
        )
    ]
    publisher = publisher_of(subject.reference, encoder)
    if native is None and publisher is not None and publisher.crop is not None:
        native = Native(publisher.crop, publisher.patch_size or subject.patch_size)
    random = [] if subject.weights == "random" else keys.random_parameters(subject, encoder)
    trained = subject.weights != "random" and not random
    picture = pictures(1, subject.crop, subject.device)

    pair = resampling.Pair(subject, encoder, native, trained=trained)
    asked: dict[str, Callable[[], Finding]] = {
        "keys loaded": lambda: keys.check_keys(subject, encoder, loaded, random),
        "shapes": lambda: contract.check_shapes(subject, encoder),
        "repeatable": lambda: contract.check_repeatable(subject, encoder),
        "training mode": lambda: contract.check_training_mode(subject, encoder),
        "batch": lambda: contract.check_batch(subject, encoder),
        "gradient": lambda: gradients.check_gradient(subject, encoder),
        "normalisation": lambda: normalisation.check_normalisation(encoder, publisher),
        "final norm": lambda: norms.check_final_norm(
            trace(encoder, picture), stated_norm(subject.reference, encoder, publisher)
        ),
        "prefix tokens": lambda: norms.check_prefix(trace(encoder, picture), encoder.backbone, encoder.grid),
        "registration": lambda: registration.check_registration(subject, encoder),
        "resampling": lambda: resampling.check_features(pair),
        "position table": lambda: resampling.check_tables(pair),
        "patch weights": lambda: resampling.check_patches(pair),
        "cost": lambda: costs.measure_cost(subject, encoder),
    }
    for number, (name, test) in enumerate(asked.items(), start=1):
        if name in tests:
            tell(name, number, len(TESTS))
            noisy = any(finding.name == "repeatable" and finding.status == "wrong" for finding in findings)
            findings.append(_unrepeatable(name) if noisy and name in _COMPARING else _answer(name, test))
    tell("done", len(TESTS), len(TESTS))
    return findings


_COMPARING = ("training mode", "batch", "final norm", "prefix tokens", "resampling")
"""Tests that compare one pass with another."""


def _answer(name: str, test: Callable[[], Finding]) -> Finding:
    try:
        return test()
    except EncoderError as error:  # of a build at another size, or of features that do not fit
        return _refused(name, error)
    except Exception as error:  # a user's own module may fail in any way at all
        reason = " ".join(str(error).split())[:300]
        return Finding(name=name, status="wrong", evidence=f"fails with {type(error).__name__}: {reason}")


def _refused(name: str, error: EncoderError) -> Finding:
    return Finding(name=name, status="wrong", evidence=error.found, advice=error.fix or error.wanted)


def _unrepeatable(name: str) -> Finding:
    why = "features come out otherwise in each pass, so that nothing can be compared: see repeatable"
    return Finding(name=name, status="skipped", evidence=why)
