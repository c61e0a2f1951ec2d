"""Finding everything: proposals that are filtered, accepted and refused with one click or key, and then tracked."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the stories need playwright (group test)")

from playwright.sync_api import Page, expect

from tests.serving import Server
from tests.studio.conftest import MEDIA
from tests.studio.studio_page import add_files, from_server, new_project, objects, open_medium, place, saved, toast


def proposals_of(page: Page) -> list[dict[str, Any]]:
    """Return all proposals of the medium's latest search."""
    found = page.evaluate(
        """async (mid) => {
          const { jobs } = await (await fetch(`/api/v1/jobs?media_id=${mid}`)).json();
          const job = jobs.find(({ kind }) => kind === "propose");
          return (await fetch(`/api/v1/jobs/${job.id}/proposals`)).json();
        }""",
        page.url.rsplit("/", 1)[1].split("?")[0],
    )
    return list(found["proposals"])


def offered(page: Page) -> int:
    return int(page.get_by_test_id("offered").inner_text().split(" / ")[0])


def offers(page: Page, count: int) -> None:
    expect(page.get_by_test_id("offered")).to_have_text(re.compile(rf"^{count} / "))


def test_proposals_are_accepted_refused_and_tracked(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Everything")
    add_files(page, *clip[:4])
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    page.get_by_role("region", name="Tracking").get_by_role("button", name="This frame", exact=True).click()
    expect(page.get_by_role("region", name="Proposals")).to_be_visible()
    found = proposals_of(page)
    assert from_server(page, "objects") == {"objects": []}

    # Sliders filter in the page.
    page.get_by_role("radio", name="Both").click()
    for slider, position in (("Confidence from", "0"), ("Size up to", "1000")):
        page.get_by_label(slider).fill(position)
    offers(page, len(found))
    surest = found[0]["confidence"]
    page.get_by_label("Confidence from").fill(str(round(1000 * surest) + 1))
    offers(page, 0)
    page.get_by_label("Confidence from").fill("0")
    offers(page, len(found))

    # The next search shows what the sliders let through now.
    page.locator(".canvas").focus()
    with page.expect_response(lambda answer: answer.url.endswith("/proposals") and answer.request.method == "GET"):
        page.keyboard.press("Shift+F")
    expect(page.get_by_role("radio", name="Both")).to_be_checked()
    found = proposals_of(page)
    offers(page, len(found))

    # Keys: the next one is highlighted, accepted, and the one after it refused.
    page.locator(".canvas").focus()
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    saved(page)
    expect(objects(page)).to_have_count(1)
    offers(page, len(found) - 2)

    # What was undone or refused is offered again.
    page.keyboard.press("Control+z")
    expect(objects(page)).to_have_count(0)
    page.get_by_role("button", name="Show 1 refused proposal again").click()
    offers(page, len(found))

    # The mouse: a click accepts the smallest proposal there, a right click refuses the next.
    x, y = centre_of(page, found[0])
    page.mouse.click(*place(page, x, y))
    saved(page)
    expect(objects(page)).to_have_count(1)
    offers(page, len(found) - 1)
    refusable = next((other for other in found[1:] if contains(other, x, y)), None)
    if refusable is not None:
        page.mouse.click(*place(page, x, y), button="right")
        offers(page, len(found) - 2)

    # Marked ones, and no others, are accepted and tracked with one key.
    page.get_by_label("Confidence from").fill("0")
    elsewhere = next(other for other in found if not contains(other, x, y))
    page.keyboard.down("Control")
    page.mouse.click(*place(page, *centre_of(page, elsewhere)))
    page.keyboard.up("Control")
    expect(page.get_by_role("button", name="Accept 1 marked proposal")).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(toast(page, "Tracked")).to_be_visible()
    lanes = from_server(page, "timeline")["objects"]
    assert len(lanes) == 2
    assert all("." not in lane["status"] for lane in lanes)


def contains(proposal: dict[str, Any], x: float, y: float) -> bool:
    mask = mask_of(proposal)
    return bool(mask[int(y * mask.shape[0]), int(x * mask.shape[1])])


def centre_of(page: Page, proposal: dict[str, Any]) -> tuple[float, float]:
    """Return the place, in fractions of the picture, that is deepest in a proposal."""
    import cv2
    import numpy as np

    mask = mask_of(proposal)
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(column) + 0.5) / mask.shape[1], (float(row) + 0.5) / mask.shape[0]


def mask_of(proposal: dict[str, Any]) -> Any:
    from masklet.masks.rle import decode_rle

    return decode_rle(proposal["rle"])


def search_the_video(page: Page, frames: list[Path], every: int) -> None:
    """Open images as a video and begin to find everything in it."""
    add_files(page, *frames)
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    page.get_by_text("Options for the video").click()
    page.get_by_label("Search every … frames").fill(str(every))
    page.get_by_label("Objects at a time, at most").fill("1")
    page.get_by_role("button", name="Whole video", exact=True).click()
    progress = page.get_by_role("region", name="Tracking").get_by_role("progressbar", name="Finding everything")
    expect(progress).to_be_visible()


def test_what_is_found_in_the_video_gets_its_lane_while_the_search_goes_on(
    page: Page, server: Server, clip: list[Path]
) -> None:
    new_project(page, server.address, "Everything in the video")
    search_the_video(page, clip[:7], every=2)
    expect(objects(page)).to_have_count(1)
    panel = page.get_by_role("region", name="Tracking")
    expect(panel.get_by_role("button", name="Stop")).to_be_visible()  # it goes on
    result = panel.get_by_role("status").filter(has_text="1 object found; there was more, but at most 1 object")
    expect(result).to_be_visible()
    (lane,) = from_server(page, "timeline")["objects"]
    assert "." not in lane["status"]
    page.keyboard.press("Control+z")
    expect(objects(page)).to_have_count(0)


def test_a_search_begins_again_after_the_server_was_killed(
    new_page: Callable[[], Page], clip: list[Path], tmp_path: Path
) -> None:
    studio = Server(tmp_path / "data")
    studio.start()
    try:
        page = new_page()
        new_project(page, studio.address, "Everything, with a break")
        search_the_video(page, clip[:2], every=1)
        studio.stop(signal.SIGKILL)
        studio.start()
        expect(toast(page, "The server was restarted: the search")).to_be_visible()
        result = page.get_by_role("region", name="Tracking").get_by_role("status")
        expect(result).to_contain_text("found")
    finally:
        studio.stop()


def video_options(page: Page) -> dict[str, Any]:
    """Return the options as the page shows them."""
    panel = page.get_by_role("region", name="Find everything")
    if not panel.get_by_label("Score from, in %").is_visible():
        panel.get_by_text("Options for the video").click()
    return {
        "level": panel.get_by_role("radio", checked=True).inner_text().lower(),
        "every": int(panel.get_by_label("Search every … frames").input_value()),
        "max_objects": int(panel.get_by_label("Objects at a time, at most").input_value()),
        "min_score": int(panel.get_by_label("Score from, in %").input_value()) / 100,
    }


def requests_of_searches(page: Page) -> list[dict[str, Any]]:
    """Return a list that gets the body of each request for a search through the video."""
    bodies: list[dict[str, Any]] = []
    page.on("request", lambda sent: bodies.append(sent.post_data_json) if sent.url.endswith("/discover") else None)
    return bodies


def test_a_stopped_search_keeps_what_it_has_and_goes_on(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Everything, with a stop")
    sent = requests_of_searches(page)
    search_the_video(page, clip, every=1)
    expect(objects(page)).to_have_count(1)
    page.keyboard.press("Escape")
    panel = page.get_by_role("region", name="Tracking")
    expect(panel.get_by_role("status").filter(has_text="Stopped: 1 object found")).to_be_visible()
    (lane,) = from_server(page, "timeline")["objects"]
    num_tracked = len(lane["status"].rstrip("."))
    assert 3 <= num_tracked < len(clip)  # it was seen three times, and the search did not come to its end
    assert "." not in lane["status"][:num_tracked]

    panel.get_by_role("button", name="Search the rest").click()
    expect(panel.get_by_role("status").filter(has_text="found")).not_to_contain_text("Stopped")
    assert [(body["start"], body["stop"]) for body in sent] == [(None, None), (num_tracked, None)]
    (lane,) = from_server(page, "timeline")["objects"]
    assert "." not in lane["status"]
    expect(panel.get_by_role("button", name="Search the rest")).to_have_count(0)


def test_options_and_the_range_reach_the_server_and_are_there_again(
    page: Page, server: Server, clip: list[Path]
) -> None:
    new_project(page, server.address, "Everything in a range")
    project = page.url
    add_files(page, *clip[:6])
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    usual = video_options(page)
    page.get_by_role("region", name="Find everything").get_by_role("radio", name="Both").click()
    for label, value in (("Search every … frames", 1), ("Objects at a time, at most", 2), ("Score from, in %", 60)):
        page.get_by_label(label).fill(str(value))
        page.get_by_label(label).press("Enter")
    chosen = {"level": "both", "every": 1, "max_objects": 2, "min_score": 0.6}
    assert video_options(page) == chosen != usual

    page.locator(".canvas").focus()
    for key in ("ArrowRight", "i", "ArrowRight", "ArrowRight", "o"):
        page.keyboard.press(key)
    sent = requests_of_searches(page)
    page.get_by_role("button", name="1 \N{EN DASH} 3", exact=True).click()
    result = page.get_by_role("region", name="Tracking").get_by_role("status")
    expect(result).to_contain_text("found")
    assert sent == [{**chosen, "direction": "both", "start": 1, "stop": 4}]
    lanes = [lane["status"] for lane in from_server(page, "timeline")["objects"]]
    assert len(lanes) == 2
    assert all((lane[0], lane[4:], "." in lane[1:4]) == (".", "..", False) for lane in lanes)

    page.reload()
    expect(page.locator(".canvas")).to_be_visible()
    assert video_options(page) == chosen
    page.goto(project)  # another video of the project, and one of another project
    add_files(page, MEDIA / "bunny.mp4")
    open_medium(page, "bunny")
    assert video_options(page) == chosen
    new_project(page, server.address, "Another project")
    add_files(page, MEDIA / "bunny.mp4")
    open_medium(page, "bunny")
    assert video_options(page) == usual
