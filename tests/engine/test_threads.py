"""Threads share a model: the statements of docs/guides/threads.md, over both engines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.api import Model
from masklet.media.images import read_image
from masklet.records import BoolArray
from tests.engine.test_engines import make_engine

MEDIA = Path(__file__).resolve().parents[2] / "examples" / "media"
BOXES = [(100, 40, 330, 290), (20, 20, 200, 200)]


@pytest.fixture(scope="module", params=["onnx", "torch"])
def model(request: pytest.FixtureRequest) -> Model:
    return Model(make_engine(request.param))


def at_once(function: Any, arguments: list[Any]) -> list[Any]:
    """Call a function once per argument, each in its own thread, all started together."""
    barrier = threading.Barrier(len(arguments))

    def call(argument: Any) -> Any:
        barrier.wait(timeout=60)
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


def test_threads_share_a_segmenter(model: Model) -> None:
    segmenter = model.segmenter()
    photos = [read_image(MEDIA / name) for name in ("cat.jpg", "coffee.jpg")]

    def segment(rgb: Any) -> BoolArray:
        return segmenter.set_image(rgb).predict(box_xyxy=BOXES[0]).mask

    for alone, together in zip([segment(photo) for photo in photos], at_once(segment, photos), strict=True):
        assert np.array_equal(alone, together)


def test_threads_share_an_encoded_image(model: Model) -> None:
    image = model.segmenter().set_image(MEDIA / "cat.jpg")

    def logits(box: Any) -> Any:
        return image.predict(box_xyxy=box).low_res_logits

    for alone, together in zip([logits(box) for box in BOXES], at_once(logits, BOXES), strict=True):
        assert np.array_equal(alone, together)


def test_trackers_in_threads_share_a_model(model: Model) -> None:
    rgb = read_image(MEDIA / "cat.jpg")
    frames = [np.roll(rgb, 4 * shift, axis=1) for shift in range(2)]

    def track(box: Any) -> list[BoolArray]:
        tracker = model.tracker(frames)
        tracker.prompt(box_xyxy=box)
        return [masks.mask(1) for masks in tracker.run()]

    for alone, together in zip([track(box) for box in BOXES], at_once(track, BOXES), strict=True):
        assert np.array_equal(np.stack(alone), np.stack(together))


def test_a_tracker_moves_to_another_thread(model: Model) -> None:
    rgb = read_image(MEDIA / "cat.jpg")
    tracker = model.tracker([rgb] * 3)
    tracker.prompt(box_xyxy=BOXES[0])
    frames = tracker.run()
    first = next(frames)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(next, frames).result()
    assert [first.frame_index, second.frame_index, next(frames).frame_index] == [0, 1, 2]


def test_another_thread_cancels_a_run(model: Model) -> None:
    rgb = read_image(MEDIA / "cat.jpg")
    tracker = model.tracker([rgb] * 4)
    tracker.prompt(box_xyxy=BOXES[0])
    seen = []
    for masks in tracker.run():
        seen.append(masks.frame_index)
        if masks.frame_index == 1:
            canceller = threading.Thread(target=tracker.cancel)
            canceller.start()
            canceller.join()
    assert seen == [0, 1]
    seen += [masks.frame_index for masks in tracker.proceed()]
    assert seen == [0, 1, 2, 3]
    assert not list(tracker.proceed())
