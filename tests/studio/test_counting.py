"""Counting in the studio: a line and a region drawn on the picture, counts, and the frames that show them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from masklet.masks.rle import encode_rle
from masklet.media.images import open_image
from tests.serving import Server

from .studio_page import add_files, medium_id, new_project, open_medium, place


def _import_walk(page: Page, address: str, size_hw: tuple[int, int], num_frames: int) -> None:
    """Give the open medium an object that walks from the left to the right, one step per frame."""
    height, width = size_hw
    annotations = []
    for frame in range(num_frames):
        mask = np.zeros(size_hw, bool)
        left = round((0.05 + 0.75 * frame / (num_frames - 1)) * width)
        mask[int(0.4 * height) : int(0.6 * height), left : left + int(0.15 * width)] = True
        fields = {"id": frame, "image_id": frame, "object_id": 1, "category_id": 1, "confidence": 0.8}
        annotations.append({**fields, "segmentation": encode_rle(mask)})
    images = [{"id": frame, "file_name": f"{frame}.jpg", "frame_index": frame} for frame in range(num_frames)]
    document = {"images": images, "categories": [{"id": 1, "name": "rabbit"}], "annotations": annotations}
    answer = page.request.post(
        f"{address}/api/v1/media/{medium_id(page)}/import",
        multipart={
            "files": {"name": "a.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
        },
        headers={"X-Masklet": "1"},
    )
    assert answer.ok, answer.text()
    page.reload()
    expect(page.locator(".canvas")).to_be_visible()


def test_a_line_and_a_region(page: Page, server: Server, clip: list[Path]) -> None:
    new_project(page, server.address, "Counts")
    add_files(page, *clip)
    page.get_by_role("button", name="One video").click()
    open_medium(page, "000")
    with open_image(clip[0]) as image:
        size_hw = image.height, image.width
    _import_walk(page, server.address, size_hw, len(clip))

    page.get_by_role("button", name="Count", exact=True).click()
    panel = page.get_by_role("region", name="Count", exact=True)
    expect(panel.get_by_text("1 object")).to_be_visible()

    panel.get_by_role("button", name="Region", exact=True).click()
    page.mouse.click(*place(page, 0.3, 0.5))
    panel.get_by_role("button", name="Line", exact=True).click()  # another kind than was begun
    page.mouse.click(*place(page, 0.5, 0.1))
    page.mouse.click(*place(page, 0.5, 0.9))
    expect(panel.get_by_test_id("zone-count")).to_have_text("in 1 · out 0")
    panel.get_by_role("button", name="Turn round").click()
    expect(panel.get_by_test_id("zone-count")).to_have_text("in 0 · out 1")

    panel.get_by_role("button", name="Line", exact=True).click()
    panel.get_by_role("button", name="Region", exact=True).click()
    for x, y in ((0.6, 0.1), (0.95, 0.1), (0.95, 0.9), (0.6, 0.9)):
        page.mouse.click(*place(page, x, y))
    page.keyboard.press("Enter")
    expect(panel.get_by_test_id("zone-count")).to_have_count(2)
    expect(panel.get_by_test_id("zone-count").last).to_have_text("in 1 · out 0")

    panel.get_by_role("button", name="Region", exact=True).click()
    for x, y in ((0.2, 0.2), (0.4, 0.4), (0.4, 0.2), (0.2, 0.6)):
        page.mouse.click(*place(page, x, y))
    page.keyboard.press("Enter")
    expect(panel.get_by_text("crosses itself")).to_be_visible()
    expect(panel.get_by_test_id("zone-count")).to_have_count(2)

    crossing = panel.locator(".count__crossing").first
    crossing.click()
    expect(crossing).to_have_class("count__crossing count__crossing--shown")

    page.reload()
    page.get_by_role("button", name="Count", exact=True).click()
    expect(panel.get_by_test_id("zone-count")).to_have_count(2)  # what was drawn is still there
    panel.get_by_role("button", name="Delete line 1").click()
    expect(panel.get_by_test_id("zone-count")).to_have_count(1)
