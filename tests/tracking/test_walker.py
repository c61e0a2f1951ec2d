"""The way through a video: backward, in both directions, and again after corrections far back."""

from __future__ import annotations

import pytest

from masklet.errors import TrackingError
from masklet.memory.bank import MemoryConfig
from masklet.tracking.tracker import Tracker
from tests.fake_engine import SIZE_HW, FakeEngine, pictures
from tests.tracking.trackers import CLICK, CORRECTION, LEFT_HALF, shown, tracked, tracker_of

# Backward and in both directions.


def test_backward_goes_from_the_latest_prompt_to_frame_0() -> None:
    tracker, engine = tracker_of(10)
    tracker.prompt(1, 3, **CLICK)
    tracker.prompt(2, 6, **CLICK)
    assert shown(tracker.run("backward")) == [(6, (2,)), (5, (2,)), (4, (2,)), *((i, (1, 2)) for i in (3, 2, 1, 0))]
    assert engine.recall_of(0, row=0).spatial == ((0, 3), (2, 2), (1, 1))
    assert engine.recall_of(0, row=0).pointers == ((3, 3), (1, 1), (2, 2))


def test_backward_within_start_and_stop() -> None:
    tracker, _ = tracker_of(10)
    tracker.prompt(1, 8, **CLICK)
    assert shown(tracker.run("backward", start=6, stop=3)) == [(6, (1,)), (5, (1,)), (4, (1,))]


def test_both_ways_shows_every_frame_once() -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(1, 3, **CLICK)
    assert shown(tracker.run("both")) == [(index, (1,)) for index in (2, 1, 0, 3, 4, 5)]
    assert engine.recall_of(2).spatial == ((0, 3),)
    assert engine.recall_of(4).spatial == ((0, 3),)  # not what was tracked on the way back
    assert [number for number, _, _ in engine.decoded].count(3) == 1


def test_both_ways_goes_outwards_from_each_objects_first_prompt() -> None:
    tracker, engine = tracker_of(10)
    tracker.prompt(2, 3, **CLICK)
    tracker.prompt(1, 6, **CLICK)
    tracker.prompt(2, 8, **CLICK)
    results = list(tracker.run("both"))
    assert [masks.frame_index for masks in results] == [2, 1, 0, 3, 4, 5, 6, 7, 8, 9]
    assert all(masks.object_ids == (1, 2) for masks in results)
    assert all((masks.masks == LEFT_HALF).all() and masks.masks.shape == (2, *SIZE_HW) for masks in results)
    assert {masks.frame_index: masks.prompted.tolist() for masks in results if masks.prompted.any()} == {
        3: [False, True],
        6: [True, False],
        8: [False, True],
    }
    assert engine.encoded.count(0) == 1


def test_both_ways_decodes_only_the_objects_to_be_tracked() -> None:
    tracker, _ = tracker_of(10)
    tracker.prompt(1, 5, **CLICK)
    tracker.prompt(2, 8, **CLICK)
    tracker.prompt(3, 8, **CLICK)
    tracker.unprompt(3, 8, keep_memory=True)  # it has no prompts left
    run = tracker.run("both", start=3, stop=7, object_ids=[1])
    assert shown(run) == [(index, (1,)) for index in (4, 3, 5, 6)]
    with pytest.raises(TrackingError, match="objects' first prompts, on frames 5 to 8: got start 3 and stop 7"):
        tracker.run("both", start=3, stop=7, object_ids=[1, 2])
    with pytest.raises(TrackingError, match="object 3 has no prompts left"):
        tracker.run("both", start=3, stop=7)
    with pytest.raises(TrackingError, match="object_ids is empty"):
        tracker.run("both", object_ids=[])


def test_both_ways_within_start_and_stop() -> None:
    tracker, _ = tracker_of(10)
    tracker.prompt(1, 5, **CLICK)
    assert [index for index, _ in shown(tracker.run("both", start=3, stop=7))] == [4, 3, 5, 6]
    assert [index for index, _ in shown(tracker.run("both", start=5, stop=7))] == [5, 6]
    with pytest.raises(TrackingError, match="must enclose the objects' first prompts, on frames 5 to 5"):
        tracker.run("both", start=6)


def test_an_object_removed_in_the_backward_pass_is_not_shown_in_the_forward_pass() -> None:
    tracker, _ = tracker_of(8)
    tracker.prompt(1, 2, **CLICK)
    tracker.prompt(2, 6, **CLICK)
    seen = []
    for masks in tracker.run("both"):
        seen.append((masks.frame_index, masks.object_ids))
        if masks.frame_index == 0:
            tracker.remove(2)
    assert seen == [(1, (1, 2)), (0, (1, 2)), *((index, (1,)) for index in range(2, 8))]


def test_official_reads_prompts_ahead() -> None:
    tracker, engine = tracker_of(10, memory=MemoryConfig.official())
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(1, 8, **CLICK)
    list(tracker.run())
    assert engine.recall_of(3).spatial == ((0, 0), (0, 8), (2, 1), (1, 2))
    assert engine.recall_of(3).pointers == ((3, 0), (1, 2), (2, 1))


# Corrections far back.


def test_a_correction_far_back_tracks_its_object_from_there_on_and_no_other() -> None:
    tracker, engine = tracked()
    tracker.prompt(1, 12, **CORRECTION)
    results = list(tracker.retrack())
    assert [masks.frame_index for masks in results] == list(range(12, 30))
    assert all(masks.object_ids == (1, 2) for masks in results)
    assert results[0].prompted.tolist() == [True, False]
    # Its six neighbours are encoded again, and then one object a frame.
    assert engine.encoded == [*range(6, 12), *range(12, 30)]
    assert [len(prompts) for number, prompts, _ in engine.decoded if number > 12] == [1] * 17
    assert list(tracker.retrack()) == []


def test_memories_are_rebuilt_from_the_stored_masks() -> None:
    tracker, engine = tracked()
    tracker.prompt(1, 12, **CORRECTION)
    list(tracker.retrack())
    given = [engine.prompt_of(number) for number in range(6, 12)]
    assert all(prompt is not None and prompt.mask is not None for prompt in given)
    assert engine.recall_of(12).spatial == ((0, 0), (6, 6), (5, 7), (4, 8), (3, 9), (2, 10), (1, 11))
    prompt = engine.prompt_of(12)
    assert prompt is not None
    assert prompt.previous_logits is not None  # the stored mask is what is corrected
    assert engine.recall_of(13).spatial == ((0, 0), (0, 12), (6, 6), (5, 7), (4, 8), (3, 9), (2, 10), (1, 11))


def test_memories_that_the_bank_still_has_are_not_encoded_again() -> None:
    tracker, engine = tracked()
    tracker.prompt(1, 29, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == [29]
    assert engine.encoded == []  # the last frame, with its features and neighbours


def test_a_correction_ends_at_the_next_prompted_frame() -> None:
    tracker, _ = tracked()
    tracker.prompt(1, 20, **CORRECTION)
    list(tracker.retrack())
    tracker.prompt(1, 10, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(10, 20))


def test_a_correction_ends_at_a_prompt_that_is_not_tracked_yet() -> None:
    tracker, engine = tracked(objects=(1,))
    tracker.prompt(1, 20, **CORRECTION)
    tracker.prompt(1, 10, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(10, 30))
    assert [index for slot, index in engine.recall_of(25).spatial if slot == 0] == [0, 10, 20]


def test_frames_tracked_in_the_other_direction_keep_their_masks() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(20))
    tracker.prompt(1, 10, **CLICK)
    list(tracker.run("both"))
    tracker.prompt(1, 5, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == [5, 4, 3, 2, 1, 0]
    tracker.prompt(1, 15, **CORRECTION)
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(15, 20))


def test_an_object_that_comes_later_is_tracked_as_far_as_the_others() -> None:
    tracker, engine = tracked(objects=(1,))
    tracker.prompt(2, 25, **CLICK)
    results = list(tracker.retrack())
    assert [(masks.frame_index, masks.object_ids) for masks in results] == [(i, (1, 2)) for i in range(25, 30)]
    assert [len(prompts) for _, prompts, _ in engine.decoded] == [1] * 5


def test_a_single_object_can_be_tracked_while_others_are_shown() -> None:
    tracker, engine = tracked()
    results = list(tracker.run("backward", start=9, stop=6, object_ids=[2]))
    assert [(masks.frame_index, masks.object_ids) for masks in results] == [(9, (1,)), (8, (1,)), (7, (1,))] or all(
        masks.object_ids == (1, 2) for masks in results
    )
    results = list(tracker.run(start=5, stop=8, object_ids=[2]))
    assert [masks.object_ids for masks in results] == [(1, 2)] * 3
    assert {len(prompts) for _, prompts, _ in engine.decoded} == {1}


def test_a_preview_far_back_does_not_disturb_a_run() -> None:
    tracker, engine = tracked(40)
    way = tracker.run(start=20)
    next(way)
    before = tracker._state.tracks[1].bank.tracked_frames
    tracker.prompt(1, 8, **CORRECTION)
    masks = tracker.preview(8)
    assert masks.frame_index == 8
    assert engine.recall_of(8).spatial == ((0, 0), (6, 2), (5, 3), (4, 4), (3, 5), (2, 6), (1, 7))
    assert tracker._state.tracks[1].bank.tracked_frames in (before, ())
