"""The tracker, driven by an engine on integers: what it asks for, in which order, and what it keeps."""

from __future__ import annotations

import gc
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from masklet.errors import MaskletError, PromptError, TrackingError, VideoError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import IteratorSource
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import ByteArray
from masklet.tracking.tracker import Tracker
from tests.fake_engine import SIZE_HW, FakeEngine, endless, frame, picture, pictures
from tests.tracking.trackers import CLICK, CORRECTION, LEFT_HALF, shown, tracker_of

# Forward.


def test_a_click_becomes_a_mask_on_every_frame() -> None:
    tracker, engine = tracker_of(4)
    tracker.prompt(**CLICK)
    results = list(tracker.run())
    assert [masks.frame_index for masks in results] == [0, 1, 2, 3]
    assert [masks.prompted.tolist() for masks in results] == [[True], [False], [False], [False]]
    for masks in results:
        assert masks.object_ids == (1,)
        assert masks.masks.shape == (1, *SIZE_HW)
        assert masks.masks.dtype == np.bool_
        assert (masks.mask(1) == LEFT_HALF).all()
        assert masks.iou_predictions.tolist() == pytest.approx([0.9])
        assert masks.object_scores.tolist() == [8.0]
    assert engine.recall_of(0).is_empty
    assert engine.recall_of(3).spatial == ((0, 0), (2, 1), (1, 2))
    assert engine.memorised == [(0, (True,)), (1, (False,)), (2, (False,)), (3, (False,))]


def test_objects_share_one_encoding_and_one_call_of_each_kind_per_frame() -> None:
    tracker, engine = tracker_of(5)
    for object_id in (7, 3, 5):
        tracker.prompt(object_id, **CLICK)
    assert shown(tracker.run()) == [(index, (3, 5, 7)) for index in range(5)]
    assert engine.encoded == [0, 1, 2, 3, 4]
    assert [(number, len(recalls)) for number, recalls in engine.attended] == [(index, 3) for index in range(5)]
    assert [(number, len(prompts)) for number, prompts, _ in engine.decoded] == [(index, 3) for index in range(5)]
    assert [(number, len(prompted)) for number, prompted in engine.memorised] == [(index, 3) for index in range(5)]


def test_an_object_prompted_later_is_absent_before() -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 3, **CLICK)
    assert [ids for _, ids in shown(tracker.run())] == [(1,)] * 3 + [(1, 2)] * 3
    assert engine.prompt_of(3, row=0) is None
    assert engine.recall_of(3, row=0).spatial == ((0, 0), (2, 1), (1, 2))
    assert engine.recall_of(3, row=1).is_empty
    assert engine.recall_of(5, row=1).spatial == ((0, 3), (1, 4))


def test_frames_without_objects_are_not_encoded() -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(1, 4, **CLICK)
    results = list(tracker.run(start=2))
    assert [(masks.frame_index, masks.object_ids) for masks in results] == [(2, ()), (3, ()), (4, (1,)), (5, (1,))]
    assert results[0].masks.shape == (0, *SIZE_HW)
    assert engine.encoded == [4, 5]


def test_a_start_after_the_prompt_remembers_the_prompt_first() -> None:
    tracker, engine = tracker_of(10)
    tracker.prompt(1, 1, **CLICK)
    assert shown(tracker.run(start=6, stop=8)) == [(6, (1,)), (7, (1,))]
    assert engine.encoded == [1, 6, 7]
    assert engine.recall_of(6).spatial == ((0, 1),)


def test_an_absent_object_has_an_empty_mask_and_its_score() -> None:
    tracker, _ = tracker_of(4, FakeEngine(lambda number: -6.0 if number == 2 else 8.0))
    tracker.prompt(**CLICK)
    results = list(tracker.run())
    assert [bool(masks.masks.any()) for masks in results] == [True, True, False, True]
    assert results[2].object_ids == (1,)
    assert results[2].object_scores.tolist() == [-6.0]


def test_a_second_prompt_later_in_the_video_stays_in_memory() -> None:
    tracker, engine = tracker_of(20)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(1, 10, box_xyxy=(1, 1, 4, 4))
    results = list(tracker.run())
    assert engine.recall_of(10).is_empty  # a prompt that locates the object reads no memory
    assert engine.recall_of(9).spatial[0] == (0, 0)
    assert engine.recall_of(19).spatial[:2] == ((0, 0), (0, 10))
    assert [masks.frame_index for masks in results if masks.prompted.any()] == [0, 10]


def test_a_single_background_click_reads_memory() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(1, 5, **CORRECTION)
    list(tracker.run())
    assert engine.recall_of(5).spatial == ((0, 0), (4, 1), (3, 2), (2, 3), (1, 4))


# Adding and removing objects.


def test_an_object_added_while_tracking_runs() -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(1, 0, **CLICK)
    seen = []
    for masks in tracker.run():
        seen.append(masks.object_ids)
        if masks.frame_index == 2:
            tracker.prompt(2, 2, **CLICK)
            assert tracker.preview(2).object_ids == (2,)
    assert seen == [(1,)] * 3 + [(1, 2)] * 3
    assert engine.recall_of(3, row=1).spatial == ((0, 2),)
    assert engine.encoded == list(range(6))


def test_remove_forgets_everything_so_an_id_can_be_reused() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    seen = []
    for masks in tracker.run():
        seen.append(masks.object_ids)
        if masks.frame_index == 2:
            tracker.remove(1)
        if masks.frame_index == 4:
            tracker.prompt(1, 5, **CLICK)
    assert seen == [(1, 2)] * 3 + [(2,)] * 2 + [(1, 2)] * 3
    assert engine.recall_of(5, row=0).is_empty
    with pytest.raises(TrackingError, match="object 9 is unknown: known are 1, 2"):
        tracker.remove(9)


def test_reset_forgets_all_objects() -> None:
    tracker, _ = tracker_of()
    tracker.prompt(1, 0, **CLICK)
    list(tracker.run())
    tracker.reset()
    assert tracker.object_ids == ()
    with pytest.raises(TrackingError, match="nothing to track yet"):
        tracker.run()


def test_non_overlap_gives_a_pixel_to_the_higher_logit() -> None:
    tracker, _ = tracker_of(2, non_overlap=True)
    tracker.prompt(1, 0, **CLICK)  # a single click: the best of three candidates has logits of 41
    tracker.prompt(2, 0, box_xyxy=(0, 0, 4, 4))  # a box: one candidate, with logits of 1
    masks = next(tracker.run())
    assert (masks.mask(1) == LEFT_HALF).all()
    assert not masks.mask(2).any()
    overlapping, _ = tracker_of(2)
    overlapping.prompt(1, 0, **CLICK)
    overlapping.prompt(2, 0, box_xyxy=(0, 0, 4, 4))
    assert (next(overlapping.run()).masks == LEFT_HALF).all()


# Frames given to step, and sources that run once.


def test_step_needs_no_source() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine)
    assert tracker.step(frame(3)).object_ids == ()
    prompt = Prompt.create(points_xy=[(1, 1)])
    assert tracker.step(frame(4), {5: prompt}).prompted.tolist() == [True]
    assert tracker.step(frame(6)).object_ids == (5,)  # a frame was dropped
    assert engine.recall_of(6).spatial == ((0, 4),)
    with pytest.raises(TrackingError, match="no source"):
        tracker.run()
    with pytest.raises(PromptError, match="outside the frame"):
        tracker.step(frame(7), {5: Prompt.create(points_xy=[(100, 1)])})


def test_a_frame_of_the_same_number_but_other_pixels_is_encoded() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine)
    tracker.step(frame(0), {1: Prompt.create(points_xy=[(1, 1)])})
    tracker.reset()
    other = frame(0)
    other.rgb[...] = 9
    tracker.step(other, {1: Prompt.create(points_xy=[(1, 1)])})
    assert len(engine.encoded) == 2


def test_an_iterator_is_tracked_as_it_comes() -> None:
    tracker = Tracker(FakeEngine(), endless())
    tracker.prompt(1, 2, **CLICK)
    assert shown(itertools.islice(tracker.run(), 3)) == [(2, (1,)), (3, (1,)), (4, (1,))]
    with pytest.raises(TrackingError, match="frame 3 has passed"):
        tracker.prompt(1, 3, **CLICK)
    tracker.prompt(1, 4, **CORRECTION)
    assert tracker.preview(4).frame_index == 4
    assert shown(itertools.islice(tracker.run(), 2)) == [(5, (1,)), (6, (1,))]
    with pytest.raises(TrackingError, match="cannot go back"):
        tracker.run("backward")
    with pytest.raises(TrackingError, match="cannot seek, so start must be left out"):
        tracker.run(start=3)


@pytest.mark.parametrize("memory", [MemoryConfig(), MemoryConfig.official()])
def test_memory_does_not_grow_with_the_video(memory: MemoryConfig) -> None:
    tracker = Tracker(FakeEngine(recording=False), endless(), memory=memory)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    frames = tracker.run()

    def blocks_after(count: int) -> int:
        """Pieces of memory that Python has handed out; every kept number or record is at least one."""
        for _ in itertools.islice(frames, count):
            pass
        gc.collect()
        return sys.getallocatedblocks()

    early, late = blocks_after(100), blocks_after(1900)
    assert late - early < 200


def test_a_source_that_breaks_off_delivers_the_frames_before() -> None:
    def broken() -> Iterator[ByteArray]:
        yield from pictures(3)
        raise VideoError("the cable is out", frame_index=3)

    tracker = Tracker(FakeEngine(), IteratorSource(broken()))
    tracker.prompt(**CLICK)
    frames = tracker.run()
    assert [next(frames).frame_index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(VideoError, match="the cable is out"):
        next(frames)


# Bad requests.


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"frame_index": 10, **CLICK}, TrackingError, "frame 10 does not exist.* has 10: the last is 9"),
        ({"frame_index": -1, **CLICK}, TrackingError, "frame -1 does not exist"),
        ({"frame_index": 1.5, **CLICK}, PromptError, "frame_index must be a whole number, got 1.5"),
        ({"object_id": "cat", **CLICK}, PromptError, "object_id must be a whole number, got 'cat'"),
        ({"points_xy": [(8.5, 2)]}, PromptError, r"\(8.5, 2\) lies outside the frame, which is 8 wide and 6 high"),
        ({"box_xyxy": (4, 4, 2, 2)}, PromptError, "left < right"),
        ({"mask": np.ones((3, 3))}, PromptError, "8 x 6"),
        ({}, PromptError, "empty"),
    ],
)
def test_a_bad_prompt_is_refused_and_leaves_no_object(
    arguments: dict[str, Any], error: type[MaskletError], text: str
) -> None:
    tracker, _ = tracker_of(10)
    with pytest.raises(error, match=text):
        tracker.prompt(**arguments)
    assert tracker.object_ids == ()


def test_bad_runs_are_refused_at_once() -> None:
    tracker, _ = tracker_of(10)
    with pytest.raises(TrackingError, match="nothing to track yet"):
        tracker.run()
    tracker.prompt(**CLICK)
    with pytest.raises(TrackingError, match="direction must be one of 'forward', 'backward', 'both', got 'up'"):
        tracker.run("up")  # type: ignore[arg-type]
    with pytest.raises(TrackingError, match="frame 12 does not exist"):
        tracker.run(start=12)
    with pytest.raises(TrackingError, match="direction must be 1"):
        tracker.step(frame(0), direction=2)


def test_edges_change_what_is_shown_and_nothing_that_is_remembered() -> None:
    frames = []
    for number in range(6):
        rgb = np.full((48, 64, 3), 90, np.uint8)
        rgb[:, 34:] = 230  # the engine says that the object ends at column 32
        rgb[0, 0] = number, 0, 0
        frames.append(rgb)
    given = np.zeros((48, 64), bool)
    given[10:20, 10:33] = True
    asked, shown = [], []
    for edges in (None, EdgeConfig()):
        engine = FakeEngine()
        tracker = Tracker(engine, frames, edges=edges)
        tracker.prompt(1, 0, **CLICK)
        tracker.prompt(2, 2, mask=given)
        masks = list(tracker.run())
        shown.append([one.mask(1).any(axis=0).sum() for one in masks])
        asked.append((engine.attended, engine.memorised))
        assert (masks[2].mask(2) == given).all()  # what the user says is exact
    assert shown == [[32] * 6, [34] * 6]
    assert asked[0] == asked[1]


def test_memory_slots_fit_the_model() -> None:
    tracker = Tracker(FakeEngine(), memory=MemoryConfig(spatial_slots=12))
    assert tracker.memory.spatial_slots == 7
    assert picture(70_000)[0, 0].tolist() == [112, 17, 1]
