"""The page's own decoder: the same graphs and bytes give the same mask as the server's engine."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import masklet
from masklet.engine.staged import STAGE_OUTPUTS
from masklet.masks.rle import decode_rle
from masklet.masks.shown import shown_logits
from masklet.prompts import Prompt
from masklet.server.app import create_app
from masklet.server.settings import Settings
from tests.server.conftest import OWN_PAGE, Page

PHOTO = Path(masklet.__file__).parents[2] / "examples" / "media" / "cat.jpg"


def arrays_of(data: bytes) -> dict[str, np.ndarray]:
    """Read safetensors as a page does."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    return {
        name: np.frombuffer(body[slice(*about["data_offsets"])], "<f4").reshape(about["shape"])
        for name, about in header.items()
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = create_app(Settings(data=tmp_path_factory.mktemp("data")), masklet.load("nano"))
    with Page(app, base_url="http://127.0.0.1", headers=OWN_PAGE) as opened:
        yield opened


def test_the_graphs_give_the_same_mask_as_the_engine(page: Page) -> None:
    answer = page.post(f"/api/v1/projects/{page.new_project()}/media", files={"files": ("cat.jpg", PHOTO.read_bytes())})
    medium = answer.json()["media"][0]
    width, height = medium["width"], medium["height"]
    click = (0.55 * width, 0.5 * height)
    about = page.get("/api/v1/graphs").json()
    session = onnxruntime.InferenceSession(page.get(about["graphs"]["decode"]).content)
    side, low = about["image_size"], about["low_res_size"]
    arrays = arrays_of(page.get(f"/api/v1/media/{medium['id']}/frames/0/embedding").content)
    square = np.array([[click[0] * side / width, click[1] * side / height], [0, 0]], np.float32)
    logits, ious, *_ = session.run(
        ["low_res_logits", "iou_predictions"],
        {
            **arrays,
            "points_xy": square[None],
            "labels": np.array([[1, -1]], np.int64),
            "mask_logits": np.zeros((1, 1, low, low), np.float32),
            "has_mask": np.zeros(1, np.bool_),
        },
    )
    best = 1 + int(ious[0, 1:].argmax())
    info = page.app.state.studio.engine.info  # type: ignore[attr-defined]
    in_page = shown_logits(logits[0, best], info, Prompt.create(points_xy=[click]), (height, width)) > 0
    duck = page.new_object(medium["id"])
    candidates = page.click(medium["id"], duck, points=[list(click)])["candidates"]
    on_server = decode_rle(candidates[0]["rle"])
    assert candidates[0]["iou_prediction"] == pytest.approx(float(ious[0, best]), abs=1e-3)
    assert on_server.any()
    assert (in_page != on_server).mean() < 1e-4


def test_the_manifest_is_the_exported_folders(page: Page) -> None:
    about = page.get("/api/v1/graphs").json()
    assert about["manifest"]["spec"]["image_size"] == about["image_size"]
    assert set(about["graphs"]) == set(STAGE_OUTPUTS)
    assert page.get("/api/v1/graphs/model.json").json() == about["manifest"]
