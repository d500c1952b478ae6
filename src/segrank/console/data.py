"""How a dataset that was looked through, and images that were decoded, look on a terminal. No torch here."""

from __future__ import annotations

from rich.table import Table

from segrank.console.output import out
from segrank.data.dataset_report import DatasetReport
from segrank.data.keep_images import Kept
from segrank.progress import plain


def print_dataset_report(report: DatasetReport) -> None:
    """Counts per split, classes per split, then problems and notes."""
    console = out()
    splits = Table("split", title=plain(report.name), title_justify="left", box=None)
    for name in ("images", "looked at", "smallest", "median", "largest", "ignored %"):
        splits.add_column(name, justify="right")
    classes = Table("class: % of labelled pixels (images)", box=None)
    for split in report.splits:
        sizes = (f"{size[1]}x{size[0]}" for size in (split.smallest, split.median, split.largest))
        splits.add_row(
            plain(split.name),
            str(split.images),
            str(split.looked_at),
            *sizes,
            f"{100 * split.ignored_share:.2f}",
        )
        classes.add_column(plain(split.name), justify="right")
    for index, name in enumerate(report.classes):
        cells = []
        for split in report.splits:
            total = sum(split.class_pixels)
            share = f"{100 * split.class_pixels[index] / total:.2f}" if total else "none"
            cells.append(f"{share} ({split.class_images[index]})" if split.class_images else "none")
        classes.add_row(plain(name), *cells)
    console.print(splits)
    if any(split.looked_at for split in report.splits):
        console.print(classes)
    for kind, colour, lines in (("problem", "red", report.problems), ("note", "yellow", report.notes)):
        for line in lines:
            console.print(f"[{colour}]{kind}[/]: {plain(line)}")
    if report.ok:
        console.print("no problems found")


def print_kept(kept: Kept) -> None:
    """How many images were decoded, and where they are."""
    if kept.folder.is_dir():
        out().print(plain(f"{kept.made:,} of {kept.images:,} images decoded now; what is kept lies in {kept.folder}"))
    else:
        out().print(f"none of the {kept.images:,} images is a PNG file: there is nothing to keep")
