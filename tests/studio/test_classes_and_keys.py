"""Stories about classes, several objects, focus and shortcuts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.serving import Server

from .conftest import MEDIA
from .studio_page import (
    add_files,
    click,
    from_server,
    new_project,
    objects,
    open_medium,
    open_photo,
    saved,
    toast,
)


def class_names(page: Page) -> list[str]:
    return [info["class_name"] for info in from_server(page, "objects")["objects"]]


def test_classes_are_made_given_inherited_and_renamed(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Classes", MEDIA / "cat.jpg")
    for name in ("cat", "grass"):
        page.get_by_role("button", name="Add a class").click()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(page.get_by_test_id(f"class-{name}")).to_be_visible()
    click(page, 0.5, 0.5)
    page.keyboard.press("1")  # the hot key of the first class
    saved(page)
    page.keyboard.press("n")
    click(page, 0.05, 0.95)  # inherits it
    assert class_names(page) == ["cat", "cat"]

    # One click edits the class, and typing narrows the list.
    objects(page).nth(1).locator(".object__class").click()
    page.keyboard.type("GR")
    expect(page.get_by_role("option")).to_have_text(["grass2"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    saved(page)
    assert class_names(page) == ["cat", "grass"]
    objects(page).nth(1).locator(".object__class").click()
    page.keyboard.type("meadow")  # is not in the list yet
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("class-meadow")).to_be_visible()

    page.get_by_test_id("class-cat").get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.keyboard.type("tiger")
    page.keyboard.press("Enter")
    expect(objects(page).first).to_contain_text("tiger")
    saved(page)
    page.keyboard.press("Control+a")
    expect(page.get_by_role("toolbar", name="Selected objects")).to_contain_text("2 selected")
    page.keyboard.press("1")
    saved(page)
    assert class_names(page) == ["tiger", "tiger"]
    page.keyboard.press("Control+z")  # both in one step
    expect(toast(page, "Undone: Class of 2 objects")).to_be_visible()
    assert class_names(page) == ["tiger", "meadow"]


def test_several_objects_are_hidden_accepted_and_deleted_in_one_step(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Several", MEDIA / "cat.jpg")
    for x, y in ((0.5, 0.5), (0.05, 0.95), (0.95, 0.05)):
        page.keyboard.press("n")
        click(page, x, y)
    expect(objects(page)).to_have_count(3)
    objects(page).nth(0).locator(".object__swatch").click()
    objects(page).nth(2).locator(".object__swatch").click(modifiers=["Shift"])
    objects(page).nth(1).locator(".object__swatch").click(modifiers=["ControlOrMeta"])
    bar = page.get_by_role("toolbar", name="Selected objects")
    expect(bar).to_contain_text("2 selected")
    bar.get_by_role("button", name="Hide").click()
    expect(page.locator(".object--hidden")).to_have_count(2)
    bar.get_by_role("button", name="Accept their masks").click()
    expect(toast(page, "Accepted 2 masks")).to_be_visible()
    bar.get_by_role("button", name="Delete 2 objects").click()
    expect(toast(page, "Deleted 2 objects")).to_be_visible()
    expect(objects(page)).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(objects(page)).to_have_count(3)


STATE = """
() => JSON.stringify([
  document.querySelector(".toolbar__tool[aria-pressed=true]")?.getAttribute("aria-label"),
  document.querySelectorAll("dialog").length,
  document.querySelector(".save-state").textContent,
  document.querySelector(".object--draft") !== null,
  document.querySelector("[aria-label=Frame][role=slider]").getAttribute("aria-valuenow"),
  document.querySelectorAll(".toast").length,
])
"""

CONTROLS = ".workspace :is(button, a, input, select, textarea, summary, [tabindex='0']):not(.canvas)"


def test_letters_typed_on_a_control_are_never_shortcuts(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Focus")
    add_files(page, *clip[:3])
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    click(page, 0.27, 0.55)
    page.locator(".candidates").get_by_role("button", name="Keep this mask").click()
    before = page.evaluate(STATE)
    controls = page.locator(CONTROLS)
    seen = 0
    for i in range(controls.count()):
        control = controls.nth(i)
        if not control.is_visible() or not control.is_enabled():
            continue
        control.focus()
        seen += 1
        for key in "rabbtikn":
            page.keyboard.press(key)
        assert page.evaluate(STATE) == before, control.evaluate("(element) => element.outerHTML.slice(0, 200)")
        page.keyboard.press("Escape")
    assert seen > 30
    expect(page.locator(".canvas")).to_be_focused()  # Escape goes back to the picture
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Brush")).to_have_attribute("aria-pressed", "true")


def test_the_mouse_leaves_the_focus_on_the_picture(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Mouse", MEDIA / "cat.jpg")
    page.get_by_role("button", name="Brush").click()
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Click or drag a box")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Help").click()
    page.keyboard.press("Escape")
    page.keyboard.press("k")  # the arrow keys' pointer
    page.keyboard.press("Enter")  # clicks the picture, and opens no help
    saved(page)
    expect(objects(page)).to_have_count(1)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    # One click edits the file's name: what is typed goes there.
    page.locator(".breadcrumb__name").click()
    page.keyboard.type("rabbit")
    page.keyboard.press("Enter")
    expect(page.locator(".breadcrumb__name")).to_have_text("rabbit")
    objects(page).locator(".object__name").click()
    page.keyboard.type("Tiger")
    page.keyboard.press("Enter")
    expect(objects(page)).to_contain_text("Tiger")
    saved(page)
    assert [info["name"] for info in from_server(page, "objects")["objects"]] == ["Tiger"]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(objects(page)).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(objects(page)).to_have_count(0)
    click(page, 0.5, 0.5)
    expect(objects(page).locator(".object__swatch")).to_have_text("1")
    expect(objects(page).locator(".object__name")).to_have_text("Object 1")


def test_the_playhead_returns_after_tracking(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Playhead")
    add_files(page, *clip)
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    playhead = page.get_by_role("slider", name="Frame", exact=True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    click(page, 0.27, 0.55)
    page.keyboard.press("t")
    expect(toast(page, "Tracked")).to_be_visible()
    expect(playhead).to_have_attribute("aria-valuenow", "2")
    expect(page.get_by_role("button", name="Track all again")).not_to_have_class(re.compile("button--primary"))
    page.keyboard.press("t")
    expect(toast(page, "All frames are tracked")).to_be_visible()


def test_an_import_can_add_or_replace(page: Page, server: Server, tmp_path: Path) -> None:
    open_photo(page, server.address, "Import", MEDIA / "cat.jpg")
    click(page, 0.5, 0.5)
    annotation = {
        **{"id": 1, "image_id": 1, "object_id": 1, "category_id": 1, "name": "Object 1", "score": 0.79},
        "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]],
    }
    document = tmp_path / "masks.json"
    images = [{"id": 1, "file_name": "cat.jpg"}]
    categories = [{"id": 1, "name": "cat"}]
    document.write_text(json.dumps({"images": images, "categories": categories, "annotations": [annotation]}))
    for mode in (None, "Replace."):
        page.get_by_role("button", name="Import", exact=True).click()
        if mode:
            page.get_by_role("radio", name=mode).check()
        page.get_by_test_id("import-files").set_input_files(str(document))
        expect(toast(page, "Imported 1 mask")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)
    expect(objects(page).locator(".object__name")).to_have_text(["Object 1", "Object 1 (2)"])
    expect(objects(page).locator(".status")).to_have_text(["79 %", "79 %"])
    expect(page.get_by_test_id("class-cat")).to_be_visible()
