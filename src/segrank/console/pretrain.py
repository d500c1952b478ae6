"""Pretrainings, printed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segrank.attempt import WEIGHTS
from segrank.console.output import out
from segrank.console.tables import print_table
from segrank.files import canonical_json
from segrank.pretrain.collapse import warning
from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.store import PretrainStore
from segrank.progress import plain


def print_pretrainings(records: Iterable[PretrainRecord], store: Path) -> None:
    """A table, what to be warned of, and the lines by which a study names these encoders."""
    records = list(records)
    rows = []
    for record in records:
        last = record.health[-1] if record.health else None
        rows.append([
            record.spec.encoder,
            f"{record.parameters / 1e6:.2f}",
            f"{record.card['images_seen_m']:.3g}",
            f"{record.train_s:.0f}",
            f"{last.rank:.1f}" if last else "",
            f"{last.spread:.3f}" if last else "",
            record.key,
        ])  # fmt: skip
    print_table(
        ["encoder", "parameters, M", "images seen, M", "training, s", "rank", "spread", "key"],
        rows,
        text=("encoder", "key"),
    )
    for record in records:
        if record.health and (said := warning(record.health[-1], record.spec)):
            out().print(plain(f"{record.spec.encoder}: {said}"))
    out().print("\nfor a study's file:\n\nencoders:")
    for record in records:
        entry = {
            "name": record.spec.encoder,
            "encoder": record.spec.architecture,
            "weights": str(PretrainStore(store).run_folder(record.key) / WEIGHTS),
        }
        out().print(plain(f"  - {canonical_json(entry)}"))
