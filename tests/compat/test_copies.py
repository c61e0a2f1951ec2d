"""Copies, pickles, other processes, and autocast around any of the calls."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

import masklet
from masklet.errors import TrackingError
from masklet.records import ByteArray

torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")

from masklet.compat.sam2 import SAM2ImagePredictor, SAM2VideoPredictor, build_sam2  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402

CLICK: dict[str, Any] = {"points": [[20, 30]], "labels": [1]}


def masks_of(video: SAM2VideoPredictor, state: Any) -> list[Any]:
    return [logits.float().numpy() for _, _, logits in video.propagate_in_video(state)]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_models_and_predictors_can_be_copied(
    tiny_engine: TorchEngine, small_photo: ByteArray, name: str, copied: Any
) -> None:
    predictor = SAM2ImagePredictor(build_sam2(None, "nano") if name == "nano" else tiny_engine)
    predictor.set_image(small_photo)
    expected = predictor.predict([[20, 30]], [1])
    again = copied(predictor)
    assert again.model.engine is not predictor.model.engine
    assert again.model.engine.spec == predictor.model.engine.spec
    np.testing.assert_array_equal(again.predict([[20, 30]], [1])[2], expected[2])
    again.set_image(small_photo)
    np.testing.assert_array_equal(again.predict([[20, 30]], [1])[2], expected[2])


def test_a_copied_state_goes_its_own_way(tiny_engine: TorchEngine, clip: list[ByteArray]) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    video.add_new_points_or_box(state, 0, "cat", **CLICK)
    before = masks_of(video, state)
    copied = copy.deepcopy(state)
    video.add_new_points_or_box(copied, 2, "dog", **CLICK)
    assert (state["obj_ids"], copied["obj_ids"]) == (["cat"], ["cat", "dog"])
    assert masks_of(video, copied)[3].shape[0] == 2
    np.testing.assert_array_equal(masks_of(video, state), before)
    with pytest.raises(TrackingError, match=r"inference_state cannot be pickled.*init_state"):
        pickle.dumps(state)


def test_a_copied_tracker_goes_its_own_way(clip: list[ByteArray]) -> None:
    tracker = masklet.load("nano").tracker(clip)
    tracker.prompt(1, 0, points_xy=[(20, 30)])
    first = [masks.masks for masks in tracker.run()]
    copied = copy.deepcopy(tracker)
    copied.prompt(2, 1, points_xy=[(60, 20)])
    list(copied.retrack())
    assert (tracker.object_ids, copied.object_ids) == ((1,), (1, 2))
    stored = tracker.masks_at(3)
    assert stored is not None
    np.testing.assert_array_equal(stored.masks, first[3])
    assert copied.undo() == (2, 1)
    with pytest.raises(TrackingError, match=r"tracker cannot be pickled.*save"):
        pickle.dumps(tracker)


def area_in_process(model: Any, rgb: ByteArray, results: Any) -> None:
    results.put(int(model.segmenter().set_image(rgb).predict(points_xy=[(20, 30)]).mask.sum()))


def test_a_model_goes_to_a_spawned_process(small_photo: ByteArray) -> None:
    model = masklet.load("nano")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=area_in_process, args=(model, small_photo, results))
    process.start()
    area = results.get(timeout=120)
    process.join()
    assert area == model.segmenter().set_image(small_photo).predict(points_xy=[(20, 30)]).mask.sum()


def autocast(dtype: Any) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast("cpu", dtype=dtype)


@pytest.mark.parametrize(
    ("prompting", "propagating"),
    [
        (torch.bfloat16, None),
        (None, torch.bfloat16),
        (torch.float16, None),
        (torch.bfloat16, torch.float16),
        (torch.float16, torch.float16),
    ],
    ids=str,
)
def test_autocast_may_be_around_any_call(
    tiny_engine: TorchEngine, clip: list[ByteArray], prompting: Any, propagating: Any
) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    with autocast(prompting):
        state = video.init_state(clip)
        video.add_new_points_or_box(state, 0, 1, **CLICK)
    with autocast(propagating):
        masks = masks_of(video, state)
    with autocast(prompting):
        video.add_new_points_or_box(state, 2, 1, points=[[60, 20]], labels=[0])
    assert len(masks_of(video, state)) == len(masks) == len(clip)
    predictor = SAM2ImagePredictor(tiny_engine)
    with autocast(prompting):
        predictor.set_image(clip[0])
    with autocast(propagating):
        _, _, logits = predictor.predict([[20, 30]], [1])
    assert predictor.predict([[20, 30]], [1], mask_input=logits[:1])[0].dtype == np.float32
