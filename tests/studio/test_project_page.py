"""Stories of the page of a project: progress, search, many files at once, the trash, a phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.serving import Server
from tests.studio.conftest import MEDIA
from tests.studio.studio_page import add_files, click, download, new_project, open_medium, open_photo, toast

expect = pytest.importorskip("playwright.sync_api", reason="the stories need playwright (group test)").expect
Page = pytest.importorskip("playwright.sync_api").Page


def photos(folder: Path, count: int) -> list[Path]:
    """Write small photos."""
    paths = []
    for number in range(count):
        paths.append(folder / f"photo {number}.jpg")
        Image.new("RGB", (64, 48), (40 * number % 256, 90, 160)).save(paths[-1])
    return paths


def shown(page: Page, *names: str) -> None:
    expect(page.locator(".card__name")).to_have_text(list(names))


def add_separately(page: Page, paths: list[Path]) -> None:
    add_files(page, *paths)
    page.get_by_role("button", name="Separate images").click()
    expect(page.locator(".card")).to_have_count(len(paths))


def test_a_photo_is_accepted_and_the_project_shows_it(page: Page, server: Server, tmp_path: Path) -> None:
    open_photo(page, server.address, "Accept", MEDIA / "cat.jpg")
    accept = page.get_by_role("button", name="Accept this photo")
    expect(accept).to_be_disabled()
    click(page, 0.5, 0.5)
    accept.click()
    expect(page.get_by_text("This photo is accepted")).to_be_visible()
    page.keyboard.press("a")
    expect(accept).to_be_enabled()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Reopen this photo")).to_be_visible()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").click()
    expect(page.locator(".card__state")).to_have_text("Accepted")
    expect(page.get_by_text("1 of 1 frame accepted · 1 object")).to_be_visible()
    page.get_by_role("button", name="Export all").click()
    page.get_by_role("switch", name="Only accepted masks").click()
    document = json.loads(download(page, tmp_path).read_text())
    assert [annotation["accepted"] for annotation in document["annotations"]] == [True]


def test_search_and_filters_survive_a_visit_to_a_file(page: Page, server: Server, tmp_path: Path) -> None:
    new_project(page, server.address, "Find")
    add_separately(page, photos(tmp_path, 3))
    page.get_by_role("searchbox").fill("PHOTO 1")
    shown(page, "photo 1.jpg")
    open_medium(page, "photo 1.jpg")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").click()
    shown(page, "photo 1.jpg")
    page.reload()
    shown(page, "photo 1.jpg")
    page.get_by_role("button", name="Accepted 0").click()
    expect(page.get_by_text("No file fits")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    shown(page, "photo 0.jpg", "photo 1.jpg", "photo 2.jpg")
    page.get_by_label("Order").select_option("Newest first")
    shown(page, "photo 2.jpg", "photo 1.jpg", "photo 0.jpg")


def test_many_files_go_to_the_trash_and_come_back(page: Page, server: Server, tmp_path: Path) -> None:
    new_project(page, server.address, "Trash")
    add_separately(page, photos(tmp_path, 4))
    page.get_by_label("Select photo 0.jpg").check()
    page.get_by_label("Select photo 2.jpg").click(modifiers=["Shift"])
    expect(page.locator(".bulk__count")).to_have_text("3 files selected")
    bar = page.get_by_role("region", name="Selected files")
    bar.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    shown(page, "photo 3.jpg")
    toast(page, "Moved to the trash: 3 files").get_by_role("button", name="Undo").click()
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_label("Select photo 1.jpg").check()
    page.get_by_role("button", name="Select all 4").click()
    page.get_by_role("button", name="Accept", exact=True).click()
    expect(toast(page, "Accepted nothing; 4 skipped: photo 0.jpg")).to_be_visible()
    page.get_by_role("button", name="More actions for photo 1.jpg").click()
    page.get_by_role("menuitem", name="Move to trash").click()
    page.get_by_role("button", name="Trash (1)").click()
    shown(page, "photo 1.jpg")
    page.get_by_label("Select photo 1.jpg").check()
    bar.get_by_role("button", name="Delete for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The trash is empty")).to_be_visible()
    page.get_by_role("button", name="Back to the files").click()
    shown(page, "photo 0.jpg", "photo 2.jpg", "photo 3.jpg")


CUT_OFF = """
() => [...document.querySelectorAll("button, a, input, select, h1, h2")]
  .filter((element) => {
    const { left, right, width } = element.getBoundingClientRect();
    return width > 1 && !element.closest(".toolbar") && (right > innerWidth + 1 || left < -1);
  })
  .map((element) => element.getAttribute("aria-label") ?? element.textContent)
"""


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_cut_off_on_a_phone_or_tablet(
    new_page: Callable[[], Page], server: Server, clip: list[Path], width: int
) -> None:
    page = new_page()
    page.set_viewport_size({"width": width, "height": 844})
    new_project(page, server.address, f"A project with rather a long title {width}")
    assert page.evaluate(CUT_OFF) == []
    add_files(page, *clip)
    page.get_by_role("button", name="One video").click()
    page.locator(".card__check").check(force=True)
    assert page.evaluate(CUT_OFF) == []
    page.locator(".card__link").click()
    expect(page.get_by_label("Objects", exact=True)).to_be_visible()
    click(page, 0.5, 0.5)
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_role("img", name="Preview")).to_be_visible()
    assert page.evaluate(CUT_OFF) == []


def test_a_photo_is_exported_as_jpeg_and_the_choice_is_remembered(page: Page, server: Server, tmp_path: Path) -> None:
    open_photo(page, server.address, "Picture", MEDIA / "cat.jpg")
    click(page, 0.5, 0.5)
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Export", exact=True).click()
    expect(dialog.get_by_role("button", name="Video", exact=True)).to_have_count(0)
    expect(dialog.get_by_role("button", name="Trail")).to_have_count(0)
    dialog.get_by_role("button", name="Blur", exact=True).first.click()
    dialog.get_by_label("File type").select_option("JPEG")
    with Image.open(download(page, tmp_path)) as image:
        assert image.format == "JPEG"
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Export", exact=True).click()
    expect(dialog.get_by_label("File type")).to_have_value("jpeg")
    page.get_by_role("radio", name="Masks and data").click()
    expect(dialog.get_by_text("Simplify polygons")).to_have_count(0)
    dialog.get_by_label("Masks as").select_option("Polygons")
    expect(dialog.get_by_text("Simplify polygons")).to_be_visible()
