"""Whole stories of users: a real server with nano, a real browser, real files."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from masklet.masks.rle import decode_rle
from tests.serving import Server

from .conftest import MEDIA, PATIENCE_MS
from .studio_page import (
    add_files,
    click,
    download,
    from_server,
    new_project,
    objects,
    open_medium,
    open_photo,
    place,
    saved,
    toast,
)


def test_photo_to_cut_out(page: Page, server: Server, tmp_path: Path) -> None:
    open_photo(page, server.address, "A photo", MEDIA / "astronaut.jpg")
    click(page, 0.45, 0.75)
    expect(objects(page)).to_have_count(1)
    expect(page.locator(".candidates")).to_be_visible()  # one click is ambiguous: three to choose from
    assert page.locator(".candidate").count() == 3

    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("img", name="Preview")).to_be_visible()
    with Image.open(download(page, tmp_path)) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (512, 512))
        alpha = np.asarray(picture)[..., 3]
    assert alpha[int(0.75 * 512), int(0.45 * 512)] == 255
    assert alpha[2, 505] == 0
    assert 0.02 < (alpha > 127).mean() < 0.9


def test_two_objects_tracked_corrected_exported(page: Page, server: Server, clip: list[Path], tmp_path: Path) -> None:
    new_project(page, server.address, "A video")
    add_files(page, *clip)
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("slider", name="Frame", exact=True)).to_have_attribute("aria-valuenow", "2")
    click(page, 0.27, 0.55)  # the rabbit
    page.keyboard.press("n")
    click(page, 0.75, 0.33)  # the stone
    expect(objects(page)).to_have_count(2)

    page.keyboard.press("t")
    expect(toast(page, "Tracked")).to_be_visible()

    page.keyboard.press("ArrowRight")  # from the frame that was shown before tracking
    page.keyboard.press("2")
    click(page, 0.02, 0.97, button="right")  # the second one's mask is wrong here: not the grass
    update = page.get_by_role("button", name=re.compile(r"Update \d+ frame"))
    expect(update).to_be_visible()
    update.click()
    expect(toast(page, "Tracked").last).to_be_visible()
    expect(update).to_have_count(0)

    page.keyboard.press("Control+e")
    page.get_by_role("radio", name="Masks and data").click()
    page.locator(".format", has_text=re.compile("coco", re.IGNORECASE)).first.click()
    document = read_json(download(page, tmp_path))
    assert len(document["images"]) == 8
    tracks = {each.get("track_id", each.get("attributes", {}).get("track_id")) for each in document["annotations"]}
    assert len(tracks) == 2
    for annotation in document["annotations"]:
        mask = decode_rle(annotation["segmentation"])
        assert mask.shape == (240, 427)
        assert mask.sum() == annotation["area"]


LOOKS_LIKE = """
(expected) => {
  const row = document.querySelector(".timeline__canvas");
  const { data, width } = row.getContext("2d").getImageData(0, 90, row.width, 1); // just above the bars' feet
  const looks = expected.map((_, frame) => {
    const at = 4 * Math.floor(((frame + 0.5) / expected.length) * width);
    const redness = data[at] - data[at + 1];
    return redness > 20 ? "to review" : redness < -20 ? "fine" : "nothing";
  });
  return looks.join() === expected.join();
}
"""


def test_the_confidence_row_marks_what_the_tracker_would_have_checked(
    page: Page, server: Server, clip: list[Path]
) -> None:
    new_project(page, server.address, "One rule")
    add_files(page, *clip)
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    click(page, 0.75, 0.33)  # the stone, of which nano is never sure
    summary = page.locator(".review__line span").first
    expect(summary).to_have_text("Not tracked yet")
    page.keyboard.press("t")
    expect(toast(page, "Tracked")).to_be_visible()
    saved(page)
    timeline = from_server(page, "timeline")
    assert min(timeline["objects"][0]["confidence"]) < 70
    review = timeline["review"]
    count = f"{len(review)} {'frame' if len(review) == 1 else 'frames'} to review"
    expect(summary).to_have_text(count if review else "No frames need review")
    looks = ["to review" if frame in review else "fine" for frame in range(len(clip))]
    page.wait_for_function(LOOKS_LIKE, arg=looks)

    page.keyboard.press("Shift+A")
    expect(toast(page, f"Accepted {len(clip)} masks")).to_be_visible()
    expect(page.locator(".review__share")).to_have_text("100 % accepted")


def read_json(path: Path) -> dict[str, list[dict[str, object]]] | object:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(next(name for name in archive.namelist() if name.endswith(".json"))))
    return json.loads(path.read_text(encoding="utf-8"))


def test_reload_in_the_middle(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Reloaded")
    add_files(page, *clip[:4])
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    page.keyboard.press("ArrowRight")
    click(page, 0.27, 0.55)
    page.wait_for_url(re.compile(r"\?f=1$"))

    page.reload()
    expect(objects(page)).to_have_count(1)
    expect(page.get_by_role("slider", name="Frame", exact=True)).to_have_attribute("aria-valuenow", "1")
    expect(objects(page).locator(".status")).to_be_visible()  # its mask has come back with it
    page.keyboard.press("Control+z")  # and so has the history
    expect(toast(page, "Undone")).to_be_visible()
    expect(objects(page).locator(".status")).to_have_count(0)


def test_server_killed_and_started_again(new_page: Callable[[], Page], tmp_path: Path) -> None:
    studio = Server(tmp_path / "data")
    studio.start()
    try:
        page = new_page()
        open_photo(page, studio.address, "Killed", MEDIA / "cat.jpg")
        click(page, 0.5, 0.5)
        expect(objects(page)).to_have_count(1)

        studio.stop(signal.SIGKILL)
        page.mouse.click(*place(page, 0.9, 0.1), button="right")
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        studio.start()
        expect(page.get_by_text("The server cannot be reached")).to_have_count(0)

        expect(objects(page)).to_have_count(1)
        expect(objects(page).locator(".status")).to_be_visible()
        click(page, 0.9, 0.1, button="right")
        expect(toast(page, "cannot")).to_have_count(0)
    finally:
        studio.stop()


def test_tracking_goes_on_after_the_server_was_killed(new_page: Callable[[], Page], tmp_path: Path) -> None:
    studio = Server(tmp_path / "data")
    studio.start()
    try:
        page = new_page()
        new_project(page, studio.address, "Killed while tracking")
        add_files(page, MEDIA / "bunny.mp4")
        open_medium(page, "bunny.mp4")
        click(page, 0.27, 0.55)
        page.keyboard.press("t")  # all 100 frames: none too fast a machine is done before the kill
        page.wait_for_function(
            '() => /^[1-9]/.test(document.querySelector("[aria-label=Tracking] .panel__count")?.textContent)'
        )
        studio.stop(signal.SIGKILL)
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        studio.start()
        expect(toast(page, "tracking continues")).to_be_visible()
        expect(toast(page, re.compile(r"Tracked \d+ frames"))).to_be_visible(timeout=4 * PATIENCE_MS)  # 100 frames
        saved(page)
        frames = from_server(page, "masks")["frames"]
        assert [frame["frame_index"] for frame in frames] == list(range(100))
    finally:
        studio.stop()


def test_keyboard_only(page: Page, server: Server) -> None:
    page.goto(server.address)
    page.get_by_role("button", name="New project").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Add files")).to_be_visible()
    add_files(page, MEDIA / "cat.jpg")  # the system's own dialog is not ours to drive
    card = page.locator(".card__link")
    card.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".canvas")).to_be_visible()

    page.keyboard.press("k")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    saved(page)
    expect(objects(page)).to_have_count(1)
    page.keyboard.press("Escape")

    page.keyboard.press("F2")
    page.keyboard.press("Control+a")
    page.keyboard.type("Tiger")
    page.keyboard.press("Enter")
    expect(objects(page)).to_contain_text("Tiger")
    saved(page)
    page.keyboard.press("Control+z")
    expect(objects(page)).not_to_contain_text("Tiger")
    page.keyboard.press("Control+Shift+Z")
    expect(objects(page)).to_contain_text("Tiger")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Shift+Delete")
    expect(objects(page)).to_have_count(0)


def test_a_bad_file_is_named_and_the_others_come(page: Page, server: Server, tmp_path: Path) -> None:
    bad = tmp_path / "not a film.mp4"
    bad.write_text("these are words")
    new_project(page, server.address, "Bad file")
    add_files(page, bad, MEDIA / "cat.jpg")
    expect(page.get_by_role("alert")).to_contain_text("not a film.mp4")
    expect(page.locator(".card", has_text="cat.jpg")).to_be_visible()
    expect(page.locator(".card")).to_have_count(1)


def test_two_people_at_once(new_page: Callable[[], Page], tmp_path: Path) -> None:
    data = tmp_path / "data"
    token = new_token(data, "bea")
    studio = Server(data, "--token", "the-admins-long-token-0123456789")
    studio.start()
    try:
        people = {"Ada's": new_page(), "Bea's": new_page()}
        for (name, page), secret in zip(people.items(), ("the-admins-long-token-0123456789", token), strict=True):
            page.goto(studio.address)
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_be_visible()
            page.get_by_label("Token").fill(secret)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Projects")).to_be_visible()
            open_photo(page, studio.address, name, MEDIA / "cat.jpg")
        for page in people.values():
            page.mouse.click(*place(page, 0.5, 0.5))  # both before either has its answer
        for page in people.values():
            expect(objects(page)).to_have_count(1)
            expect(objects(page).locator(".status")).to_be_visible()
        for name, page in people.items():
            page.goto(studio.address)
            expect(page.locator(".card__name")).to_have_text([name])
    finally:
        studio.stop()


def new_token(data: Path, name: str) -> str:
    command = [sys.executable, "-m", "masklet", "users", "add", name, "--data", str(data)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return max(printed.split(), key=len)


def test_two_fingers_zoom_and_a_tap_clicks(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    try:
        open_photo(page, server.address, "By touch", MEDIA / "cat.jpg")
        page.touchscreen.tap(*place(page, 0.5, 0.5))
        expect(objects(page)).to_have_count(1)

        zoom = page.locator(".zoom__value")
        before = int(zoom.inner_text().rstrip(" %"))
        x, y = place(page, 0.5, 0.5)
        fingers = context.new_cdp_session(page)
        for kind, reach in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
            points = (
                [] if kind == "touchEnd" else [{"x": x - reach, "y": y, "id": 1}, {"x": x + reach, "y": y, "id": 2}]
            )
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_function(
            "(wanted) => Math.abs(parseInt(document.querySelector('.zoom__value').textContent) / wanted - 1) < 0.1",
            arg=2 * before,
        )
        expect(objects(page)).to_have_count(1)  # two fingers are no click
    finally:
        context.close()
