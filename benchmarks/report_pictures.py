"""The pictures of docs/report.md and of the README, from the page of any store with several settings.

    python benchmarks/report_pictures.py STORE [ROOT [FOLDER]]

ROOT is where named datasets lie; generated scenes need none. Writes report.png (the first screen), report-dark.png
(settings, in the dark theme) and report-images.png (one image and the errors of each encoder) into docs/images, or
FOLDER. It needs playwright and a Chromium; say in the captions what the store is of.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH_PX = 1280
DRAWN = "theme => [...document.querySelectorAll(`.chart.${theme}`)].every(one => one.querySelector('svg'))"


def main(store: Path, root: Path | None, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        page = Path(temporary) / "report.html"
        command = [sys.executable, "-m", "segrank", "report", str(store), "--out", str(page), "--images", "6"]
        subprocess.run([*command, *(["--root", str(root)] if root else [])], check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        light, dark = (opened(browser, page, theme) for theme in ("light", "dark"))
        light.screenshot(path=folder / "report.png")
        dark.evaluate("() => document.getElementById('settings').scrollIntoView()")
        dark.screenshot(path=folder / "report-dark.png")
        light.locator("#images .tools select").nth(1).select_option("errors")
        light.locator("#images").screenshot(path=folder / "report-images.png")
        browser.close()
    for name in ("report.png", "report-dark.png", "report-images.png"):
        with Image.open(folder / name) as picture:  # as few colours as do: a third of the bytes
            few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(folder / name, optimize=True)
        print(f"{folder / name}: {(folder / name).stat().st_size / 1e3:.0f} kB")


def opened(browser: Any, file: Path, theme: str) -> Any:
    """A tab in which all charts of the theme are drawn."""
    context = browser.new_context(
        viewport={"width": WIDTH_PX, "height": 860}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(file.resolve().as_uri())
    page.wait_for_function(DRAWN, arg=theme, timeout=120_000)
    return page


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0], given[1] if len(given) > 1 else None, given[2] if len(given) > 2 else Path("docs/images"))
