"""Where pretrainings lie: STORE/pretraining/<key>/, laid out, claimed and published as runs are. No torch.

STORE/pretraining/<key>/ spec.json  record.json  log.jsonl  weights.safetensors  weights.card.json
                         claim  attempts/<token>/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segrank.errors import StoreError
from segrank.pretrain.record import RECORD_SCHEMA, PretrainRecord
from segrank.store import Store


class PretrainStore(Store):
    """The part of a results folder that holds pretrainings."""

    def run_folder(self, key: str) -> Path:
        return self.folder / "pretraining" / key

    def published(self, key: str) -> Any:
        """The record of a finished pretraining, or none.

        Raises:
            StoreError: it is damaged, or of a newer segrank.
        """
        path = self.run_folder(key) / "record.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
            if content.get("record_schema", 0) > RECORD_SCHEMA:
                raise StoreError(f"{path} has schema {content['record_schema']}", fix="use a newer segrank")
            return PretrainRecord.model_validate(content)
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError, TypeError, RecursionError, ValidationError) as error:
            reason = " ".join(str(error).split())[:300]
            raise StoreError(f"{path} is damaged: {reason}", fix="restore it, or move its folder away") from None
