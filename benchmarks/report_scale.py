"""What the report of a large study takes, and how fast its page answers in a browser.

    python benchmarks/large_study.py FOLDER
    python benchmarks/report_scale.py FOLDER

`segrank report` as a user runs it: seconds, those of the processor, peak memory, size of the page. Then the page in a
headless Chromium, which playwright drives: until it is loaded, until all charts are drawn, and each act until it is on
the screen, the slowest of three.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CLASSES, RUNS = "#classes .widget", "#runs"
ACTS = {
    "sort classes": f"document.querySelectorAll('{CLASSES} thead button')[3].click()",
    "filter classes": f"type('{CLASSES} input[type=search]')",
    "all encoders beside each other, or two": f"document.querySelector('{CLASSES} input[type=checkbox]').click()",
    "sort classes with the encoders then shown": f"document.querySelectorAll('{CLASSES} thead button')[3].click()",
    "another setting": f"choose('{CLASSES} select')",
    "sort runs": f"document.querySelectorAll('{RUNS} thead button')[3].click()",
    "filter runs": f"type('{RUNS} input[type=search]')",
    "the other theme": "document.getElementById('theme').click()",
    "scroll": "scrollBy(0, 3000)",
}
HELPERS = """
window.type = (where) => {
  const box = document.querySelector(where);
  box.value = box.value ? "" : "base 1";
  box.dispatchEvent(new Event("input"));
};
window.choose = (where) => {
  const box = document.querySelector(where);
  box.selectedIndex = (box.selectedIndex + 1) % box.options.length;
  box.dispatchEvent(new Event("change"));
};
"""


def main(store: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / "report.html"
        began = time.monotonic()
        command = [sys.executable, "-m", "segrank", "report", str(store), "--out", str(page)]
        subprocess.run(command, check=True, capture_output=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"made in {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of the processor, "
            f"{used.ru_maxrss / 2**20:.2f} GiB; {page.stat().st_size / 1e6:.1f} MB",
            flush=True,
        )
        look_at(page)


def look_at(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
        tab.add_init_script(HELPERS)
        began = time.monotonic()
        tab.goto(page.as_uri())
        print(f"loaded after {time.monotonic() - began:.1f} s", flush=True)
        every = "() => [...document.querySelectorAll('.chart')].every(one => one.querySelector('svg'))"
        tab.wait_for_function(every, timeout=300_000)
        print(f"all charts are drawn after {time.monotonic() - began:.1f} s")
        for name, act in ACTS.items():
            shown = "await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))"
            timed = f"async () => {{ const t = performance.now(); {act}; {shown}; return performance.now() - t; }}"
            print(f"{name}: {max(tab.evaluate(timed) for _ in range(3)):.0f} ms")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
