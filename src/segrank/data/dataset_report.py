"""What `check_dataset` found, as data and in words."""

from __future__ import annotations

from collections.abc import Sized

from pydantic import BaseModel, ConfigDict


class SplitReport(BaseModel):
    """What was found in one split. Sizes are (height, width), pixels."""

    model_config = ConfigDict(frozen=True)

    name: str
    images: int = 0
    """Complete pairs."""
    looked_at: int = 0
    """Of them, how many were read."""
    error: str = ""
    """Why the split could not be listed at all."""
    missing: tuple[str, ...] = ()
    """Images without a mask and masks without an image, in words."""
    left_out: tuple[str, ...] = ()
    """The same where the dataset is known to have a few: a run goes without them."""
    unreadable: tuple[str, ...] = ()
    """Messages; each names its file."""
    size_mismatches: tuple[str, ...] = ()
    """Images whose mask has another size, in words."""
    unknown_values: dict[str, int] = {}
    """Raw id or colour that the definition does not explain -> number of images that have it."""
    unknown_in: tuple[str, ...] = ()
    """Names of images with such values."""
    class_pixels: tuple[int, ...] = ()
    """Labelled pixels per class."""
    class_images: tuple[int, ...] = ()
    """Images per class in which it occurs."""
    ignored_pixels: int = 0
    smallest: tuple[int, int] = (0, 0)
    median: tuple[int, int] = (0, 0)
    largest: tuple[int, int] = (0, 0)
    """By area; `median` is the size of an image, not a mean."""
    single_valued: tuple[str, ...] = ()
    """Names of images whose mask file holds one value only: training leaves them out."""
    all_ignored: tuple[str, ...] = ()
    """Names of images without a labelled pixel."""

    @property
    def ignored_share(self) -> float:
        """Of the pixels looked at, 0..1."""
        total = self.ignored_pixels + sum(self.class_pixels)
        return self.ignored_pixels / total if total else 0.0


class DatasetReport(BaseModel):
    """What was found in a dataset."""

    model_config = ConfigDict(frozen=True)

    name: str
    classes: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    shared_images: tuple[tuple[str, ...], ...] = ()
    """Groups of `split/name` with the same pixels that reach over several splits."""
    problems: tuple[str, ...] = ()
    """What makes a run fail or its score wrong, in words."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and may be meant."""

    @property
    def ok(self) -> bool:
        return not self.problems


def problems_of(report: SplitReport) -> list[str]:
    """What makes a run on this split fail or its score wrong, one line each."""
    where = f'split "{report.name}"'
    if report.error:
        return [f"{where}: {report.error}"]
    lines = []
    if report.missing:
        lines.append(f"{where}: {some(report.missing, 'file is', 'files are')} missing: {report.missing[0]}")
    if report.unreadable:
        lines.append(f"{where}: {some(report.unreadable, 'pair', 'pairs')} cannot be read: {report.unreadable[0]}")
    if report.size_mismatches:
        lines.append(
            f"{where}: {some(report.size_mismatches, 'mask', 'masks')} of another size than the image: "
            f"{report.size_mismatches[0]}"
        )
    if report.unknown_values:
        values = ", ".join(list(report.unknown_values)[:8])
        lines.append(
            f"{where}: {some(report.unknown_in, 'mask has', 'masks have')} values that the definition "
            f"does not explain ({values}), first in {report.unknown_in[0]}"
        )
    if report.looked_at and not sum(report.class_pixels) and not lines:
        lines.append(f"{where}: no pixel is labelled")
    return lines


def notes_of(report: SplitReport, classes: tuple[str, ...]) -> list[str]:
    """What is worth knowing about this split, one line each."""
    lines = []
    where = f'split "{report.name}"'
    if report.left_out:
        count = some(report.left_out, "file without a partner is", "files without a partner are")
        lines.append(f"{where}: {count} left out, such as {report.left_out[0]}")
    if report.single_valued:
        lines.append(
            f"{where}: {some(report.single_valued, 'mask holds', 'masks hold')} one value only and "
            f"would be left out of training, such as {report.single_valued[0]}"
        )
    if report.all_ignored:
        lines.append(
            f"{where}: {some(report.all_ignored, 'image has', 'images have')} no labelled pixel, such as "
            f"{report.all_ignored[0]}"
        )
    absent = [name for name, count in zip(classes, report.class_images, strict=False) if not count]
    if absent:
        seen = "" if report.looked_at == report.images else f" in the {report.looked_at} images looked at"
        more = " and more" if len(absent) > 8 else ""
        lines.append(f"{where}: no pixel of {', '.join(absent[:8])}{more}{seen}")
    return lines


def some(items: Sized, one: str, several: str) -> str:
    """`1 mask has`, `2 masks have`."""
    return f"{len(items)} {one if len(items) == 1 else several}"
