"""Charts as files, drawn by vl-convert: no browser, no network, and its own fonts. No torch."""

from __future__ import annotations

from typing import Literal

import vl_convert

from segrank.report.figures.figure import Figure
from segrank.report.figures.theme import Theme

PictureFormat = Literal["svg", "pdf", "png"]
PPI = 300
"""Of PNG: what journals ask of figures with text."""


def drawn(figure: Figure, form: PictureFormat, theme: Theme = "light") -> bytes:
    """The file's bytes."""
    spec = figure.spec(theme)
    if form == "pdf":
        return vl_convert.vegalite_to_pdf(spec, allowed_base_urls=[])
    if form == "png":
        return vl_convert.vegalite_to_png(spec, ppi=PPI, allowed_base_urls=[])
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()
