"""Charts: that they are as wide as the paper, hold what they were given, and nothing that a name brought in."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from segrank.ranking.agree import agree
from segrank.ranking.along_the_way import AlongTheWay, Point
from segrank.ranking.class_differences import ClassDifference
from segrank.ranking.compare import Compared, Side
from segrank.ranking.effects import effects as effects_of
from segrank.ranking.leaderboard import Options
from segrank.ranking.learning_curves import SCHEMA as CURVES
from segrank.ranking.rank_results import rank_results
from segrank.ranking.recommend import recommend
from segrank.ranking.results_file import read_results_file
from segrank.report.figures.agreement import agreement
from segrank.report.figures.along import learning_curves, stability
from segrank.report.figures.bump import bump
from segrank.report.figures.classes import class_differences, class_iou
from segrank.report.figures.cost import cost
from segrank.report.figures.effects import effects as effects_figure
from segrank.report.figures.figure import DOUBLE, PAGE, SINGLE, Figure, Size
from segrank.report.figures.labels import labels, short
from segrank.report.figures.noise import noise
from segrank.report.figures.places import free_places
from segrank.report.figures.ranking import ranking
from segrank.report.figures.save import PPI, drawn
from segrank.report.figures.theme import THEMES, config

HOSTILE = ["=1+1", "<script>alert(1)</script>", "x" * 300, "x" * 300 + "y", "esc\x1b[31m", "a\nb", "__proto__", '"\\']
FAST = Options(resamples=200)
SETTINGS = ["base", "freeze", "</text><script>", "long " * 30]
Make = Callable[[Size], Figure | None]


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Make]:
    """Every figure, of hostile names."""
    random = np.random.default_rng(0)
    lines = [
        json.dumps(
            {
                "encoder": name, "setting": setting, "seed": seed, "train_hours": 1 + SETTINGS.index(setting),
                "miou": random.normal(0.3 + 0.02 * at, 0.02), "kind": "</svg><script>" if at % 2 else "other",
            }
        )
        for at, name in enumerate(HOSTILE)
        for setting, seed in itertools.product(SETTINGS, range(3))
        if (at, seed) != (2, 2)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    path.write_text("\n".join(lines))
    results = read_results_file(path)
    leaderboard = rank_results(results, where=["setting=base"], options=FAST)
    agreements = agree(results, options=FAST, draws=100)
    recommendation = recommend(results, target=["setting=base"], options=FAST, draws=100)
    effects = effects_of(results, where=["setting=base"], factors=["kind"], options=FAST)
    curves = pl.DataFrame(
        [(name, share, at + share, 1, 5) for at, name in enumerate(HOSTILE) for share in (0.25, 0.5, 1.0)],
        schema=CURVES,
        orient="row",
    )
    along = {name: AlongTheWay((Point(0.25, 0.1, 8, 5), Point(0.75, 0.9, 8, 5))) for name in SETTINGS}
    scores = pl.DataFrame(
        [(label, name, 0.1 * at) for label in ("sky", *HOSTILE) for at, name in enumerate(HOSTILE)],
        schema=["class", "encoder", "iou"],
        orient="row",
    )
    return {
        "ranking": lambda size: ranking(leaderboard, size=size),
        "bump": lambda size: bump(agreements.settings, size=size),
        "agreement": lambda size: agreement(agreements, size=size),
        "noise": lambda size: noise(agreements, size=size),
        "cost": lambda size: cost(recommendation, size=size),
        "effects": lambda size: effects_figure(effects, size=size),
        "learning curves": lambda size: learning_curves(curves, leaderboard.metric, size=size),
        "stability": lambda size: stability(along, size=size),
        "class IoU": lambda size: class_iou(scores, HOSTILE, size=size),
        "class differences": lambda size: class_differences(_compared(), size=size),
    }


def _compared() -> Compared:
    """Only what a figure looks at."""
    side = Side("<script>alert(2)</script>", 0.5, None, ())
    classes = tuple(
        ClassDifference(name, 0.5, 0.4, 0.1 - 0.02 * at, (-0.1, 0.2) if at else None, 0.1, 0.01 if at else None, 3)
        for at, name in enumerate(HOSTILE)
    )
    return Compared(
        name="", protocol={}, a=side, b=side, value=0.1, interval=None, better=None, p_value=None, paired_seeds=True,
        covers=(), not_covered="", seeds_known_from=0, images=3, classes=classes, deciding=None, needed=None, notes=(),
    )  # fmt: skip


NAMES = [
    "ranking", "bump", "agreement", "noise", "cost", "effects", "learning curves", "stability", "class IoU",
    "class differences",
]  # fmt: skip


def made(makers: dict[str, Make], name: str, size: Size = DOUBLE) -> Figure:
    figure = makers[name](size)
    assert figure is not None
    return figure


@pytest.mark.parametrize("size", [SINGLE, PAGE], ids=["single", "page"])
@pytest.mark.parametrize("name", NAMES)
def test_a_chart_fits_its_width_and_names_stay_text(makers: dict[str, Make], name: str, size: Size) -> None:
    svg = drawn(made(makers, name, size), "svg")
    root = ElementTree.fromstring(svg)
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    assert 0.4 * size.width_px < width <= size.width_px
    assert 0.05 * size.width_px < height < 1.5 * size.width_px
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "path", "line", "text", "tspan", "defs", "clipPath", "rect", "title"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
    text = "".join(root.itertext())
    assert "script>" in text
    assert "x" * 60 not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_brings_its_data_says_what_it_shows_and_has_the_theme_s_colours_only(
    makers: dict[str, Make], name: str
) -> None:
    figure = made(makers, name)
    chart = json.dumps(figure.chart.to_dict())
    assert '"url"' not in chart
    assert not re.search(r"#[0-9a-fA-F]{6}|\bwhite\b|\bblack\b", chart)
    assert figure.alternative.endswith(".")
    assert figure.alternative.isprintable()
    assert "x" * 301 not in figure.alternative
    assert figure.table.height
    assert [figure.spec(theme)["config"]["background"] for theme in THEMES] == ["#ffffff", "#16191d"]


def test_what_a_table_has_is_what_the_ranking_has(makers: dict[str, Make]) -> None:
    figure = made(makers, "ranking")
    assert figure.table["encoder"].to_list()[-1] == "x" * 300, "not ranked: two seeds of three"
    assert figure.table["rank"].to_list() == [*range(1, 8), None]
    drawn_rows = [row for data in figure.chart.to_dict()["datasets"].values() for row in data if "low" in row]
    assert {row["value"] for row in drawn_rows} == set(figure.table["score"])


def test_files_have_the_size_that_a_paper_asks_for(makers: dict[str, Make], tmp_path: Path) -> None:
    figure = made(makers, "ranking", SINGLE)
    path = tmp_path / "figure.png"
    path.write_bytes(drawn(figure, "png", "dark"))
    with Image.open(path) as image:
        assert image.width == pytest.approx(3.3 * PPI, rel=0.01)
        assert image.convert("RGB").getpixel((0, 0)) == (0x16, 0x19, 0x1D)
    pdf = drawn(figure, "pdf")
    box = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)", pdf)
    assert pdf.startswith(b"%PDF")
    assert box is not None
    assert float(box[1]) == pytest.approx(3.3 * 72, rel=0.01)


# ---------------------------------------------------------------- names


def test_names_are_cut_where_they_stay_different() -> None:
    assert short("abcdefghij", 5) == "ab…ij"
    assert short("a\n\tb\x1b", 5) == "a b"
    names = [f"vit_{size}_patch14_dinov2.lvd142m" for size in ("small", "base", "large")]
    cut = labels(names, 16)
    assert len(set(cut)) == 3
    assert all(len(name) <= 16 for name in cut)
    assert labels(["timm:a", "b"], 9) == ["a", "b"]
    assert labels(["x" * 30, "x" * 31], 9) == ["xx…xxx #1", "xx…xxx #2"]


def test_names_of_points_neither_meet_nor_leave_the_plot() -> None:
    size = Size(200, 10)
    crowd = [(195.0, 50.0), (190.0, 52.0), (5.0, 5.0), (194.0, 54.0)]
    found = free_places(crowd, ["name one", "name two", "long " * 50], (200, 100), size)
    assert found[0] is not None
    assert found[0].align == "right", "there is no room at the right"
    assert found[1] != found[0]
    assert found[2] is None
    (alone,) = free_places([(50.0, 50.0)], ["ab"], (200, 100), size)
    (beside,) = free_places([(50.0, 50.0)], ["ab"], (200, 100), size, lines=[(0, 50, 200, 50)])
    assert alone is not None
    assert beside is not None
    assert (alone.dy, abs(beside.dy) > 0.5) == (0, True)


# ---------------------------------------------------------------- colours

FloatArray = NDArray[np.float64]
SEEN: dict[str, Any] = {
    # Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009, 1291-1298: severity 1.0, of linear RGB
    "trichromat": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> FloatArray:
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: FloatArray) -> FloatArray:
    white = XYZ @ np.ones(3)
    x, y, z = np.cbrt(np.clip(XYZ @ np.clip(rgb, 0, 1) / white, 0.008856, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a: str, b: str) -> float:
    """WCAG 2."""
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("eye", SEEN)
def test_kinds_are_told_apart_by_any_common_colour_vision(theme: Any, eye: str) -> None:
    kinds = [lab(np.array(SEEN[eye]) @ linear(colour)) for colour in config(theme, 8)["range"]["category"]]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(kinds, 2)) > 15


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_text_stand_out_from_the_ground(theme: Any) -> None:
    found = config(theme, 8)
    ground, styles = found["background"], found["style"]
    assert min(contrast(colour, ground) for colour in found["range"]["category"]) >= 3
    assert contrast(styles["on-weak"]["color"], ground) >= 7
    assert contrast(styles["muted"]["color"], ground) >= 4.5
    low_to_high = found["range"]["diverging"]
    assert min(contrast(styles["on-strong"]["color"], end) for end in (low_to_high[0], low_to_high[-1])) >= 4.5
    assert contrast(styles["on-weak"]["color"], low_to_high[3]) >= 7
