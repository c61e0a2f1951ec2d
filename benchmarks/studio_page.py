"""How long a person waits in the studio's page: from a click until its mask is painted, in a real browser.

    python -m benchmarks.studio_page                    a photo and a clip, headless Chromium

Clicks are at random places. "Drawn" is when the page has given the mask to the canvas, "painted" the frame of the
screen after it. "At rest" the pointer lay there before, as a mouse does; "at once" it came with the click, as a finger
does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.serving import Server
from tests.studio.studio_page import add_files, new_project, open_medium, place, saved

MEDIA = Path(__file__).parents[1] / "examples" / "media"

WATCH = """
const fill = CanvasRenderingContext2D.prototype.fill;
const marks = { clicked: 0, drawn: 0, painted: 0, answered: 0 };
window.marks = marks;
window.addEventListener("pointerup", () => Object.assign(marks, {
  clicked: performance.now(), drawn: 0, painted: 0, answered: 0,
}), true);
CanvasRenderingContext2D.prototype.fill = function (...given) {
  // The selected object's mask; the preview under the pointer and the others are fainter.
  if (marks.clicked && !marks.drawn && Math.abs(this.globalAlpha - 0.42) < 0.001) {
    marks.drawn = performance.now();
    requestAnimationFrame(() => { marks.painted = performance.now(); });
  }
  return fill.apply(this, given);
};
const ask = window.fetch;
window.fetch = async (...given) => {
  const answer = await ask(...given);
  if (String(given[0]).endsWith("/prompt")) marks.answered = performance.now();
  return answer;
};
"""


DONE = """
async () => {
  while (!marks.painted || !marks.answered) await new Promise((go) => setTimeout(go, 5));
  return marks;
}
"""


def click(page: Page, dice: random.Random, *, rests: bool) -> dict[str, float]:
    """One click for a new object; milliseconds since the button went up."""
    page.keyboard.press("n")
    at = place(page, dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.9))
    if rests:
        page.mouse.move(*at)
        page.wait_for_timeout(250)
        page.mouse.down()
        page.mouse.up()
    else:
        page.mouse.move(0, 0)
        page.wait_for_timeout(250)
        page.mouse.click(*at)
    marks: dict[str, float] = page.evaluate(DONE)
    saved(page)
    clicked = marks.pop("clicked")
    return {name: when - clicked for name, when in marks.items()}


def measure(page: Page, clicks: int) -> dict[str, Any]:
    dice = random.Random(0)
    found: dict[str, Any] = {}
    for how in ("at rest", "at once"):
        each = [click(page, dice, rests=how == "at rest") for _ in range(clicks)]
        for what in ("drawn", "painted", "answered"):
            times = sorted(one[what] for one in each)
            found[f"{what}, {how}"] = {"median": round(statistics.median(times)), "max": round(times[-1])}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=12, help="of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        server = Server(Path(data))
        server.start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.add_init_script(WATCH)
            results: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
            new_project(page, server.address, "Waiting")
            add_files(page, MEDIA / "astronaut.jpg", MEDIA / "bunny.mp4")
            expect(page.locator(".card__link")).to_have_count(2, timeout=60_000)
            project = page.url
            for name, mode in (("astronaut.jpg", "Server"), ("astronaut.jpg", "This page"), ("bunny.mp4", "Server")):
                page.goto(project)
                open_medium(page, name)
                page.get_by_role("radio", name=mode).click()
                began = time.perf_counter()
                expect(page.locator(".decoder-state[data-state=ready]")).to_be_visible(timeout=60_000)
                results[f"{name}, {mode}"] = {"ready_s": round(time.perf_counter() - began, 2)} | measure(
                    page, options.clicks
                )
                results["backend"] = page.locator(".decoder-state").inner_text()
        finally:
            browser.close()
            server.stop()
    for title, about in results.items():
        if not isinstance(about, dict):
            continue
        print(title)
        for what, times in about.items():
            print(f"  {what:22}{times}")
    print(json.dumps({"benchmark": "studio_page"} | results))


if __name__ == "__main__":
    main()
