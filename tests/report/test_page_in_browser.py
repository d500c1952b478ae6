"""The page as its readers have it: opened from disk in a real Chromium. Skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hostile_study import ENCODERS, hostile_page, hostile_store, hostile_study

from segrank.files import parse_yaml
from segrank.ranking.words import headline
from segrank.report.answer import Answer
from segrank.report.page import Page
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Study
from segrank.report.write import write_page
from segrank.spec import RunSpec
from segrank.store import Store

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return hostile_store(tmp_path_factory.mktemp("hostile") / "store")


@pytest.fixture(scope="module")
def study(store: Store) -> Study:
    return hostile_study(store)


@pytest.fixture(scope="module")
def file(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(hostile_page(study), path)
    return path


class Opened:
    """A tab, and all that went wrong in it."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.wrong: list[str] = []
        self.page.on("console", lambda said: self.note(said.text))
        self.page.on("pageerror", lambda error: self.note(str(error)))
        self.page.on("dialog", lambda dialog: self.note(dialog.message))
        self.page.on("request", lambda asked: self.note(asked.url, not asked.url.startswith(("file:", "data:"))))
        self.page.goto(file.as_uri())

    def note(self, text: str, wrong: bool = True) -> None:
        if wrong:
            self.wrong.append(text)


@pytest.fixture
def tab(browser: Any, file: Path) -> Iterator[Any]:
    """A page in which nothing goes wrong until the test is over."""
    opened = Opened(browser, file)
    yield opened.page
    assert opened.wrong == []
    opened.context.close()


def column(tab: Any, table: str, at: int) -> list[str]:
    found: list[str] = tab.eval_on_selector_all(
        f"#{table} tbody tr", f"rows => rows.map(row => row.cells[{at}].textContent.trim())"
    )
    return found


def test_every_chart_is_drawn_in_both_themes_and_names_stay_text(tab: Any, study: Study) -> None:
    assert headline(study.base.board) in tab.inner_text("#answer")
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].length > 10"
        " && [...document.querySelectorAll('.chart')].every(one => one.querySelector('svg'))"
    )
    text = tab.inner_text("body")
    for encoder in ENCODERS:
        assert encoder in text
    assert tab.title() == "</title><script>alert(1)</script>"
    assert tab.eval_on_selector_all("script", "all => all.length") == 3  # data, library, ours
    assert tab.eval_on_selector_all("[src]", "all => all.length") == 0
    assert tab.eval_on_selector_all("[onerror]", "all => all.length") == 0
    assert tab.eval_on_selector_all("[href]", "all => all.every(one => one.getAttribute('href').startsWith('#'))")


def test_the_policy_lets_nothing_in_and_nothing_out(browser: Any, file: Path) -> None:
    opened = Opened(browser, file)
    run = (
        "() => { const one = document.createElement('script'); one.textContent = 'window.got = 1';"
        "document.body.append(one); return window.got; }"
    )
    assert opened.page.evaluate(run) is None
    made = "() => { const a = document.createElement('div'); a.innerHTML = '<img src=x onerror=\"window.got = 1\">'; }"
    opened.page.evaluate(made)
    asked = "() => fetch('http://127.0.0.1:9/').then(() => 'answered', error => error.name)"
    assert opened.page.evaluate(asked) == "TypeError"
    assert any("Content Security Policy" in text for text in opened.wrong)
    policy = opened.page.get_attribute("meta[http-equiv]", "content")
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert opened.page.evaluate("() => window.got") is None
    opened.context.close()


def test_tables_are_sorted_by_mouse_and_keyboard(tab: Any) -> None:
    def scores() -> list[float]:
        *found, last = column(tab, "ranking-0", 3)  # what has no score stands last, either way
        assert last == ""
        return [float(cell) for cell in found]

    best_first = scores()
    assert best_first == sorted(best_first, reverse=True)
    button = tab.locator("#ranking-0 thead button").nth(3)
    button.click()
    assert scores() == best_first[::-1]
    assert tab.get_attribute("#ranking-0 th:nth-child(4)", "aria-sort") == "ascending"
    button.focus()
    tab.keyboard.press("Enter")
    assert scores() == best_first
    assert tab.get_attribute("#ranking-0 th:nth-child(4)", "aria-sort") == "descending"


def test_settings_take_turns_and_are_all_printed(tab: Any, study: Study) -> None:
    assert tab.is_visible("#ranking-0")
    assert not tab.is_visible("#ranking-1")
    tab.locator("#ranking .choices select").select_option(label=study.parts[1].name)
    assert tab.is_visible("#ranking-1")
    assert not tab.is_visible("#ranking-0")
    tab.emulate_media(media="print")
    assert tab.is_visible("#ranking-0")
    assert tab.is_visible("#ranking-1")
    assert not tab.is_visible("nav")


def test_on_paper_nothing_is_cut_off_and_the_ground_is_light(browser: Any, file: Path) -> None:
    paper = {"width": 703, "height": 1000}  # A4 without its margins
    opened = Opened(browser, file, viewport=paper, color_scheme="dark")
    opened.page.emulate_media(media="print")
    opened.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= paper["width"]
    hidden = "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length"
    assert opened.page.eval_on_selector_all(".grid .scroll, pre", hidden) == 0
    assert opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened.page.wait_for_selector("#answer .chart.light svg")
    assert not opened.page.is_visible("#answer .chart.dark")
    assert opened.wrong == []
    opened.context.close()


def test_numbers_lead_to_their_runs_and_these_to_their_specs(tab: Any, study: Study) -> None:
    entry = study.base.board.boards[0].entries[0]
    tab.locator("#ranking-0 a[data-runs]").first.click()
    assert sorted(column(tab, "runs-table", 0)) == sorted(run.run for run in entry.runs)
    assert set(unquote(tab.url.partition("#runs=")[2]).split(",")) == {run.run for run in entry.runs}
    tab.locator("#runs-table tbody button").first.click()
    key = column(tab, "runs-table", 0)[0]
    spec = RunSpec(**parse_yaml(tab.locator(".panel pre").first.inner_text()))
    assert spec.replace(eval_dataset="", precision="auto") == study.records[key].spec
    tab.locator(".panel button").click()
    tab.locator("#runs .all").click()
    tab.locator("#runs input[type=search]").fill("failed rope")
    assert column(tab, "runs-table", 4) == ["failed"]
    assert "1 of 17 rows" in tab.inner_text("#runs .status")


def test_the_theme_follows_the_system_until_it_is_chosen(tab: Any) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(ground) == "rgb(255, 255, 255)"
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    assert tab.evaluate(ground) == "rgb(22, 25, 29)"
    tab.click("#theme")
    tab.emulate_media(color_scheme="light")
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(ground) == "rgb(255, 255, 255)"
    assert tab.get_attribute("#theme", "aria-label") == "Use the dark theme"
    assert tab.is_visible("#answer .chart.light")
    assert not tab.is_visible("#answer .chart.dark")


def test_the_keyboard_reaches_the_answer_first_and_everything_is_named(tab: Any) -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate("() => document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert tab.url.endswith("#answer")
    unnamed = (
        "() => [...document.querySelectorAll('button, select, input, a, [role=region], [role=img]')].filter(one =>"
        "!(one.getAttribute('aria-label') || one.textContent.trim() || one.closest('label')?.textContent.trim()))"
        ".map(one => one.outerHTML)"
    )
    assert tab.evaluate(unnamed) == []
    assert tab.eval_on_selector_all("table", "all => all.every(one => one.caption)")
    assert tab.eval_on_selector_all("h1", "all => all.length") == 1
    assert tab.eval_on_selector_all("[id]", "all => new Set(all.map(one => one.id)).size === all.length")


def test_on_a_phone_only_tables_and_charts_scroll_sideways(tab: Any) -> None:
    tab.set_viewport_size(PHONE)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    scrolls = "one => one.scrollWidth > one.clientWidth"
    assert tab.eval_on_selector("#ranking .grid .scroll", scrolls)
    assert tab.evaluate("() => parseFloat(getComputedStyle(document.body).fontSize)") >= 16


def test_classes_are_set_against_each_other(tab: Any, study: Study) -> None:
    boxes = tab.locator("#classes .widget select")
    first, second = study.base.board.boards[0].entries[:2]
    boxes.nth(1).select_option(label=second.encoder)
    boxes.nth(2).select_option(label=first.encoder)

    def mean(encoder: Any, name: str) -> float:
        found = [study.records[run.run].evaluations[-1] for run in encoder.runs]
        return sum(dict(zip(one.classes, one.scores.iou, strict=True))[name] or 0 for one in found) / len(found)

    names = column(tab, "classes-table", 0)
    for name, told in zip(names, column(tab, "classes-table", 3), strict=True):
        apart = float(told.replace("\N{MINUS SIGN}", "-"))
        assert apart == pytest.approx(100 * (mean(second, name) - mean(first, name)), abs=0.02)
    tab.locator("#classes .widget input[type=search]").fill(names[3])
    assert names[3] in column(tab, "classes-table", 0)
    assert len(column(tab, "classes-table", 0)) < len(names)


def test_images_are_drawn_and_looked_through_by_keyboard(tab: Any, study: Study) -> None:
    tiles = tab.locator("#images .tiles")
    tab.wait_for_function("() => document.querySelectorAll('#images canvas').length > 0")
    assert tab.locator("#images canvas").count() == 2 + len(ENCODERS)
    said = tab.inner_text("#images .tools [role=status]")
    assert said.startswith("1 of 3: ")
    tiles.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("() => document.querySelector('#images [role=status]').textContent.startsWith('2 of 3')")
    colours = (
        "() => { const c = document.querySelectorAll('#images canvas')[2]; const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set();"
        "for (let i = 0; i < d.length; i += 4) s.add((d[i] << 16) + (d[i + 1] << 8) + d[i + 2]); return s.size; }"
    )
    assert 2 < tab.evaluate(colours) <= 16  # one for each class, and nothing between them
    tab.locator("#images select").nth(1).select_option("errors")
    tab.wait_for_function(f"() => ({colours})() > 16")


def test_without_scripts_the_answer_and_the_ranking_are_there(browser: Any, file: Path, study: Study) -> None:
    opened = Opened(browser, file, java_script_enabled=False)
    assert headline(study.base.board) in opened.page.inner_text("#answer")
    assert opened.page.is_visible("#ranking-0")
    assert opened.page.is_visible("#ranking-1")
    opened.context.close()


def test_a_large_study_is_made_a_screen_after_another(browser: Any, tmp_path: Path) -> None:
    rows = [[f"{at:016x}", f"encoder {at % 50}", str(at), f"{(at * 7919) % 10_000 / 100:.2f}"] for at in range(3_000)]
    table = Table("many", Sheet("Many", ("run", "encoder", "seed", "mIoU"), rows, frozenset({"run", "encoder"})))
    file = tmp_path / "large.html"
    write_page(Page("Large", "", Answer("", (), (), ()), [Section("runs", "Runs", "", tables=[table])], ""), file)
    opened = Opened(browser, file)
    count = "() => document.querySelectorAll('#many tbody tr').length"
    assert opened.page.evaluate(count) == 60
    opened.page.evaluate("() => { const s = document.querySelector('.grid .scroll'); s.scrollTop = s.scrollHeight; }")
    opened.page.wait_for_function("() => document.querySelectorAll('#many tbody tr').length === 120")
    opened.page.locator("#many thead button").nth(3).click()
    assert [float(cell) for cell in column(opened.page, "many", 3)] == sorted(float(row[3]) for row in rows)[:60]
    assert opened.wrong == []
    opened.context.close()
