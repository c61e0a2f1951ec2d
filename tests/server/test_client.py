"""The Python client, against answers made here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from masklet.masks.rle import encode_rle
from masklet.server.client import Medium, Studio, StudioError

NUM_FRAMES, MOST = 100, 30


def test_masks_are_asked_for_in_ranges_that_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def call(self: Medium, method: str, path: str, *_: Any) -> Any:
        match = re.fullmatch(r"/masks\?start=(\d+)&stop=(\d+)", path)
        assert match is not None
        start, stop = map(int, match.groups())
        asked.append(stop - start)
        if stop - start > MOST:
            raise StudioError("ask for fewer frames or objects", 422, "too_many_masks")
        rle = encode_rle(np.ones((2, 3), np.bool_))
        objects = [{"object_id": 1, "rle": rle}]
        return {"frames": [{"frame_index": index, "objects": objects} for index in range(start, stop)]}

    monkeypatch.setattr(Medium, "_call", call)
    medium = Medium(Studio(), {"id": "a", "num_frames": NUM_FRAMES})
    masks = medium.masks()
    assert list(masks) == list(range(NUM_FRAMES))
    assert masks[99][1].all()
    assert asked[-1] <= MOST


def test_a_frame_with_too_many_masks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Medium, *_: Any) -> Any:
        raise StudioError("ask for fewer frames or objects", 422, "too_many_masks")

    monkeypatch.setattr(Medium, "_call", refuse)
    with pytest.raises(StudioError, match="ask for fewer"):
        Medium(Studio(), {"id": "a", "num_frames": NUM_FRAMES}).masks()
