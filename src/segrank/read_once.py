"""A store of which each record is read once: for whoever asks it several questions, and soon ends. No torch here."""

from __future__ import annotations

from segrank.record import Record
from segrank.store import Store


class ReadOnce(Store):
    """The store as it was when each record was first asked for. What cannot be read is tried again."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.folder)
        self._records: dict[str, Record | None] = {}

    def record(self, key: str) -> Record | None:
        if key not in self._records:
            self._records[key] = super().record(key)
        return self._records[key]
