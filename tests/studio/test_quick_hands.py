"""Keys and clicks faster than the server answers: nothing is lost, and everything is done in order."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Route, expect

from masklet.masks.rle import decode_rle
from tests.serving import Server

from .conftest import MEDIA
from .studio_page import (
    add_files,
    click,
    from_server,
    medium_id,
    new_project,
    objects,
    open_medium,
    open_photo,
    painted,
    place,
    saved,
    toast,
)

NAMES = ["Object 1", "Ape", "Bear", "Cat", "Dog"]


@pytest.fixture
def cat(page: Page, server: Server) -> Page:
    """Open a photo, click an object, and give it the names one after the other."""
    open_photo(page, server.address, "Quick hands", MEDIA / "cat.jpg")
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


SLOW_FETCH = r"""
(endings) => {
  const fetch = window.fetch;
  const isSlow = new RegExp(`(${endings.join("|")})(?:\\?|$)`);
  window.fetch = async (address, options) => {
    if (isSlow.test(address)) await new Promise((done) => setTimeout(done, 80));
    return fetch(address, options);
  };
}
"""


def slowed(page: Page, *endings: str) -> None:
    """Delay requests whose address ends so, until the page is loaded again.

    It is the page that waits: a route that waits in Python may still do so when the story is over, and fails the next.
    """
    page.evaluate(SLOW_FETCH, endings)


def is_named(page: Page, name: str) -> None:
    saved(page)
    expect(objects(page)).to_contain_text(name)
    assert [item["name"] for item in from_server(page, "objects")["objects"]] == [name]


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
    open_photo(page, server.address, "Quick clicks", MEDIA / "cat.jpg")
    for x in (0.5, 0.6):
        click(page, x, 0.5)
    slowed(page, "undo")
    page.keyboard.press("Control+z")
    page.mouse.click(*place(page, 0.4, 0.6))
    page.mouse.click(*place(page, 0.3, 0.6), button="right")
    saved(page)
    (prompt,) = from_server(page, "frames/0/prompts")["prompts"].values()
    width, height = (int(page.locator(".canvas").get_attribute(f"data-{side}") or 0) for side in ("width", "height"))
    fractions = [(round(x / width, 1), round(y / height, 1)) for x, y in prompt["points"]]
    assert (fractions, prompt["labels"]) == ([(0.5, 0.5), (0.4, 0.6), (0.3, 0.6)], [1, 1, 0])


def test_a_click_after_undoing_its_object_makes_a_new_one(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Gone", MEDIA / "cat.jpg")
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
    """Go to a frame, and wait until the page has its prompts."""
    with page.expect_response(f"**/frames/{to}/prompts"):
        page.keyboard.press(key)


@pytest.mark.parametrize("is_new", [False, True])
def test_clicks_at_once_after_going_back_add_to_what_was_said(
    page: Page, server: Server, clip: list[Path], is_new: bool
) -> None:
    new_project(page, server.address, "There and back")
    add_files(page, *clip[:2])
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    slowed(page, r"frames/\d+/prompts")
    places = [place(page, x, 0.5) for x in (0.3, 0.5, 0.7, 0.9)]
    frame, away, back = (1, "ArrowLeft", "ArrowRight") if is_new else (0, "ArrowRight", "ArrowLeft")
    if is_new:
        page.keyboard.press(back)  # the page has no prompts of this frame, and the server has not created the object
    for at in places[:2]:
        page.mouse.click(*at)
    saved(page)
    go(page, away, 1 - frame)
    page.keyboard.press(back)
    for at in places[2:]:
        page.mouse.click(*at)
    saved(page)
    (prompt,) = from_server(page, f"frames/{frame}/prompts")["prompts"].values()
    assert len(prompt["points"]) == 4


def test_going_back_while_a_click_is_being_saved_keeps_it(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Still on its way")
    add_files(page, *clip[:2])
    page.get_by_role("button", name="One video").click()
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
    (prompt,) = from_server(page, "frames/0/prompts")["prompts"].values()
    assert len(prompt["points"]) == 3


def test_renaming_while_an_undo_is_in_flight_comes_after_it(cat: Page) -> None:
    slowed(cat, "undo")
    cat.keyboard.press("Control+z")
    rename(cat, "Eel")
    is_named(cat, "Eel")
    cat.keyboard.press("Control+z")
    is_named(cat, NAMES[-2])  # the last name was undone before, and is no part of the history any more
    cat.keyboard.press("Control+Shift+Z")
    is_named(cat, "Eel")


LATE_TIMERS = """
const { setTimeout } = window;
window.setTimeout = (work, delay = 0, ...rest) => setTimeout(work, Math.max(delay, 1000), ...rest);
"""


def test_a_key_right_after_a_button_is_for_the_picture(page: Page, server: Server) -> None:
    """A busy browser runs timers late: the key is there before what the page does after the click."""
    page.add_init_script(LATE_TIMERS)
    open_photo(page, server.address, "Button, then key", MEDIA / "astronaut.jpg")
    click(page, 0.45, 0.75)
    page.locator(".candidate").nth(1).click()
    page.keyboard.press("n")
    page.mouse.click(*place(page, 0.43, 0.2))
    expect(objects(page)).to_have_count(2)
    saved(page)


class HeldRequests:
    """Requests that are held back until they are released."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.waiting: list[Route] | None = []
        page.route(pattern, self.hold)

    def hold(self, route: Route) -> None:
        if self.waiting is None:
            route.continue_()
        else:
            self.waiting.append(route)

    def release(self) -> None:
        """Release all requests, and later ones at once."""
        waiting, self.waiting = self.waiting or [], None
        for route in waiting:
            with suppress(Error):  # some went with the page that was there before
                route.continue_()


def area(page: Page, frame: int = 0) -> int:
    """Return the area of the only mask that the server has on a frame."""
    (mask,) = next(item for item in from_server(page, "masks")["frames"] if item["frame_index"] == frame)["objects"]
    return int(mask["area"])


def stroke(page: Page, *fractions: tuple[float, float]) -> None:
    """Draw with the selected tool from place to place."""
    first, *rest = (place(page, x, y) for x, y in fractions)
    page.mouse.move(*first)
    page.mouse.down()
    for to in rest:
        page.mouse.move(*to, steps=3)
    page.mouse.up()


CORNER = ((0.02, 0.03), (0.06, 0.03))


@pytest.mark.parametrize("tool", ["b", "l"])
def test_a_stroke_before_the_masks_have_come_touches_up_what_is_there(page: Page, server: Server, tool: str) -> None:
    open_photo(page, server.address, "Brush in hand", MEDIA / "cat.jpg")
    click(page, 0.5, 0.5)
    before = area(page)
    held = HeldRequests(page, "**/masks?*")
    with page.expect_request("**/masks?*"):
        page.reload()
    expect(objects(page)).to_have_attribute("aria-current", "true")
    page.keyboard.press(tool)
    stroke(page, *CORNER, (0.06, 0.08))
    page.wait_for_timeout(100)
    held.release()
    saved(page)
    assert before < area(page) < 1.2 * before


def test_a_stroke_while_a_click_is_being_saved_adds_to_the_clicks_mask(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Click and brush", MEDIA / "cat.jpg")
    held = HeldRequests(page, "**/prompt")
    with page.expect_request("**/prompt"):
        page.mouse.click(*place(page, 0.5, 0.5))
    page.keyboard.press("b")
    stroke(page, *CORNER)
    with page.expect_response("**/prompt") as answer:
        held.release()
    (clicked,) = answer.value.json()["frame"]["objects"]
    saved(page)
    assert clicked["area"] < area(page) < 1.2 * clicked["area"]


def test_strokes_in_a_row_add_up(page: Page, server: Server) -> None:
    open_photo(page, server.address, "By hand", MEDIA / "cat.jpg")
    page.keyboard.press("b")
    slowed(page, "mask", "objects")
    stroke(page, (0.1, 0.1), (0.2, 0.1))
    saved(page)
    single = area(page)
    stroke(page, (0.1, 0.3), (0.2, 0.3))
    stroke(page, (0.1, 0.5), (0.2, 0.5))
    saved(page)
    assert abs(area(page) - 3 * single) < 0.1 * single  # ends are round


@pytest.fixture
def clicked_twice(page: Page, server: Server) -> HeldRequests:
    """A photo with an object and the brush in hand; the server has yet to answer a second click."""
    open_photo(page, server.address, "Strokes that wait", MEDIA / "cat.jpg")
    click(page, 0.5, 0.5)
    held = HeldRequests(page, "**/prompt")
    with page.expect_request("**/prompt"):
        page.mouse.click(*place(page, 0.5, 0.6))
    page.keyboard.press("b")
    return held


def has(page: Page, *fractions: tuple[float, float]) -> list[bool]:
    """Return whether the only mask that the server has covers these places."""
    (mask,) = from_server(page, "masks")["frames"][0]["objects"]
    pixels = decode_rle(mask["rle"])
    height, width = pixels.shape
    return [bool(pixels[int(y * height), int(x * width)]) for x, y in fractions]


def test_strokes_that_wait_for_the_server_are_seen(page: Page, clicked_twice: HeldRequests) -> None:
    drawn, within, cut = CORNER[0], (0.93, 0.06), (0.4, 0.5)
    painted(page, *cut)
    stroke(page, *CORNER)
    painted(page, *drawn)
    page.keyboard.press("l")
    stroke(page, (0.9, 0.03), (0.96, 0.03), (0.96, 0.1), (0.9, 0.1))
    painted(page, *within)
    page.keyboard.press("e")
    stroke(page, cut, (0.42, 0.5))
    painted(page, *cut, False)
    for place_of_stroke in (drawn, within):  # the first ones are still there
        painted(page, *place_of_stroke)
    clicked_twice.release()
    saved(page)
    assert has(page, drawn, within, cut) == [True, True, False]
    for at, is_there in ((drawn, True), (within, True), (cut, False)):
        painted(page, *at, is_there)


def test_a_stroke_that_the_server_refuses_goes_away(page: Page, clicked_twice: HeldRequests) -> None:
    refusal = {"error": {"code": "refused", "message": "Not this one.", "field": None}}
    page.route("**/mask", lambda route: route.fulfill(status=422, json=refusal))
    stroke(page, *CORNER)
    painted(page, *CORNER[0])
    clicked_twice.release()
    expect(toast(page, "Not this one")).to_be_visible()
    painted(page, *CORNER[0], False)
    painted(page, 0.4, 0.5)  # what was clicked stays
    saved(page)


def test_a_stroke_that_is_undone_while_it_waits_goes_away(page: Page, clicked_twice: HeldRequests) -> None:
    stroke(page, *CORNER)
    painted(page, *CORNER[0])
    page.keyboard.press("Control+z")
    clicked_twice.release()
    expect(toast(page, "Undone")).to_be_visible()
    painted(page, *CORNER[0], False)
    painted(page, 0.4, 0.5)
    saved(page)
    assert has(page, CORNER[0]) == [False]


@pytest.mark.parametrize("which", ["undo", "redo"])
def test_a_lost_answer_does_not_undo_or_redo_twice(cat: Page, which: str) -> None:
    at = 4
    if which == "redo":
        for _ in range(4):
            cat.keyboard.press("Control+z")
        at = 0
        is_named(cat, NAMES[at])
    lost: list[Route] = []

    def lose(route: Route) -> None:
        answer = route.fetch()  # the server has done it
        if lost:
            route.fulfill(response=answer)
        else:
            lost.append(route)
            route.abort()

    cat.route(f"**/{which}", lose)
    cat.keyboard.press("Control+z" if which == "undo" else "Control+Shift+Z")
    is_named(cat, NAMES[at + (1 if which == "redo" else -1)])
    assert lost
    cat.keyboard.press("Control+z" if which == "undo" else "Control+Shift+Z")  # another one is another step
    is_named(cat, NAMES[at + (2 if which == "redo" else -2)])


def test_a_lost_answer_does_not_change_anything_twice(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Once", MEDIA / "cat.jpg")
    media = f"{server.address}/api/v1/media/{medium_id(page)}"
    lost: list[tuple[str, str, str]] = []

    def lose(route: Route) -> None:
        """Lose the first answer to every change."""
        asked = route.request
        if asked.method == "GET":
            route.fallback()
            return
        request = (asked.method, asked.url, asked.headers["idempotency-key"])
        answer = route.fetch()  # the server has done it
        if request in lost:
            route.fulfill(response=answer)
        else:
            lost.append(request)
            route.abort()

    page.route(f"{media}/**", lose)
    for x in (0.5, 0.6):
        click(page, x, 0.5)
    page.keyboard.press("Shift+A")
    saved(page)
    page.keyboard.press("Shift+Backspace")
    expect(toast(page, "Deleted")).to_have_count(1)
    saved(page)
    page.unroute_all(behavior="wait")
    assert [method for method, _, _ in lost] == ["POST", "PUT", "PUT", "POST", "POST"]
    undone = [page.request.post(f"{media}/undo", headers={"X-Masklet": "1"}).json()["what"] for _ in range(6)]
    assert undone == [
        "Delete Object 1",
        "Accept frame 0",
        "Prompt for Object 1",
        "Prompt for Object 1",
        "New object Object 1",
        None,
    ]


def test_a_run_that_was_asked_for_elsewhere_stays_there(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "On to the next")
    for count, paths in enumerate((clip[:4], clip[4:]), start=1):
        add_files(page, *paths)
        page.get_by_role("button", name="One video").click()
        expect(page.locator(".card__link")).to_have_count(count)
    page.locator(".card__link").first.click()
    expect(page.get_by_label("Objects", exact=True)).to_be_visible()
    click(page, 0.27, 0.55)
    first = medium_id(page)
    held = HeldRequests(page, "**/track")
    with page.expect_request("**/track"):
        page.keyboard.press("t")
    page.keyboard.press("Control+ArrowRight")
    expect(page.locator(".topbar__count")).to_have_text("2 / 2")
    slider = page.get_by_role("slider", name="Frame", exact=True)
    expect(slider).to_have_attribute("aria-valuenow", "0")
    with page.expect_response("**/track"):
        held.release()
    page.wait_for_timeout(1500)  # had it been taken for a run of this medium, its frames would have come by now
    expect(slider).to_have_attribute("aria-valuenow", "0")
    expect(toast(page, "Tracked")).to_have_count(0)
    page.keyboard.press("Control+ArrowLeft")  # it went on where it belongs
    expect(page.locator(".topbar__count")).to_have_text("1 / 2")
    page.wait_for_function(
        "async (mid) => (await (await fetch(`/api/v1/media/${mid}/masks`)).json()).frames.length === 4", arg=first
    )


COUNT_DECODES = """
window.asked = window.answered = 0;
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (message.kind === "open") this.addEventListener("message", ({ data }) => (answered += data.kind === "decoded"));
  asked += message.kind === "decode";
  return post.call(this, message, ...rest);
};
"""


def test_a_finger_that_is_down_has_its_answer_when_it_goes_up(page: Page, server: Server) -> None:
    page.add_init_script(COUNT_DECODES)
    open_photo(page, server.address, "Touch", MEDIA / "cat.jpg")
    expect(page.locator(".decoder-state[data-state=ready]")).to_be_visible()
    x, y = place(page, 0.5, 0.5)
    assert page.evaluate("asked") == 0
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_function("() => window.answered === 1")
    with page.expect_response("**/prompt"):
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    saved(page)
    expect(objects(page).locator(".status")).to_be_visible()
    assert page.evaluate("asked") == 1  # it was painted from what was at hand
