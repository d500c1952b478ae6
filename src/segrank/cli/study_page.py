"""A study's page, with what only the other half knows: licences of datasets, and their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segrank.report.sections.changes import Before
    from segrank.report.study import Study


def print_page(
    study: Study,
    out: Path,
    *,
    title: str = "",
    images: int = 0,
    root: Path | None = None,
    before: Before | None = None,
) -> None:
    """Write it, and say where it is.

    Args:
        study: from `read_study`.
        out: the file.
        title: of the page.
        images: so many of the dataset's are put into it.
        root: where named datasets lie.
        before: what an earlier store or table held.
    """
    from segrank.cli.scored_split import scored_split
    from segrank.console.output import out as output
    from segrank.data.official import OFFICIAL
    from segrank.data.palette import class_colours
    from segrank.progress import plain
    from segrank.report.build import page_of
    from segrank.report.sections.images import Picture, ToShow
    from segrank.report.write import write_page

    def pictures(dataset: str, split: str, digest: str, places: Sequence[int]) -> Iterator[Picture]:
        samples = scored_split(dataset, split, digest, root)
        for place in places:
            sample = samples[place]
            yield Picture(sample.image, sample.labels)

    licences = {name: official.card.licence for name, official in OFFICIAL.items()}
    show = ToShow(images, pictures, class_colours(255)) if images else None
    size = write_page(page_of(study, title=title, licences=licences, show=show, before=before), out)
    output().print(plain(f"{out}: {size / 1e6:.1f} MB"))
