"""Actions of users between runs: undo, accept, hide, name, adopt, close and proceed."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
from typing import Any

import numpy as np
import pytest

from masklet.errors import TrackingError
from masklet.memory.bank import MemoryConfig
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.tracker import Tracker
from tests.fake_engine import LOW_RES, SIZE_HW, FakeEngine, endless, pictures
from tests.tracking.trackers import CLICK, CORRECTION, tracked, tracked_frames

# Undo.


def test_undo_restores_the_prompt_before() -> None:
    tracker, engine = tracked()
    tracker.prompt(1, 12, **CORRECTION)
    list(tracker.retrack())
    engine.attended.clear()
    assert tracker.undo() == (1, 12)
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(12, 30))
    assert engine.recall_of(14).spatial[:1] == ((0, 0),)
    assert (0, 12) not in engine.recall_of(20).spatial


def test_undo_of_a_first_prompt_removes_the_object() -> None:
    tracker, _ = tracked()
    tracker.prompt(3, 5, **CLICK)
    tracker.prompt(3, 5, **CORRECTION)
    assert tracker.undo() == (3, 5)
    assert tracker.object_ids == (1, 2, 3)
    assert tracker._state.tracks[3].prompts[5].prompt.num_points == 1
    assert tracker.undo() == (3, 5)
    assert tracker.object_ids == (1, 2)
    assert tracker.undo() == (2, 0)
    assert tracker.undo() == (1, 0)
    assert tracker.undo() is None
    assert tracker.object_ids == ()


def test_an_unprompted_frame_is_tracked_like_any_other() -> None:
    tracker, engine = tracked()
    tracker.prompt(1, 12, **CORRECTION)
    list(tracker.retrack())
    tracker.unprompt(1, 12)
    results = list(tracker.retrack())
    assert results[0].prompted.tolist() == [False, False]
    assert engine.prompt_of(12) is None
    with pytest.raises(TrackingError, match="object 1 has not been prompted on frame 12"):
        tracker.unprompt(1, 12)
    assert tracker.undo() == (1, 12)
    assert 12 in tracker._state.tracks[1].prompts


def test_an_object_that_starts_later_leaves_no_masks_before() -> None:
    tracker, _ = tracked(objects=(1,))
    tracker.prompt(1, 10, **CLICK)
    tracker.unprompt(1, 0)
    list(tracker.retrack())
    assert tracker.masks_at(5) is None
    masks = tracker.masks_at(10)
    assert masks is not None
    assert masks.object_ids == (1,)


# Accepted frames.


def test_accepted_frames_are_shown_as_they_are_and_stop_a_correction() -> None:
    tracker, engine = tracked()
    tracker.accept(range(15, 18))
    tracker.prompt(1, 12, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == [12, 13, 14]
    engine.encoded.clear()
    engine.decoded.clear()
    results = list(tracker.run(start=14, stop=19))
    assert [masks.object_ids for masks in results] == [(1, 2)] * 5
    assert {15, 16, 17}.isdisjoint(tracked_frames(engine))
    # Frame 18 reads the accepted ones, rebuilt; nothing of the engine is asked on the way through them.
    assert [index for _, index in engine.recall_of(18).spatial][-3:] == [15, 16, 17]


def test_an_accepted_mask_does_not_change() -> None:
    tracker, _ = tracked()
    tracker.accept(3, 1)
    with pytest.raises(TrackingError, match=r"object 1 has been accepted on frame 3.*accepted=False"):
        tracker.prompt(1, 3, **CORRECTION)
    tracker.prompt(2, 3, **CORRECTION)
    tracker.accept(3, 1, accepted=False)
    tracker.prompt(1, 3, **CORRECTION)
    with pytest.raises(TrackingError, match="nothing that is up to date on frame 3 can be accepted"):
        tracker.accept(3)
    with pytest.raises(TrackingError, match="object 9 is unknown"):
        tracker.accept(3, 9)


# Hiding, naming, removing and adopting objects.


def test_a_hidden_object_is_tracked_but_not_shown() -> None:
    tracker, engine = tracked()
    tracker.hide(1)
    assert {masks.object_ids for masks in tracker.run(start=20)} == {(2,)}
    assert {len(prompts) for number, prompts, _ in engine.decoded if number > 20} == {2}
    masks = tracker.masks_at(25)
    assert masks is not None
    assert masks.object_ids == (2,)
    tracker.hide(1, hidden=False)
    masks = tracker.masks_at(25)
    assert masks is not None
    assert masks.object_ids == (1, 2)


def test_names() -> None:
    tracker, _ = tracked()
    tracker.rename(2, "left kidney")
    assert tracker.names == {2: "left kidney"}
    with pytest.raises(TrackingError, match="object 7 is unknown"):
        tracker.rename(7, "x")


def test_removing_an_object_removes_its_masks() -> None:
    tracker, _ = tracked()
    tracker.remove(1)
    masks = tracker.masks_at(4)
    assert masks is not None
    assert masks.object_ids == (2,)


def test_cancel_stops_a_run_within_one_frame() -> None:
    tracker, _ = tracked()
    seen = []
    for masks in tracker.run():
        seen.append(masks.frame_index)
        if masks.frame_index == 4:
            thread = threading.Thread(target=tracker.cancel)
            thread.start()
            thread.join()
    assert seen == [0, 1, 2, 3, 4]
    assert [masks.frame_index for masks in tracker.run(start=5, stop=7)] == [5, 6]


def test_adopted_objects_are_known_from_the_first_frame_on() -> None:
    first, _ = tracked(objects=(4,))
    first.rename(4, "duck")
    first.classify(4, "bird")
    engine = FakeEngine()
    second = Tracker(engine, pictures(5))
    assert second.adopt(first, 4, new_id=9) == 9
    assert (second.names, second.class_names) == ({9: "duck"}, {9: "bird"})
    assert [masks.object_ids for masks in second.run()] == [(9,)] * 5
    assert engine.recall_of(0).spatial == ((0, 0),)
    assert engine.recall_of(0).pointers == ((4, 0),)
    assert [masks.frame_index for masks in second.run("backward")] == [4, 3, 2, 1, 0]
    with pytest.raises(TrackingError, match="object 9 exists here already"):
        second.adopt(first, 4, new_id=9)
    with pytest.raises(TrackingError, match="object 5 is unknown there: known are 4"):
        second.adopt(first, 5)


# Prompts of several parts.


def test_a_mask_with_points_is_corrected_by_them() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(3))
    tracker.prompt(mask=np.ones(SIZE_HW, bool), **CORRECTION)
    next(tracker.run())
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert prompt.num_points == 1
    assert tracker.undo() == (1, 0)
    assert tracker.object_ids == ()


def test_several_boxes_are_one_object() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(3))
    tracker.prompt(box_xyxy=[(0, 0, 3, 3), (4, 0, 8, 3)])
    masks = next(tracker.run())
    assert [prompt.box_xyxy is not None for prompt in engine.decoded[0][1] if prompt] == [True, True]
    assert masks.masks[0, :, : SIZE_HW[1] // 2].all()
    assert masks.prompted.tolist() == [True]


# Bounds.


def test_batches_are_bounded_and_give_the_same() -> None:
    def run(objects_at_once: int) -> tuple[list[list[Any]], int]:
        engine = FakeEngine()
        tracker = Tracker(engine, pictures(4), objects_at_once=objects_at_once)
        for object_id in range(10):
            tracker.prompt(object_id, 0, points_xy=[(object_id % 8, 1)])
        results = [[masks.object_ids, masks.masks.tolist(), masks.object_scores.tolist()] for masks in tracker.run()]
        assert len(engine.encoded) == 4
        return results, max(len(prompts) for _, prompts, _ in engine.decoded)

    few, most_few = run(3)
    many, most_many = run(16)
    assert few == many
    assert (most_few, most_many) == (3, 10)


def test_stored_masks_take_no_memory() -> None:
    tracker = Tracker(FakeEngine(recording=False), pictures(2600))
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    way = tracker.run()

    def blocks_after(count: int) -> int:
        for _ in itertools.islice(way, count):
            pass
        gc.collect()
        return sys.getallocatedblocks()

    early, late = blocks_after(1200), blocks_after(1300)  # Python 3.10 fills its caches for long
    assert late - early < 300
    assert tracker.tracked_frames == (0, 2499)


def test_a_live_source_keeps_no_masks() -> None:
    tracker = Tracker(FakeEngine(), endless())
    tracker.prompt(**CLICK)
    way = tracker.run()
    for _ in range(5):
        next(way)
    assert tracker.masks_at(2) is None
    assert tracker.suggest_frames() == []
    for request in (tracker.retrack, lambda: tracker.accept(2)):
        with pytest.raises(TrackingError):
            request()


def test_editing_retention_needs_no_rebuilding() -> None:
    tracker, engine = tracked(memory=MemoryConfig(retention="editing"))
    tracker.prompt(1, 12, **CORRECTION)
    list(tracker.retrack())
    assert engine.encoded == list(range(12, 30))
    assert LOW_RES == 4


# Continuing.


def test_proceed_continues_an_interrupted_run() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(20))
    tracker.prompt(1, 8, **CLICK)
    tracker.prompt(2, 12, **CLICK)
    whole = [masks.frame_index for masks in tracker.run("both", stop=18)]
    assert list(tracker.proceed()) == []
    for cut in range(len(whole)):
        way = tracker.run("both", stop=18)
        seen = [next(way).frame_index for _ in range(cut + 1)]
        way.close()  # type: ignore[attr-defined]
        rest = [masks.frame_index for masks in tracker.proceed()]
        assert seen + rest == whole


def test_rows_are_those_that_are_stored_and_other_objects_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker(FakeEngine(), pictures(12))
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    assert [index for index, _ in tracker.run_rows(stop=6)] == list(range(6))
    decoded: list[MaskRow] = []
    monkeypatch.setattr(MaskRow, "mask", property(decoded.append))
    for index, rows in tracker.run_rows(start=1, stop=4, object_ids=[2]):
        assert tracker._state.store is not None
        assert rows == tracker._state.store.frame(index)
        assert [row.object_id for row in rows] == [1, 2]
    assert decoded == []


def test_closing_rows_stops_the_run_there() -> None:
    tracker = Tracker(FakeEngine(), pictures(12))
    tracker.prompt(1, 0, **CLICK)
    rows = tracker.run_rows()
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert [masks.frame_index for masks in tracker.proceed()] == list(range(1, 12))
