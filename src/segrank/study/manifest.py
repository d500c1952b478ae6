"""STORE/studies/NAME.json: which runs a study is, for anybody who looks at the store later. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segrank.errors import SegrankError, StoreError
from segrank.files import nearest, write_whole
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.pretrainings import PretrainingUnit
from segrank.study.state import TRIES, State, read_state
from segrank.study.study import Study
from segrank.study.unit import Missing, Unit, Units

SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Manifest:
    """A study as it was begun in a store."""

    name: str
    about: str
    source: str
    """Text of the file that asked for it; empty for a list of specs."""
    units: tuple[Unit, ...]
    missing: tuple[Missing, ...]
    tries: int = TRIES
    """Failures after which it quarantines a run."""
    pretrainings: tuple[PretrainingUnit, ...] = ()
    """What comes first."""

    def states(self, store: Store) -> list[State]:
        """How its runs stand now."""
        return [read_state(store.run_folder(unit.key), unit.evaluations, tries=self.tries) for unit in self.units]

    def pretraining_states(self, store: Store) -> list[State]:
        """How its pretrainings stand now."""
        folder = PretrainStore(store.folder).run_folder
        return [read_state(folder(unit.key), (), tries=self.tries) for unit in self.pretrainings]


def write_manifest(
    store: Store, study: Study, found: Units, tries: int, pretrainings: Sequence[PretrainingUnit] = ()
) -> None:
    """Say in the store what the study is.

    Raises:
        StoreError: it cannot be written.
    """
    cells = [
        {
            "encoder": unit.encoder,
            "settings": unit.settings,
            "seed": unit.spec.seed,
            "key": unit.key,
            "evaluations": unit.evaluations,
            "spec": unit.spec.model_dump(mode="json", exclude_defaults=True),
        }
        for unit in found.units
    ]
    missing = [
        {
            "encoder": one.encoder,
            "setting": one.setting,
            "reason": one.reason,
            "spec": one.spec.model_dump(mode="json", exclude_defaults=True),
        }
        for one in found.missing
    ]
    content = {
        "schema": SCHEMA,
        "name": study.name,
        "about": study.about,
        "source": study.source,
        "tries": tries,
        "cells": cells,
        "missing": missing,
        "pretrainings": [
            {"key": one.key, "spec": one.spec.model_dump(mode="json", exclude_defaults=True)} for one in pretrainings
        ],
    }
    text = json.dumps(content) + "\n"
    path = store.folder / "studies" / f"{study.name}.json"
    try:
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be written: {error}", fix="choose another --store or free space") from error


def study_names(store: Store) -> list[str]:
    """Of those that were begun in a store."""
    return sorted(path.stem for path in (store.folder / "studies").glob("*.json") if _NAME.fullmatch(path.stem))


def read_manifest(store: Store, name: str) -> Manifest:
    """What a study of this store is.

    Raises:
        StoreError: there is none of that name, or what is there is damaged or of a newer segrank.
    """
    path = store.folder / "studies" / f"{name}.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        known = study_names(store)
        raise StoreError(
            f'no study "{name[:80]}" was begun in {store.folder}',
            wanted=f"one of {', '.join(known)}" if known else "a store in which `segrank study` was started",
            fix=nearest(name, known),
        )
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] > SCHEMA:
            raise StoreError(
                f"{path} has schema {content['schema']}", wanted=f"at most {SCHEMA}", fix="use a newer segrank"
            )
        return _manifest(content)
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SegrankError) as error:
        raise StoreError(
            f"{path} is damaged: {' '.join(str(error).split())[:300]}", fix="start the study again: it writes that file"
        ) from error


def _manifest(content: dict[str, Any]) -> Manifest:
    units = [
        Unit(
            str(cell["key"]),
            tuple(str(key) for key in cell["evaluations"]),
            str(cell["encoder"]),
            tuple(str(setting) for setting in cell["settings"]),
            RunSpec(**cell["spec"]),
        )
        for cell in content["cells"]
    ]
    pretrainings = [
        PretrainingUnit(str(one["key"]), spec.encoder, spec)
        for one in content.get("pretrainings", [])
        for spec in [PretrainSpec(**one["spec"])]
    ]
    keys = [key for unit in units for key in (unit.key, *unit.evaluations)] + [one.key for one in pretrainings]
    if strange := [key for key in keys if not re.fullmatch("[0-9a-f]{16}", key)]:
        raise ValueError(f"{strange[0][:80]} is no key")
    missing = [
        Missing(str(one["encoder"]), str(one["setting"]), RunSpec(**one["spec"]), str(one["reason"]))
        for one in content["missing"]
    ]
    return Manifest(
        str(content["name"]),
        str(content["about"]),
        str(content["source"]),
        tuple(units),
        tuple(missing),
        int(content["tries"]),
        tuple(pretrainings),
    )
