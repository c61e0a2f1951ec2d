"""Steps of a user in the studio, in the words of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect


def new_project(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="New project").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("button", name="Add files")).to_be_visible()


def add_files(page: Page, *paths: Path) -> None:
    page.get_by_test_id("files").set_input_files([str(path) for path in paths])


def open_medium(page: Page, name: str) -> None:
    page.locator(".card__link", has_text=name).click()
    expect(page.locator(".canvas")).to_be_visible()
    expect(page.get_by_label("Objects", exact=True)).to_be_visible()


def open_photo(page: Page, address: str, project: str, photo: Path) -> None:
    """Upload a photo into a new project and open it."""
    new_project(page, address, project)
    add_files(page, photo)
    open_medium(page, photo.name)


def medium_id(page: Page) -> str:
    """Return the id of the open medium, from the page's address."""
    return page.url.rsplit("/", 1)[1].split("?")[0]


def from_server(page: Page, path: str) -> Any:
    """Ask the server about the open medium."""
    return page.evaluate("async (url) => (await fetch(url)).json()", f"/api/v1/media/{medium_id(page)}/{path}")


def in_page(page: Page) -> None:
    """Switch to local mode, and wait until the page has encoded the picture."""
    page.get_by_role("radio", name="In this browser").click()
    expect(page.locator(".decoder-state[data-local=ready]")).to_be_visible()


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return the screen coordinates of a place in the picture, which is given as fractions of its size."""
    overlay = page.locator("[data-view]")
    canvas = overlay.bounding_box()
    assert canvas is not None
    width, height = (int(page.locator(".canvas").get_attribute(f"data-{side}") or 0) for side in ("width", "height"))
    scale, left, top = map(float, str(overlay.get_attribute("data-view")).split())
    return canvas["x"] + left + x * width * scale, canvas["y"] + top + y * height * scale


IS_PAINTED = """
([x, y, isPainted]) => {
  const overlay = document.querySelector("[data-view]");
  const { left, top } = overlay.getBoundingClientRect();
  const { data } = overlay.getContext("2d").getImageData(x - left, y - top, 1, 1);
  return data[3] > 0 === isPainted;
}
"""


def painted(page: Page, x: float, y: float, is_painted: bool = True) -> None:
    """Wait until a mask is drawn over this place of the picture, or none."""
    page.wait_for_function(IS_PAINTED, arg=[*place(page, x, y), is_painted])


def click(page: Page, x: float, y: float, *, button: str = "left") -> None:
    """Click on the picture and wait until what it changes is saved."""
    page.mouse.click(*place(page, x, y), button="right" if button == "right" else "left")
    saved(page)


def saved(page: Page) -> None:
    page.wait_for_timeout(50)
    expect(page.locator(".save-state")).to_have_text("Saved")


def objects(page: Page) -> Locator:
    return page.locator("[data-testid^=object-]")


def toast(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.locator(".toast", has_text=text)


def download(page: Page, folder: Path) -> Path:
    """Press Export in the open dialog and save the file."""
    with page.expect_download() as coming:
        page.get_by_role("dialog").get_by_role("button", name="Export", exact=True).click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path
