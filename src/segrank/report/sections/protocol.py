"""Protocol, data, weights and versions: what it takes to run a study again. No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from segrank.files import canonical_json
from segrank.record import Record
from segrank.report.section import Code, Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Study
from segrank.spec import RunSpec, field_table

_VERSIONS = ("segrank", "git", "python", "torch", "timm", "platform", "device", "devices", "workers")
_CLASSES = {"classes": "classes of the dataset", "scored_classes": "classes that are scored"}
_ELSEWHERE = (*_CLASSES, "train_digest", "eval_digest")
"""Fields of a protocol that are too long for a table of fields."""
_OF_RUNS = ("encoder", "weights", "seed")
"""Fields of a spec that are no part of a protocol."""


def protocol(study: Study, licences: Mapping[str, str]) -> Section:
    """
    Args:
        study: from a store, or a table, of which less is known.
        licences: of datasets, by name.
    """
    tables = [Table(f"protocol-fields-{at}", sheet) for at, sheet in enumerate(_fields(study))]
    codes = []
    if study.results.store is not None:
        tables += [
            Table("protocol-encoders", _encoders(study), searched=len(study.base.board.boards[0].entries) > 20),
            Table("protocol-data", _data(study, licences)),
            Table("protocol-versions", _versions(study.records)),
        ]
        codes = [
            Code(f"{part.name or 'The study'}, as a file to run again", again(part.setting.block.rows, part.name))
            for part in study.parts
        ]
    return Section(
        "protocol",
        "Protocol",
        "Every field that decides what was trained and how it was scored. Runs are ranked together where all of them "
        "agree." + (" The files at the end repeat each setting: save one, and run it as a study." if codes else ""),
        tables=[table for table in tables if table.sheet.rows],
        codes=codes,
    )


def _fields(study: Study) -> list[Sheet]:
    """Those in which settings differ, a row for each setting, and those that all share."""
    meaning = {name: text.replace("`", "") for name, _, text in field_table()}
    protocols = [part.setting.block.protocol for part in study.parts]
    order = [name for name in study.results.protocol if name in protocols[0]]
    order += sorted(name for name in protocols[0] if name not in order)
    names = [name for name in order if name not in _ELSEWHERE]
    differing = [name for name in names if len({of[name] for of in protocols}) > 1]
    shared = [[name, protocols[0][name], meaning.get(name, "")] for name in names if name not in differing]
    for name, label in _CLASSES.items():
        if len(counts := {_count(of[name]) for of in protocols if name in of}) == 1:
            shared.append([label, str(counts.pop()), ""])
    headings = ["setting", *differing]
    values = [[of[name] for name in differing] for of in protocols]
    rows = [[part.name, *of] for part, of in zip(study.parts, values, strict=True) if differing]
    alike = ("field", "value", "meaning")
    return [
        Sheet("What settings differ in", headings, rows, frozenset(headings)),
        Sheet("What is the same in all" if rows else "Fields", alike, shared, frozenset(alike)),
    ]


def _count(classes: str) -> int:
    try:
        return len(json.loads(classes))
    except ValueError:
        return 0


def _encoders(study: Study) -> Sheet:
    rows = pl.concat([part.setting.block.rows for part in study.parts], how="diagonal_relaxed")
    cards = [name for name in ("card_licence", "card_paper", "card_saw") if name in rows.columns]
    found = []
    for row in rows.unique(["label", "encoder", "weights"], maintain_order=True).sort("label").iter_rows(named=True):
        record = study.records.get(row["run"])
        weights = record.provenance.weights if record else None
        found.append(
            [
                row["label"],
                row["encoder"],
                row["weights"],
                weights.source if weights else "",
                weights.sha256 if weights else "",
                "" if row["parameters_m"] is None else f"{row['parameters_m']:.4g}",
                *(row[name] or "" for name in cards),
            ]
        )
    names = {"card_licence": "licence of the weights", "card_paper": "arXiv", "card_saw": "pretraining saw images of"}
    text = ["encoder", "reference", "weights", "came from", "sha256", *(names[name] for name in cards)]
    return Sheet("Encoders", [*text[:5], "M param.", *text[5:]], found, frozenset(text))


def _data(study: Study, licences: Mapping[str, str]) -> Sheet:
    found: dict[tuple[str, ...], list[str]] = {}
    for part in study.parts:
        row = part.setting.block.rows.row(0, named=True)
        sides = (
            ("training", row["dataset"], row["train_split"], row["train_digest"], _trained(study, row["run"])),
            ("scoring", row["eval_dataset"], row["eval_split"], row["eval_digest"], f"{row['images']:,}"),
        )
        for use, dataset, split, digest, images in sides:
            licence = licences.get(dataset.partition("?")[0], "")
            found[use, dataset, split, digest] = [use, dataset, split, images, digest, licence]
    headings = ("use", "dataset", "split", "images", "digest", "licence")
    return Sheet("Data", headings, list(found.values()), frozenset({"use", "dataset", "split", "digest", "licence"}))


def _trained(study: Study, run: str) -> str:
    images = study.records[run].provenance.train_images if run in study.records else None
    return "" if images is None else f"{images:,}"


def _versions(records: Mapping[str, Record]) -> Sheet:
    rows = [
        [name, value, f"{count:,}"]
        for name in _VERSIONS
        for value, count in Counter(str(getattr(one.provenance, name)) for one in records.values()).most_common()
        if value
    ]
    return Sheet("Versions", ("what", "value", "runs"), rows, frozenset({"what", "value"}))


def again(rows: pl.DataFrame, name: str) -> str:
    """A study's file that asks for these runs: YAML, as `segrank.study.study.read_study` reads it.

    Args:
        rows: of one protocol, with the fields of its spec.
        name: of the setting.
    """
    return "\n".join(_lines(rows, name)) + "\n"


def _lines(rows: pl.DataFrame, name: str) -> Iterator[str]:
    defaults = RunSpec(encoder="small:any", dataset="any").model_dump()
    first = rows.row(0, named=True)
    if name:
        yield f"about: {canonical_json(name)}"
    yield "set:"
    for field in RunSpec.model_fields:
        value = first[field]
        if field == "eval_dataset" and value == first["dataset"]:
            continue
        if (field not in _OF_RUNS and value != defaults[field]) or field == "dataset":
            yield f"  {field}: {canonical_json(value)}"
    yield "encoders:"
    for label, encoder, weights in _distinct(rows, ("label", "encoder", "weights")):
        of = {"name": label, "encoder": encoder, **({} if weights == "pretrained" else {"weights": weights})}
        yield f"  - {canonical_json(of)}"
    yield f"seeds: {canonical_json(sorted({seed for (seed,) in _distinct(rows, ('seed',))}))}"


def _distinct(rows: pl.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return rows.select(columns).unique(maintain_order=True).sort(columns).rows()
