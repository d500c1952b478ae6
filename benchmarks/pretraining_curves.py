"""The losses of a store's pretrainings as a picture, and what each took as a table in Markdown.

    python benchmarks/pretraining_curves.py STORE [FILE]

One panel for each objective (losses of different objectives say nothing about each other), one line for each seed, each
point the mean of a fiftieth of the steps. FILE is docs/images/pretraining-loss.png unless it is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import altair
import polars

from segrank.attempt import LOG
from segrank.pretrain.store import PretrainStore

POINTS = 50


def main(folder: Path, file: Path) -> None:
    store = PretrainStore(folder)
    keys = [path.parent.name for path in folder.glob("pretraining/*/record.json")]
    records = sorted((record for key in keys if (record := store.published(key))), key=lambda one: one.spec.encoder)
    means: list[polars.DataFrame] = []
    print("| encoder | images seen | loss, first and last | effective rank | minutes |")
    print("|---|---|---|---|---|")
    for record in records:
        spec, seen = record.spec, float(str(record.card["images_seen_m"])) * 1e6
        if not record.health:  # nothing was learnt
            print(f"| {spec.encoder} | {seen:.0f} | | | |")
            continue
        found = f"{record.health[-1].rank:.1f} | {record.train_s / 60:.1f} |"
        log = polars.read_ndjson(store.run_folder(record.key) / LOG).filter(polars.col("loss").is_not_null())
        every = -(-spec.steps // POINTS)
        means_of = log.group_by((polars.col("step") - 1) // every * every + every / 2)
        mean = means_of.agg(polars.col("loss").mean()).sort("step")
        first, last = mean["loss"][0], mean["loss"][-1]
        print(f"| {spec.encoder} | {seen:.0f} | {first:.3f}, {last:.3f} | {found}")
        means.append(mean.with_columns(objective=polars.lit(spec.called), seed=polars.lit(str(spec.seed))))
    lines = (
        altair.Chart(polars.concat(means))
        .mark_line()
        .encode(altair.X("step:Q"), altair.Y("loss:Q").scale(zero=False), altair.Color("seed:N"))
        .properties(width=220, height=140)
    )
    panels = lines.facet("objective:N", columns=3).resolve_scale(y="independent")
    panels.save(file, scale_factor=1.5)
    print(f"{file}: {file.stat().st_size / 1e3:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0], given[1] if len(given) > 1 else Path("docs/images/pretraining-loss.png"))
