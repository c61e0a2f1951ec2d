"""Keys and clicks faster than the server answers: nothing is lost, and all is done in the order of its asking."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from serving import Server

from .conftest import MEDIA
from .studio_page import add_files, click, from_server, new_project, objects, open_medium, place, saved

NAMES = ["Object 1", "Ape", "Bear", "Cat", "Dog"]


@pytest.fixture
def cat(page: Page, server: Server) -> Page:
    """A photo with one object that has been clicked on and been given the names, one after the other."""
    new_project(page, server.address, "Quick hands")
    add_files(page, MEDIA / "cat.jpg")
    open_medium(page, "cat.jpg")
    click(page, 0.5, 0.5)
    for name in NAMES[1:]:
        rename(page, name)
    saved(page)
    return page


def rename(page: Page, name: str) -> None:
    page.keyboard.press("F2")
    page.keyboard.press("Control+a")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def slowed(page: Page, *actions: str) -> None:
    """The server takes its time over these."""

    def wait(route: Route) -> None:
        page.wait_for_timeout(80)
        route.continue_()

    for action in actions:
        page.route(f"**/{action}", wait)


def is_named(page: Page, name: str) -> None:
    saved(page)
    expect(objects(page)).to_contain_text(name)
    assert [one["name"] for one in from_server(page, "objects")["objects"]] == [name]


@pytest.mark.parametrize("is_slow", [False, True])
def test_undo_and_redo_hammered(cat: Page, is_slow: bool) -> None:
    if is_slow:
        slowed(cat, "undo", "redo", "history")
    dice, at = random.Random(1), len(NAMES) - 1
    for press in ("zzZZ", "zZzZ", "zzzzZZZZ", "ZZz", *("".join(dice.choices("zzZ", k=5)) for _ in range(4))):
        for key in press:
            if key == "z" and at == 0:
                continue
            cat.keyboard.press("Control+z" if key == "z" else "Control+Shift+Z")
            at = max(0, at - 1) if key == "z" else min(len(NAMES) - 1, at + 1)
        is_named(cat, NAMES[at])


def test_a_click_while_an_undo_is_in_flight_adds_to_what_is_left(page: Page, server: Server) -> None:
    new_project(page, server.address, "Quick clicks")
    add_files(page, MEDIA / "cat.jpg")
    open_medium(page, "cat.jpg")
    for x in (0.5, 0.6):
        click(page, x, 0.5)
    slowed(page, "undo")
    page.keyboard.press("Control+z")
    page.mouse.click(*place(page, 0.4, 0.6))
    page.mouse.click(*place(page, 0.3, 0.6), button="right")
    saved(page)
    (said,) = from_server(page, "frames/0/prompts")["prompts"].values()
    width, height = (int(page.locator(".canvas").get_attribute(f"data-{side}") or 0) for side in ("width", "height"))
    fractions = [(round(x / width, 1), round(y / height, 1)) for x, y in said["points"]]
    assert (fractions, said["labels"]) == ([(0.5, 0.5), (0.4, 0.6), (0.3, 0.6)], [1, 1, 0])


def test_a_click_after_undoing_its_object_makes_a_new_one(page: Page, server: Server) -> None:
    new_project(page, server.address, "Gone")
    add_files(page, MEDIA / "cat.jpg")
    open_medium(page, "cat.jpg")
    click(page, 0.5, 0.5)
    slowed(page, "undo")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.mouse.click(*place(page, 0.4, 0.6))
    saved(page)
    expect(objects(page)).to_have_count(1)
    expect(objects(page).locator(".status")).to_be_visible()
    assert len(from_server(page, "frames/0/prompts")["prompts"]) == 1


def go(page: Page, key: str, to: int) -> None:
    """To a frame, and stay until the page knows what has been said there."""
    with page.expect_response(f"**/frames/{to}/prompts"):
        page.keyboard.press(key)


@pytest.mark.parametrize("is_new", [False, True])
def test_clicks_at_once_after_going_back_add_to_what_was_said(
    page: Page, server: Server, clip: list[Path], is_new: bool
) -> None:
    new_project(page, server.address, "There and back")
    add_files(page, *clip[:2])
    page.get_by_role("button", name="One sequence").click()
    open_medium(page, "000")
    slowed(page, "frames/*/prompts")
    places = [place(page, x, 0.5) for x in (0.3, 0.5, 0.7, 0.9)]
    frame, away, back = (1, "ArrowLeft", "ArrowRight") if is_new else (0, "ArrowRight", "ArrowLeft")
    if is_new:
        page.keyboard.press(back)  # nothing is known of this frame, and the server has yet to name the object
    for at in places[:2]:
        page.mouse.click(*at)
    saved(page)
    go(page, away, 1 - frame)
    page.keyboard.press(back)
    for at in places[2:]:
        page.mouse.click(*at)
    saved(page)
    page.unroute_all(behavior="ignoreErrors")
    (said,) = from_server(page, f"frames/{frame}/prompts")["prompts"].values()
    assert len(said["points"]) == 4


def test_going_back_while_a_click_is_being_saved_keeps_it(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Still on its way")
    add_files(page, *clip[:2])
    page.get_by_role("button", name="One sequence").click()
    open_medium(page, "000")
    first, second, third = (place(page, x, 0.5) for x in (0.3, 0.5, 0.7))
    with page.expect_response("**/prompt"):
        page.mouse.click(*first)
    saved(page)
    held: list[Route] = []
    page.route("**/prompt", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/prompt"):
        page.mouse.click(*second)
    go(page, "ArrowRight", 1)
    go(page, "ArrowLeft", 0)  # the server has not heard of the second click
    page.mouse.click(*third)
    held[0].continue_()
    saved(page)
    (said,) = from_server(page, "frames/0/prompts")["prompts"].values()
    assert len(said["points"]) == 3


def test_renaming_while_an_undo_is_in_flight_comes_after_it(cat: Page) -> None:
    slowed(cat, "undo")
    cat.keyboard.press("Control+z")
    rename(cat, "Eel")
    is_named(cat, "Eel")
    cat.keyboard.press("Control+z")
    is_named(cat, NAMES[-2])  # the last name was undone before, and is no part of the history any more
    cat.keyboard.press("Control+Shift+Z")
    is_named(cat, "Eel")
