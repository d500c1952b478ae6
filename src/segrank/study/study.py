"""A study: encoders x settings x seeds, from a short file to the runs that it asks for. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from segrank.cards import CARDS, card_of
from segrank.errors import SpecError
from segrank.files import nearest, parse_yaml, read_yaml
from segrank.pretrain.spec import PretrainSpec, pretrainings_of
from segrank.spec import RunSpec, files_beside, spec_error
from segrank.study.settings import Setting, changes, is_setting, setting_named

STUDIES = Path(__file__).parent / "studies"
"""The studies that come with segrank, a file each."""

MAX_RUNS = 100_000
AFTER_PRETRAINING = "its pretraining is not done"
"""What cells wait for whose encoder comes from one."""


@dataclass(frozen=True)
class Cell:
    """One run of a study, and what it is there for."""

    encoder: str
    """As the study calls it: a card's name, or a reference."""
    setting: str
    spec: RunSpec
    waits_for: str = ""
    """What has to be done before it can be run; mostly nothing."""


@dataclass(frozen=True)
class Study:
    """What is to be run."""

    name: str
    about: str
    cells: tuple[Cell, ...]
    """In order: a setting's encoders before the next setting, a seed's settings before the next seed, so that what is
    there after a while is a whole ranking."""
    absent: tuple[tuple[str, str], ...] = ()
    """Encoder and setting of cells that stay empty, since there is no such variant of the encoder."""
    source: str = ""
    """Text of the file that says so."""
    pretrainings: tuple[PretrainSpec, ...] = ()
    """What is to be pretrained first. Cells whose encoder is called as theirs wait for it."""


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _seeds(value: object) -> object:
    """3 -> 0, 1, 2."""
    return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value


class _File(BaseModel):
    """A study's file, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$|^$")
    about: str = Field(default="", max_length=2000)
    set: dict[str, Any] = {}
    """Fields of every run."""
    pretrain: dict[str, Any] | None = None
    """Pretrainings that encoders of the study come from, as a file for `segrank pretrain` has them."""
    encoders: Annotated[list[str | dict[str, Any]], BeforeValidator(_names), Field(max_length=2000)] = []
    settings: Annotated[list[str | dict[str, dict[str, Any]]], BeforeValidator(_names)] = []
    factorial: list[str] = Field(default=[], max_length=10)
    """Settings of which every combination is run, none of them included."""
    seeds: Annotated[list[int], BeforeValidator(_seeds), Field(min_length=1, max_length=1000)] = [0]


def shipped_studies() -> list[str]:
    """The names of the studies that come with segrank."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def study_file(source: str | Path) -> Path:
    """The file of a study that comes with segrank, by its name, or the file that is named.

    Raises:
        SpecError: there is neither.
    """
    path = STUDIES / f"{source}.yaml"
    if "/" in str(source) or not path.is_file():
        path = Path(source)
        if not path.is_file():
            shipped = shipped_studies()
            raise SpecError(
                f"there is no study {str(source)[:200]}",
                wanted=f"a YAML file, or one of {', '.join(shipped)}",
                fix=nearest(str(source), shipped),
            )
    return path


def read_study(
    source: str | Path, overrides: Mapping[str, Any] | None = None, encoders: Sequence[str | Mapping[str, Any]] = ()
) -> Study:
    """A study by its name, or from a YAML file.

        encoders: [dinov2-base, mae-base, {encoder: "file:model.py:build", weights: mine.safetensors}]
        settings: [base, freeze, freeze+patch8, {gentle: {lr: 3e-5}}]
        seeds: 3
        set: {dataset: camvid.yaml, steps: 5000}

    Encoders are names of cards, references, or mappings of fields; `paper` stands for the ten that arXiv 2404.12172
    compares, in base. Settings are names of `SETTINGS`, several joined by `+`, or a name with fields of its own.
    `factorial: [freeze, patch8]` asks for every combination of these. `dataset`, `eval_dataset` and `weights` that are
    files beside the study are found there.

    `pretrain: {objectives: [...], seeds: 3, set: {...}}` has encoders pretrained first, as `segrank pretrain` does it;
    they come after the other encoders.

    Args:
        source: the name of a study that comes with segrank, or a file.
        overrides: fields of every run, instead of the file's; `pretrain.FIELD`: of every pretraining.
        encoders: to be run beside those of the file, as they would stand there.

    Raises:
        SpecError: what the study says cannot be run; the message names the cell.
    """
    path = study_file(source)
    content = read_yaml(path)
    if odd := [key for key in content if not isinstance(key, str)]:
        raise SpecError(f"{path} has the key {str(odd[0])[:80]}", wanted=", ".join(_File.model_fields))
    try:
        file = _File(**content)
        file = _File(**{**content, "encoders": [*file.encoders, *encoders]})
    except ValidationError as error:
        raise spec_error(error, str(path), tuple(_File.model_fields)) from None
    own, of_pretrainings = _told_apart(overrides or {}, file, path)
    pretrainings = pretrainings_of(file.pretrain, path, of_pretrainings) if file.pretrain is not None else []
    if not file.encoders and not pretrainings:
        raise SpecError(f"{path} names no encoders", fix="list some under `encoders`")
    if "seed" in own:
        file = file.model_copy(update={"seeds": [own["seed"]]})
    return _expand(file, path, {**file.set, **own}, tuple(pretrainings))


def _told_apart(overrides: Mapping[str, Any], file: _File, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the runs, and those of the pretrainings, without their prefix."""
    prefix = "pretrain."
    of_pretrainings = {name.removeprefix(prefix): value for name, value in overrides.items() if name.startswith(prefix)}
    if of_pretrainings and file.pretrain is None:
        raise SpecError(f"{path} pretrains nothing", fix=f"leave {prefix}{next(iter(of_pretrainings))} out")
    return {name: value for name, value in overrides.items() if not name.startswith(prefix)}, of_pretrainings


def parse_encoders(texts: Iterable[str]) -> list[str | dict[str, Any]]:
    """`["mae-base", "{encoder: timm:NAME, weights: mine.pt}"]`, as `encoders` of a study has them.

    Raises:
        SpecError: a text is neither.
    """
    found: list[str | dict[str, Any]] = []
    for text in texts:
        entry = parse_yaml(text, "the encoder")
        if not isinstance(entry, str | dict):
            raise SpecError(
                f'"{text[:120]}" is no encoder', wanted="a reference, or {encoder: REFERENCE, weights: FILE}"
            )
        found.append(entry)
    return found


def study_of(specs: Sequence[RunSpec], name: str = "specs") -> Study:
    """A study that is a list of specs. Its settings are called after the fields that differ within the list.

    Raises:
        SpecError: the list is empty, or holds too many.
    """
    if not 1 <= len(specs) <= MAX_RUNS:
        raise SpecError(f"a study of {len(specs)} runs", wanted=f"1 to {MAX_RUNS}")
    fields = [spec.model_dump(exclude={"encoder", "weights", "seed"}) for spec in specs]
    varied = [name for name in fields[0] if len({str(one[name]) for one in fields}) > 1]
    settings = [", ".join(f"{name}={one[name]}" for name in varied) or "base" for one in fields]
    cells = [Cell(_called(spec), setting, spec) for spec, setting in zip(specs, settings, strict=True)]
    return Study(name, "", tuple(cells))


def _called(spec: RunSpec) -> str:
    card = card_of(spec.encoder, spec.weights) if spec.weights in ("pretrained", "random") else None
    return card.name if card else spec.encoder


def _expand(file: _File, path: Path, common: dict[str, Any], pretrainings: tuple[PretrainSpec, ...]) -> Study:
    own = _own_settings(file)
    names = _setting_names(file)
    encoders = _encoders(file)
    for one in pretrainings:
        if one.encoder in encoders:
            raise SpecError(
                f'the encoder "{one.encoder[:120]}" stands twice', fix="give one of them a `name` of its own"
            )
        encoders[one.encoder] = {"encoder": one.architecture, "weights": f"{one.encoder}.safetensors"}
    waiting = {one.encoder: AFTER_PRETRAINING for one in pretrainings}
    asked = len(encoders) * len(names) * len(file.seeds)
    if asked > MAX_RUNS:
        raise SpecError(f"{path} asks for {asked} runs", wanted=f"at most {MAX_RUNS}")
    cells, absent = [], []
    for seed, name in itertools.product(file.seeds, names):
        setting = setting_named(name, own)
        for encoder, fields in encoders.items():
            try:
                own_fields = {**common, **fields, "seed": seed}
                spec = setting(RunSpec(**{**own_fields, **files_beside(own_fields, path.parent)}))
            except SpecError as error:
                raise SpecError(f"{path}, {encoder} under {name}: {error}") from error
            if spec is not None:
                cells.append(Cell(encoder, name, spec, waiting.get(encoder, "")))
            elif seed == file.seeds[0]:
                absent.append((encoder, name))
    source = path.read_text(encoding="utf-8")
    return Study(file.name or path.stem, file.about, tuple(cells), tuple(absent), source, pretrainings)


def _own_settings(file: _File) -> dict[str, Setting]:
    own = {}
    for entry in file.settings:
        if isinstance(entry, dict):
            for name, fields in entry.items():
                if is_setting(name) or "+" in name:
                    raise SpecError(
                        f'a setting of the study\'s own is called "{name[:80]}"',
                        wanted="a name that no other setting has, without +",
                    )
                if stray := {"encoder", "weights", "seed"} & fields.keys():
                    raise SpecError(
                        f'the setting "{name[:80]}" sets {", ".join(sorted(stray))}',
                        wanted="fields that are the same for every encoder",
                        fix="encoders and seeds have lists of their own in a study",
                    )
                own[name] = changes(**fields)
    return own


def _setting_names(file: _File) -> list[str]:
    names = [name for entry in file.settings for name in ([entry] if isinstance(entry, str) else entry)]
    if file.factorial:
        for chosen in itertools.product((False, True), repeat=len(file.factorial)):
            names.append("+".join(itertools.compress(file.factorial, chosen)) or "base")
    return list(dict.fromkeys(names)) or ["base"]


def _encoders(file: _File) -> dict[str, dict[str, Any]]:
    """What a study calls an encoder -> the fields that it stands for."""
    encoders: dict[str, dict[str, Any]] = {}
    for entry in file.encoders:
        if isinstance(entry, dict):
            fields = dict(entry)
            name = str(fields.pop("name", "") or fields.get("encoder", ""))
        elif entry == "paper":
            paper = [card for card in CARDS.values() if card.in_paper and card.size == "base"]
            encoders |= {card.name: {"encoder": card.reference} for card in paper}
            continue
        else:
            name, fields = entry, {"encoder": CARDS[entry].reference if entry in CARDS else entry}
        if name in encoders:
            raise _twice(name)
        encoders[name] = fields
    return encoders


def _twice(encoder: str) -> SpecError:
    return SpecError(f'the encoder "{encoder[:120]}" stands twice', fix="give one of them a `name` of its own")
