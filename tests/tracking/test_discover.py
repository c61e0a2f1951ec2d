"""Discovery in a video: which objects are found, shown, stored, followed and found again, and under which ids."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.discovery import Detection, DiscoveryConfig
from masklet.errors import DataError, SessionError, TrackingError
from masklet.records import ByteArray, FrameMasks
from masklet.tracking.tracker import Tracker
from tests.scene_engine import Scene, SceneEngine, filled, frame_number, pictures, still
from tests.tracking.trackers import shown

LEFT, RIGHT, LOW = (1, 1, 6, 6), (9, 1, 14, 6), (1, 9, 6, 14)
RULES = DiscoveryConfig(every=2, max_absence=4)


def seeing(scene: Scene, misses: Callable[[int, int], bool] = lambda box, number: False) -> Any:
    """A detector that sees the boxes of a scene as masks, but for those that it misses, by box and frame."""

    def detect(rgb: ByteArray) -> Any:
        number = frame_number(rgb)
        places = {box: place(number) for box, place in scene.items() if not misses(box, number)}
        present = {box: place for box, place in places.items() if place is not None}
        return [filled(place) for place in present.values()], None, [f"kind {box}" for box in present]

    return detect


def tracker_of(scene: Scene, count: int = 20, **options: Any) -> Tracker[int]:
    return Tracker(SceneEngine(scene, **options), pictures(count))


def stored(tracker: Tracker[int]) -> dict[int, tuple[int, ...]]:
    """The objects with a mask that is not empty, by frame."""
    return {
        index: tuple(i for row, i in enumerate(masks.object_ids) if masks.masks[row].any())
        for index in range(tracker.num_frames or 0)
        if (masks := tracker.masks_at(index)) is not None
    }


def present(results: Iterator[FrameMasks]) -> dict[int, tuple[int, ...]]:
    return {
        masks.frame_index: tuple(i for row, i in enumerate(masks.object_ids) if masks.masks[row].any())
        for masks in results
    }


# Birth and confirmation.


def test_an_object_is_shown_once_it_was_detected_three_times() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 8)
    results = shown(tracker.discover(seeing(scene), config=RULES))
    assert results == [(0, ()), (1, ()), (2, ()), (3, ()), (4, (1,)), (5, (1,)), (6, (1,)), (7, (1,))]


def test_its_earlier_masks_are_stored_when_it_is_confirmed() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 8)
    for masks in tracker.discover(seeing(scene), config=RULES):
        if masks.frame_index == 3:
            assert stored(tracker) == dict.fromkeys(range(4), ())
    assert stored(tracker) == dict.fromkeys(range(8), (1,))
    masks = tracker.masks_at(0)
    assert masks is not None
    assert (masks.mask(1) == filled(LEFT)).all()


def test_what_is_detected_once_only_leaves_nothing() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    results = shown(tracker.discover(seeing(scene, lambda box, number: number > 0), config=RULES))
    assert results == [(index, ()) for index in range(20)]
    assert tracker.discovered == {}
    assert tracker.object_ids == ()
    assert tracker.masks_at(0) is None


def test_at_the_end_of_the_video_what_was_mostly_detected_is_confirmed() -> None:
    scene = {1: still(*LEFT, first=6)}
    tracker = tracker_of(scene, 9)
    assert present(tracker.discover(seeing(scene), config=RULES)) == dict.fromkeys(range(9), ())
    assert stored(tracker) == dict.fromkeys(range(6, 9), (1,))


def test_the_last_frame_confirms_or_refutes_what_was_detected_once() -> None:
    scene = {1: still(*LEFT, first=6), 2: still(*RIGHT, first=6)}
    tracker = tracker_of(scene, 8)
    results = tracker.discover(seeing(scene, lambda box, number: box == 2 and number > 6), config=RULES)
    assert present(results) == dict.fromkeys(range(8), ())
    assert stored(tracker) == dict.fromkeys(range(6, 8), (1,))


def test_ids_ascend_in_the_order_of_birth_and_are_never_used_again() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=8)}
    tracker = tracker_of(scene, 20)
    once = seeing(scene, lambda box, number: box == 1 and number > 0)  # object 1 fails
    assert present(tracker.discover(once, config=RULES))[19] == (2,)
    assert set(tracker.discovered) == {2}


def test_labels_become_classes_and_the_most_frequent_one_counts() -> None:
    scene = {1: still(*LEFT)}
    labels = iter(["cat", "dog", "dog", "dog"])
    tracker = tracker_of(scene, 8)
    for masks in tracker.discover(lambda rgb: ([filled(LEFT)], [0.9], [next(labels)]), config=RULES):
        if masks.frame_index == 0:
            assert tracker.class_names == {1: "cat"}
    assert tracker.class_names == {1: "dog"}
    assert tracker.discovered[1].label == "dog"


def test_a_class_that_a_user_gives_stays() -> None:
    scene = {1: still(*LEFT)}
    labels = iter(["cat", "dog", "dog", "dog"])
    tracker = tracker_of(scene, 8)
    for masks in tracker.discover(lambda rgb: ([filled(LEFT)], [0.9], [next(labels)]), config=RULES):
        if masks.frame_index == 0:
            tracker.classify(1, "zebra")
    assert tracker.class_names == {1: "zebra"}


def test_a_box_in_which_the_model_finds_nothing_starts_no_track() -> None:
    tracker = tracker_of({1: still(*LEFT)}, 6)
    boxes = np.array([LEFT, LOW], np.float32)
    results = present(tracker.discover(lambda rgb: (boxes, [0.9, 0.9]), config=RULES))
    assert results[5] == (1,)
    assert set(tracker.discovered) == {1}


def test_boxes_in_which_the_model_finds_nothing_call_no_key_frames_and_take_no_place() -> None:
    scene = {1: still(*LEFT)}
    asked: list[int] = []

    def detect(rgb: ByteArray) -> Any:
        asked.append(frame_number(rgb))
        return np.array([LOW, LEFT], np.float32), [0.9, 0.8]

    tracker = tracker_of(scene, 40)
    results = present(tracker.discover(detect, config=DiscoveryConfig(every=10, max_objects=1)))
    assert asked == [0, 10, 20, 30]
    assert results[39] == (2,)


def test_the_grid_finds_the_objects_without_a_detector() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=4)}
    tracker = tracker_of(scene, 20)
    results = present(tracker.discover(config=RULES))
    assert len(results[19]) == 2
    assert stored(tracker)[0] != ()
    masks = tracker.masks_at(19)
    assert masks is not None
    assert (masks.masks.any(axis=0) == filled(LEFT) | filled(RIGHT)).all()


# Absence and return.


def test_an_object_that_returns_has_its_id() -> None:
    scene = {1: still(*LEFT, gone=range(8, 21))}
    tracker = tracker_of(scene, 30)
    results = present(tracker.discover(seeing(scene), config=RULES))
    assert [index for index, ids in results.items() if ids] == [4, 5, 6, 7, *range(22, 30)]
    assert set(tracker.discovered) == {1}


@pytest.mark.parametrize("last_overlooked", [8, 12], ids=["just vanished", "absent"])
def test_an_object_that_the_tracker_overlooks_returns_where_it_is_detected(last_overlooked: int) -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, overlooked=lambda box, number: 6 <= number <= last_overlooked)
    detect = seeing(scene, lambda box, number: 6 <= number < last_overlooked)
    results = present(tracker.discover(detect, config=RULES))
    assert set(tracker.discovered) == {1}
    assert [index for index, ids in results.items() if index >= 4 and not ids] == [*range(6, last_overlooked)]
    assert list(tracker.prompts) == [0, last_overlooked]


def test_an_absent_object_is_looked_for_on_key_frames_only() -> None:
    scene = {1: still(*LEFT, gone=range(8, 99))}
    tracker = tracker_of(scene, 30)
    results = shown(tracker.discover(seeing(scene), config=RULES))
    assert [index for index, ids in results if ids == (1,)] == list(range(4, 12))
    assert tracker.discovered[1].state == "absent"
    assert tracker.discovered[1].last_frame == 7


def test_looking_for_an_absent_object_leaves_no_trace() -> None:
    scene = {1: still(*LEFT, gone=range(8, 99))}
    engine = SceneEngine(scene)
    tracker = Tracker(engine, pictures(30))
    for _ in tracker.discover(seeing(scene), config=RULES):
        pass
    assert max(number for number, _ in engine.memorised) == 11
    assert tracker.masks_at(20) is None


def test_an_object_that_is_absent_too_long_ends_and_its_id_is_not_used_again() -> None:
    scene = {1: still(*LEFT, gone=range(8, 24))}
    tracker = tracker_of(scene, 40)
    rules = DiscoveryConfig(every=2, max_absence=4, forget_after=10)
    results = present(tracker.discover(seeing(scene), config=rules))
    assert results[39] == (2,)
    assert tracker.discovered[1].state == "ended"
    assert stored(tracker)[4] == (1,)


def test_a_double_that_rests_is_not_shown_on_key_frames() -> None:
    def swallowed(number: int) -> tuple[int, int, int, int]:
        return RIGHT if number < 10 else LEFT

    scene = {1: still(*LEFT), 2: swallowed}
    tracker = tracker_of(scene, 24)
    results = present(tracker.discover(seeing(scene), config=RULES))
    assert results[8] == (1, 2)
    assert all(results[index] == (1,) for index in range(12, 24))
    assert tracker.discovered[2].state == "absent"
    assert stored(tracker)[8] == (1, 2)  # its earlier masks stay


# Bounds.


def test_the_grid_finds_what_had_no_place_before_though_the_picture_stays_the_same() -> None:
    scene = {1: still(*LEFT, last=9), 2: still(*LOW)}
    frames = [rgb * np.array([1, 1, 0], np.uint8) for rgb in pictures(30)]
    tracker = Tracker(SceneEngine(scene), frames)
    first_places = {}
    for masks in tracker.discover(config=DiscoveryConfig(every=2, max_absence=4, max_objects=1)):
        first_places |= {i: (masks.frame_index, masks.mask(i)) for i in masks.object_ids if i not in first_places}
    assert (first_places[1][1] == filled(LEFT)).all()
    assert any((mask == filled(LOW)).all() and index > 9 for index, mask in first_places.values())


def test_at_most_max_objects_are_tracked_and_the_rest_is_counted() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT), 3: still(*LOW)}
    tracker = tracker_of(scene, 6)
    results = present(tracker.discover(seeing(scene), config=DiscoveryConfig(every=2, max_objects=2)))
    assert results[5] == (1, 2)
    assert tracker.num_refused == 3  # once on each key frame


def test_a_new_object_takes_the_place_of_the_one_that_is_absent_longest() -> None:
    scene = {1: still(*LEFT, gone=range(6, 20)), 2: still(*RIGHT), 3: still(*LOW, first=12)}
    tracker = tracker_of(scene, 30)
    rules = DiscoveryConfig(every=2, max_absence=4, max_objects=2)
    results = present(tracker.discover(seeing(scene), config=rules))
    assert results[29] == (2, 3)
    assert tracker.discovered[1].state == "ended"


# Corrections by detections.


def test_a_doubtful_track_is_prompted_with_its_detection_and_a_sure_one_never() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    engine = SceneEngine(scene, lambda box, number: box == 2 and number == 6)
    tracker = Tracker(engine, pictures(10))
    for _ in tracker.discover(seeing(scene), config=RULES):
        pass
    assert engine.prompted == [(0, 1), (0, 2), (6, 2)]


def test_a_doubtful_track_that_the_detector_misses_long_is_absent() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 24, doubtful=lambda box, number: number > 6)
    rules = DiscoveryConfig(every=2, max_misses=2)
    for _ in tracker.discover(seeing(scene, lambda box, number: number > 6), config=rules):
        pass
    assert tracker.discovered[1].state == "absent"


# Objects of a user.


def test_objects_that_a_user_has_prompted_are_followed_and_not_found_again() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 8)
    tracker.prompt(5, 0, points_xy=[(3, 3)])
    results = present(tracker.discover(seeing(scene), config=RULES))
    assert results[0] == (5,)
    assert results[7] == (5, 6)
    assert set(tracker.discovered) == {6}


def test_objects_that_a_user_has_prompted_take_a_place_until_they_are_long_absent() -> None:
    scene = {1: still(*LEFT, last=7), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 20)
    tracker.prompt(5, 0, points_xy=[(3, 3)])
    results = present(tracker.discover(seeing(scene), config=DiscoveryConfig(every=2, max_absence=4, max_objects=1)))
    assert results[7] == (5,)
    assert tracker.discovered[6].first_frame == 12


def test_objects_of_a_user_are_never_prompted_by_the_rules() -> None:
    scene = {1: still(*LEFT)}
    engine = SceneEngine(scene, lambda box, number: number > 2)
    tracker = Tracker(engine, pictures(30))
    tracker.prompt(5, 0, points_xy=[(3, 3)])
    rules = DiscoveryConfig(every=2, max_absence=4, max_misses=1)
    results = present(tracker.discover(seeing(scene), config=rules))
    assert engine.prompted == [(0, 1)]
    assert results[29] == (5,)


def test_an_object_that_a_user_prompts_meanwhile_keeps_its_id() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT), 3: still(*LOW, first=6)}
    tracker = tracker_of(scene, 16)
    for masks in tracker.discover(seeing(scene, lambda box, number: box == 2), config=RULES):
        if masks.frame_index == 5:
            tracker.prompt(2, 5, points_xy=[(10, 3)])
    masks = tracker.masks_at(15)
    assert masks is not None
    assert masks.object_ids == (1, 2, 3)
    assert (masks.mask(2) == filled(RIGHT)).all()
    assert (masks.mask(3) == filled(LOW)).all()
    assert set(tracker.discovered) == {1, 3}


def test_a_discovered_double_of_an_object_that_a_user_prompts_goes() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 8)
    for masks in tracker.discover(seeing(scene), config=RULES):
        if masks.frame_index == 1:
            tracker.prompt(9, 1, points_xy=[(3, 3)])
    assert tracker.object_ids == (9,)


@pytest.mark.parametrize("frame_index", [1, 6], ids=["tentative", "confirmed"])
def test_an_object_that_a_user_removes_is_forgotten(frame_index: int) -> None:
    scene = {1: still(*LEFT, last=7), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 16)
    seen_early = seeing(scene, lambda box, number: box == 1 and number > frame_index)
    for masks in tracker.discover(seen_early, config=RULES):
        if masks.frame_index == frame_index:
            tracker.remove(1)
    assert set(tracker.discovered) == {2}
    assert stored(tracker) == dict.fromkeys(range(16), (2,))


def test_a_discovered_object_that_a_user_prompts_is_prompted_by_nobody_else() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 12, doubtful=lambda box, number: number > 4)
    for masks in tracker.discover(seeing(scene), config=RULES):
        if masks.frame_index == 5:
            tracker.prompt(1, 6, points_xy=[(3, 3)])
    assert tracker.prompts[6][1].mask is None
    assert set(tracker.prompts) == {0, 6}
    assert tracker.discovered == {}
    assert tracker.class_names == {1: "kind 1"}


ENDING = DiscoveryConfig(every=2, max_absence=4, forget_after=10)


@pytest.mark.parametrize("rules", [RULES, ENDING], ids=["absent", "ended"])
def test_an_object_out_of_sight_that_a_user_prompts_is_followed_from_there(rules: DiscoveryConfig) -> None:
    scene = {1: still(*LEFT, gone=range(8, 99)), 2: still(*RIGHT, first=30)}
    tracker = tracker_of(scene, 60)
    followed = []
    for masks in tracker.discover(lambda rgb: [filled(LEFT)] if frame_number(rgb) < 8 else None, config=rules):
        followed += [masks.frame_index] * len(masks.object_ids)
        if masks.frame_index == 30:
            tracker.prompt(1, 31, points_xy=[(10, 3)])
    assert followed == [*range(4, 12), *range(31, 60)]
    masks_then = tracker.masks_at(31)
    assert masks_then is not None
    assert (masks_then.mask(1) == filled(RIGHT)).all()


def test_a_tentative_object_that_a_user_prompts_is_shown_and_stays() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    results = {}
    for masks in tracker.discover(seeing(scene, lambda box, number: number > 0), config=RULES):
        results[masks.frame_index] = masks.object_ids
        if masks.frame_index == 1:
            tracker.prompt(1, 1, points_xy=[(3, 3)])
    assert results == dict.fromkeys(range(2), ()) | dict.fromkeys(range(2, 20), (1,))
    assert stored(tracker) == dict.fromkeys(range(20), (1,))


def test_an_object_whose_prompt_is_undone_is_discoverys_again() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    for masks in tracker.discover(seeing(scene, lambda box, number: number > 0), config=RULES):
        if masks.frame_index == 1:
            tracker.prompt(1, 1, points_xy=[(3, 3)])
            assert tracker.undo() == (1, 1)
    assert tracker.object_ids == ()


def test_an_ended_object_keeps_its_masks_when_a_prompt_is_undone() -> None:
    scene = {1: still(*LEFT, gone=range(8, 99))}
    tracker = tracker_of(scene, 40)
    for _ in tracker.discover(seeing(scene), config=ENDING):
        pass
    tracker.prompt(1, 30, points_xy=[(3, 3)])
    tracker.undo()
    assert tracker.discovered[1].state == "ended"
    assert [index for index, ids in stored(tracker).items() if ids == (1,)] == list(range(8))


def test_accepted_masks_are_not_prompted_and_count_as_present() -> None:
    scene = {1: still(*LEFT)}
    engine = SceneEngine(scene)
    tracker = Tracker(engine, pictures(20))
    for _ in tracker.discover(seeing(scene), config=RULES):
        pass
    tracker.accept(range(10))
    engine.prompted.clear()
    loose = np.array([(1, 1, 6, 3)], np.float32)
    results = present(tracker.discover(lambda rgb: (loose, [0.9], ["kind 1"]), config=RULES, start=0, stop=10))
    assert results == dict.fromkeys(range(10), (1,))
    assert engine.prompted == []
    assert set(tracker.prompts) == {0}
    assert tracker.discovered[1].state == "confirmed"


# Range and direction.


def test_start_and_stop() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    results = shown(tracker.discover(seeing(scene), config=RULES, start=5, stop=12))
    assert [index for index, _ in results] == list(range(5, 12))
    assert tracker.discovered[1].first_frame == 5


def test_a_later_call_goes_on_after_the_last_frame() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    for _ in tracker.discover(seeing(scene), config=RULES, stop=12):
        pass
    for _ in tracker.retrack():
        pass
    assert present(tracker.discover(seeing(scene))) == dict.fromkeys(range(12, 20), (1,))
    assert list(tracker.discover(seeing(scene))) == []


def broken_off_going_back() -> Tracker[int]:
    """A tracker whose discovery of the first 18 of 30 frames was broken off at frame 3, going back."""
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 30)
    for count, masks in enumerate(tracker.discover(seen_late(scene), config=RULES, direction="both", stop=18)):
        if count > 17 and masks.frame_index == 3:
            break
    return tracker


def seen_late(scene: Scene) -> Any:
    return seeing(scene, lambda box, number: box == 2 and number < 8)


def test_a_later_call_continues_going_back(tmp_path: Path) -> None:
    tracker = broken_off_going_back()
    resumed = Tracker.resume(tracker.save(tmp_path / "a.masklet"), tracker.engine, pictures(30))
    for continued in (tracker, resumed):
        detector = seen_late({1: still(*LEFT), 2: still(*RIGHT)})
        assert [masks.frame_index for masks in continued.discover(detector)] == [2, 1, 0]
        assert stored(continued) == dict.fromkeys(range(18), (1, 2))


def test_a_later_call_that_goes_forward_only_drops_going_back() -> None:
    tracker = broken_off_going_back()
    detector = seen_late({1: still(*LEFT), 2: still(*RIGHT)})
    assert list(present(tracker.discover(detector, direction="forward"))) == list(range(18, 30))
    assert stored(tracker)[0] == (1,)
    assert list(tracker.discover(detector)) == []


@pytest.mark.parametrize("in_between", [False, True], ids=["at once", "after a run"])
def test_a_later_call_keeps_the_direction_and_the_end(in_between: bool, tmp_path: Path) -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 30)
    for masks in tracker.discover(seen_late(scene), config=RULES, direction="both", stop=18):
        if masks.frame_index == 12:
            break
    if in_between:
        for _ in tracker.run("forward", start=2, stop=4):
            pass
    resumed = Tracker.resume(tracker.save(tmp_path / "a.masklet"), tracker.engine, pictures(30))
    results = [masks.frame_index for masks in resumed.discover(seen_late(scene))]
    assert results == [*range(13, 18), *range(7, -1, -1)]


def test_a_second_discovery_of_the_same_frames_asks_its_detector() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 20)
    shown(tracker.discover(seeing({1: scene[1]}), config=DiscoveryConfig(), stop=5))
    asked: list[int] = []

    def detect(rgb: ByteArray) -> Any:
        asked.append(frame_number(rgb))
        return seeing(scene)(rgb)

    shown(tracker.discover(detect, start=0, stop=5))
    assert asked[0] == 0
    assert 2 in {item.object_id for item in tracker.discovered.values()}


def test_going_on_keeps_the_end_of_an_interrupted_discovery() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 20)
    for masks in tracker.discover(seeing(scene), config=RULES, stop=12):
        if masks.frame_index == 6:
            break
    assert list(present(tracker.discover(seeing(scene)))) == list(range(7, 12))


def test_a_run_in_between_leaves_the_discovery_where_it_is() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=24)}
    tracker = tracker_of(scene, 40)
    for _ in tracker.discover(seeing(scene), config=RULES, stop=20):
        pass
    for _, masks in zip(range(2), tracker.run("backward", start=19), strict=False):
        assert masks.object_ids == (1,)
    results = present(tracker.discover(seeing(scene)))
    assert list(results) == list(range(20, 40))
    assert results[39] == (1, 2)


def test_a_run_in_both_directions_leaves_out_objects_that_have_ended() -> None:
    scene = {1: still(*LEFT, gone=range(6, 99)), 2: still(*RIGHT, first=12)}
    tracker = tracker_of(scene, 30)
    rules = DiscoveryConfig(every=2, max_absence=4, max_objects=1)
    for _ in tracker.discover(seeing(scene), config=rules):
        pass
    assert tracker.discovered[1].state == "ended"
    results = present(tracker.run("both"))
    assert results[29] == (2,)
    assert sorted(results) == list(range(30))
    assert stored(tracker)[3] == (1,)


def test_in_both_directions_objects_are_followed_back_from_their_birth() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 14)
    late = seeing(scene, lambda box, number: box == 2 and number < 6)
    results = [masks.frame_index for masks in tracker.discover(late, config=RULES, direction="both")]
    assert results == [*range(14), *range(5, -1, -1)]
    assert stored(tracker) == dict.fromkeys(range(14), (1, 2))


def test_going_back_ends_at_the_first_frame_of_the_run() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 16)
    late = seeing(scene, lambda box, number: box == 2 and number < 8)
    for _ in tracker.discover(late, config=RULES, direction="both", start=4):
        pass
    assert min(stored(tracker)) == 4
    assert stored(tracker)[4] == (1, 2)


def test_going_back_ends_where_an_object_has_come_in() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=12)}
    tracker = tracker_of(scene, 24)
    late = seeing(scene, lambda box, number: box == 2 and number < 14)
    for _ in tracker.discover(late, config=RULES, direction="both"):
        pass
    assert [index for index, ids in stored(tracker).items() if 2 in ids] == list(range(12, 24))
    masks = tracker.masks_at(5)
    assert masks is not None
    assert masks.object_ids == (1,)  # it was looked for on 4 frames, not to the beginning


def test_objects_are_followed_back_once() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT)}
    tracker = tracker_of(scene, 14)
    late = seeing(scene, lambda box, number: box == 2 and number < 6)
    for _ in tracker.discover(late, config=RULES, direction="both"):
        pass
    assert list(tracker.discover(late, direction="both")) == []


def test_objects_that_a_user_has_prompted_late_are_followed_back_too() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 12)
    tracker.prompt(3, 8, points_xy=[(3, 3)])
    for _ in tracker.discover(lambda rgb: None, config=RULES, direction="both"):
        pass
    assert stored(tracker) == dict.fromkeys(range(12), (3,))


# Levels.


PART, WHOLE = (2, 2, 5, 5), (1, 1, 8, 8)


@pytest.mark.parametrize(("level", "count"), [("objects", 1), ("both", 2)])
def test_levels(level: Any, count: int) -> None:
    scene = {1: still(*WHOLE), 2: still(*PART)}
    tracker = tracker_of(scene, 8)
    results = present(tracker.discover(seeing(scene), config=DiscoveryConfig(every=2, level=level)))
    assert len(results[7]) == count


# Sources, sessions and errors.


def test_a_live_source_is_followed_as_it_comes() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=6)}
    tracker = Tracker(SceneEngine(scene), iter(pictures(14)))
    results = present(tracker.discover(seeing(scene), config=RULES))
    assert list(results) == list(range(14))
    assert results[5] == (1,)
    assert results[13] == (1, 2)
    assert tracker.masks_at(3) is None


def test_a_live_source_goes_on_where_it_is() -> None:
    scene = {1: still(*LEFT)}
    tracker = Tracker(SceneEngine(scene), iter(pictures(14)))
    for masks in tracker.discover(seeing(scene), config=RULES):
        if masks.frame_index == 6:
            break
    assert present(tracker.discover(seeing(scene))) == dict.fromkeys(range(7, 14), (1,))


BUSY: Scene = {
    1: still(*LEFT, gone=range(12, 22)),
    2: still(*RIGHT, first=5),
    3: still(*LOW, gone=range(16, 20)),
    4: still(9, 9, 14, 14, first=18),
}


def misses_some(box: int, number: int) -> bool:
    return (box * 7 + number) % 5 == 0


@pytest.mark.parametrize("detector", [seeing(BUSY, misses_some), None], ids=["detector", "grid"])
@pytest.mark.parametrize("cut", [1, 7, 18, 29, 31, 36])
def test_a_session_goes_on_to_the_same_ids_and_masks(detector: Any, cut: int, tmp_path: Path) -> None:
    def outcome(tracker: Tracker[int]) -> Any:
        masks = {i: tracker.masks_at(i) for i in range(30)}
        return (
            {i: (m.object_ids, m.masks.tolist()) for i, m in masks.items() if m is not None},
            tracker.discovered,
            tracker.class_names,
        )

    whole = tracker_of(BUSY, 30, doubtful=misses_some)
    for _ in whole.discover(detector, config=RULES, direction="both"):
        pass
    first = tracker_of(BUSY, 30, doubtful=misses_some)
    for count, _ in enumerate(first.discover(detector, config=RULES, direction="both"), start=1):
        if count == cut:
            break
    first.save(tmp_path / "a.masklet")
    second = Tracker.resume(tmp_path / "a.masklet", first.engine, pictures(30))
    for _ in second.discover(detector, direction="both"):
        pass
    assert outcome(second) == outcome(whole)


def test_a_session_knows_where_its_discovery_began(tmp_path: Path) -> None:
    scene = {1: still(*LEFT)}
    late = seeing(scene, lambda box, number: number < 6)
    first = tracker_of(scene, 14)
    for masks in first.discover(late, config=RULES, direction="both"):
        if masks.frame_index == 9:
            break
    first.save(tmp_path / "a.masklet")
    second = Tracker.resume(tmp_path / "a.masklet", first.engine, pictures(14))
    assert [masks.frame_index for masks in second.discover(late, direction="both")] == [
        *range(10, 14),
        *range(5, -1, -1),
    ]
    assert stored(second) == dict.fromkeys(range(14), (1,))


def test_a_session_with_rules_that_cannot_be_is_refused(tmp_path: Path) -> None:
    tracker = tracker_of({1: still(*LEFT)}, 6)
    for _ in tracker.discover(seeing({1: still(*LEFT)}), config=RULES):
        pass
    path = tracker.save(tmp_path / "a.masklet")
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    document = json.loads(entries["session.json"])
    document["population"]["config"]["every"] = 0
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (entries | {"session.json": json.dumps(document).encode()}).items():
            file.writestr(name, data)
    with pytest.raises(SessionError, match="every must be a whole number of at least 1, got 0"):
        Tracker.resume(path, tracker.engine, pictures(6))


def test_a_detector_that_fails_leaves_what_is_done() -> None:
    scene = {1: still(*LEFT)}

    def detect(rgb: ByteArray) -> Any:
        return [filled(LEFT)] if frame_number(rgb) < 6 else ([filled(LEFT)], [1.0, 2.0])

    tracker = tracker_of(scene, 12)
    with pytest.raises(DataError, match=r"the detector's answer on frame 6: scores must be"):
        list(tracker.discover(detect, config=RULES))
    assert stored(tracker)[5] == (1,)
    assert present(tracker.discover(seeing(scene))) == dict.fromkeys(range(7, 12), (1,))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"direction": "backward"}, "direction must be 'forward' or 'both'"),
        ({"start": 20}, "frame 20 does not exist"),
        ({"start": 5, "stop": 5}, "stop must be above start, 5, got 5"),
    ],
)
def test_bad_ranges(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TrackingError, match=text):
        tracker_of({}, 20).discover(**options)


def test_a_live_source_cannot_go_back() -> None:
    tracker = Tracker(SceneEngine({}), iter(pictures(3)))
    with pytest.raises(TrackingError, match="cannot go back or seek"):
        tracker.discover(direction="both")


# Detectors that were run before.


class Recorded:
    """Answers for some frames, as a file of detections does."""

    def __init__(self, scene: Scene, key_frames: range | frozenset[int]) -> None:
        self.key_frames = key_frames
        self.asked: list[int] = []
        self._detect = seeing(scene)

    def detect(self, frame: Any, covered: Any) -> list[Detection]:
        self.asked.append(frame.index)
        found = [Detection.of_mask(mask) for mask in self._detect(frame.rgb)[0]]
        return [detection for detection in found if detection is not None]


def test_the_frames_that_a_file_lists_are_the_key_frames() -> None:
    scene = {1: still(*LEFT), 2: still(*RIGHT, first=8)}
    recorded = Recorded(scene, frozenset({0, 5, 9, 13, 14, 30}))
    tracker = tracker_of(scene, 34)
    results = present(tracker.discover(recorded, config=RULES))
    assert recorded.asked == [0, 5, 9, 13, 14, 30]
    assert results[9] == (1,)
    assert results[14] == (1, 2)


def test_frames_that_a_file_does_not_list_are_no_misses() -> None:
    scene = {1: still(*LEFT)}
    tracker = tracker_of(scene, 60, doubtful=lambda box, number: number > 4)
    rules = DiscoveryConfig(every=2, max_misses=2)
    assert present(tracker.discover(Recorded(scene, frozenset({0, 20, 40})), config=rules))[59] == (1,)


def test_a_range_is_asked_at_intervals_and_not_beyond_its_end() -> None:
    scene = {1: still(*LEFT)}
    recorded = Recorded(scene, range(3, 10))
    tracker = tracker_of(scene, 20)
    for _ in tracker.discover(recorded, config=DiscoveryConfig(every=2)):
        pass
    assert recorded.asked == [4, 6, 8]


def test_absent_objects_are_looked_for_between_the_frames_of_a_file() -> None:
    scene = {1: still(*LEFT, gone=range(16, 30))}
    tracker = tracker_of(scene, 50)
    results = present(tracker.discover(Recorded(scene, frozenset({0, 6, 12})), config=RULES))
    assert results[49] == (1,)
    assert set(tracker.discovered) == {1}
