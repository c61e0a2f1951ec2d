"""Local mode: the page runs the model itself, and the server only keeps the results."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from masklet.masks.rle import decode_rle
from tests.serving import Server

from .conftest import MEDIA
from .studio_page import (
    click,
    from_server,
    in_page,
    objects,
    open_photo,
    place,
    saved,
)


def test_clicks_need_no_server_and_are_kept_when_it_is_back(new_page: Callable[[], Page], tmp_path: Path) -> None:
    studio = Server(tmp_path / "data")
    studio.start()
    try:
        page = new_page()
        open_photo(page, studio.address, "By itself", MEDIA / "astronaut.jpg")
        in_page(page)
        where = place(page, 0.43, 0.2)
        studio.stop(signal.SIGKILL)

        page.mouse.click(*place(page, 0.45, 0.75))
        expect(objects(page).locator(".status")).to_have_text(re.compile(r"\d+ %"))  # there is a mask
        expect(page.locator(".candidate")).to_have_count(3)
        confidence = page.locator(".candidate").nth(1).inner_text()
        page.locator(".candidate").nth(1).click()
        page.keyboard.press("n")
        page.mouse.click(*where)
        expect(objects(page)).to_have_count(2)
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        assert place(page, 0.43, 0.2) == where  # nothing moves away under the pointer
        expect(objects(page).locator(".status")).to_have_text([confidence, re.compile(r"\d+ %")])

        studio.start()
        saved(page)
        kept = from_server(page, "masks")["frames"][0]["objects"]
        assert [mask["object_id"] for mask in kept] == [1, 2]
        areas = [int(decode_rle(mask["rle"]).sum()) for mask in kept]
        assert min(areas) > 500
        prompts = from_server(page, "frames/0/prompts")["prompts"]
        assert (prompts["1"]["candidate"], len(prompts["2"]["points"])) == (1, 1)
        page.reload()
        expect(objects(page)).to_have_count(2)
    finally:
        studio.stop()


def test_the_server_corrects_what_the_page_has_answered(page: Page, server: Server) -> None:
    open_photo(page, server.address, "In turns", MEDIA / "astronaut.jpg")
    in_page(page)
    click(page, 0.45, 0.75)
    by_page = decode_rle(from_server(page, "masks")["frames"][0]["objects"][0]["rle"])
    page.get_by_role("radio", name="On the server").click()
    click(page, 0.12, 0.75, button="right")
    corrected = decode_rle(from_server(page, "masks")["frames"][0]["objects"][0]["rle"])
    assert np.count_nonzero(corrected != by_page) > 0
    assert not corrected[int(0.75 * 512), int(0.12 * 512)]
