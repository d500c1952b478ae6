"""Where pretrainings lie: STORE/pretraining/<key>/, laid out, claimed and published as runs are. No torch.

STORE/pretraining/<key>/ spec.json  record.json  log.jsonl  weights.safetensors  weights.card.json
                         claim  attempts/<token>/
"""

from __future__ import annotations

from pathlib import Path

from segrank.errors import StoreError
from segrank.pretrain.record import PretrainRecord
from segrank.record import load
from segrank.store import Store

PRETRAINING = "pretraining"
"""Folder of a store."""


class PretrainStore(Store):
    """The part of a results folder that holds pretrainings."""

    def run_folder(self, key: str) -> Path:
        return self.folder / PRETRAINING / key

    def published(self, key: str) -> PretrainRecord | None:  # type: ignore[override]
        """The record of a finished pretraining, or none.

        Raises:
            StoreError: it is damaged, or of a newer segrank.
        """
        path = self.run_folder(key) / "record.json"
        try:
            return load(PretrainRecord, path.read_text(encoding="utf-8", errors="replace"), str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}", fix="mend its permissions or its disk") from error
