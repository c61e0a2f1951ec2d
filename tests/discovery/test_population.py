"""The rules of discovery on drawn masks: what is born, confirmed, removed, absent, found again and ended."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from masklet.discovery import Detection, DiscoveryConfig
from masklet.discovery.objects import Decisions, ExpectedMask, TrackedMask
from masklet.discovery.population import Population
from masklet.errors import ConfigError, DataError
from masklet.records import BoolArray

SIZE_HW = (100, 100)
LEFT, RIGHT = (10, 10, 40, 40), (60, 10, 90, 40)


def region(*box: int) -> BoolArray:
    mask = np.zeros(SIZE_HW, np.bool_)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def seen(*box: int, score: float = 0.9, label: str = "") -> Detection:
    detection = Detection.of_mask(region(*box), score=score, label=label)
    assert detection is not None
    return detection


def boxed(*box: int, score: float = 0.9, label: str = "") -> Detection:
    left, top, right, bottom = (float(edge) for edge in box)
    return Detection((left, top, right, bottom), score, label)


def track(object_id: int, *box: int, sure: bool = True) -> TrackedMask:
    return TrackedMask(object_id, region(*(box or (0, 0, 0, 0))), 0.9, sure)


def gone(object_id: int, *expected: int) -> TrackedMask:
    """Return an object that is not there, with the box in which its memory expects it."""
    return TrackedMask(object_id, region(0, 0, 0, 0), 0.1, True, ExpectedMask.of(region(*expected)))


class Video:
    """A population with a key frame on every tenth frame."""

    def __init__(self, **rules: Any) -> None:
        self.population = Population(DiscoveryConfig(**rules))
        self.frame_index = -10

    def key_frame(self, tracks: list[TrackedMask], detections: list[Detection] | None) -> Decisions:
        self.frame_index += 10
        present = [mask.object_id for mask in tracks if mask.is_present]
        followed = set(self.population.followed())
        self.population.note_present(self.frame_index, [i for i in present if i in followed])
        return self.population.observe(self.frame_index, tracks, detections, SIZE_HW)

    def state(self, object_id: int) -> str:
        return self.population.objects[object_id].state

    def confirm(self, *boxes: tuple[int, int, int, int]) -> None:
        """Let objects 1, 2, ... be born and confirmed."""
        self.key_frame([], [seen(*box) for box in boxes])
        for _ in range(2):
            self.key_frame([track(i, *box) for i, box in enumerate(boxes, 1)], [seen(*box) for box in boxes])


def born(decisions: Decisions) -> list[int]:
    return [object_id for object_id, _ in decisions.born]


# Birth.


def test_a_detection_where_nothing_is_tracked_is_born() -> None:
    video = Video()
    decisions = video.key_frame([], [seen(*LEFT), seen(*RIGHT)])
    assert born(decisions) == [1, 2]
    item = video.population.objects[1]
    assert (item.first_frame, item.last_frame, item.since, item.state, item.hits) == (0, 0, 0, "tentative", [True])


def test_a_detection_of_what_is_tracked_is_not_born() -> None:
    video = Video()
    video.confirm(LEFT)
    assert video.key_frame([track(1, *LEFT)], [seen(12, 12, 42, 42)]).born == ()


def test_a_fragment_of_a_track_is_not_born() -> None:
    video = Video()
    video.confirm(LEFT)
    assert video.key_frame([track(1, *LEFT)], [seen(*LEFT), seen(10, 10, 22, 22)]).born == ()
    assert born(video.key_frame([track(1, *LEFT)], [seen(*LEFT), seen(34, 34, 52, 52)])) == [2]  # mostly outside


def test_a_box_within_the_box_of_a_track_is_born() -> None:
    video = Video()
    video.confirm(LEFT)
    assert born(video.key_frame([track(1, *LEFT)], [boxed(*LEFT), boxed(10, 10, 22, 22)])) == [2]


def test_a_second_box_around_a_thin_track_is_not_born() -> None:
    video = Video()
    thin = np.eye(100, dtype=np.bool_)
    detections = [boxed(0, 0, 100, 100), boxed(0, 0, 92, 96, score=0.6)]
    assert born(video.key_frame([], detections)) == [1]
    assert video.key_frame([TrackedMask(1, thin, 0.9, True)], detections).born == ()


@pytest.mark.parametrize(("score", "ids"), [(0.29, []), (0.4, []), (0.5, [1])])
def test_births_need_a_score(score: float, ids: list[int]) -> None:
    assert born(Video().key_frame([], [seen(*LEFT, score=score)])) == ids


def test_a_low_score_confirms_what_is_tracked() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    for _ in range(2):
        decisions = video.key_frame([track(1, *LEFT)], [seen(*LEFT, score=0.4)])
    assert decisions.confirmed == (1,)


def test_specks_are_not_born() -> None:
    assert Video().key_frame([], [seen(10, 10, 13, 13)]).born == ()


def test_of_two_detections_of_one_thing_the_surer_one_is_born() -> None:
    ((_, detection),) = Video().key_frame([], [seen(*LEFT, score=0.6), seen(11, 10, 41, 40, score=0.8)]).born
    assert detection.score == 0.8


FLOOR = (0, 40, 100, 100)


def test_the_background_is_not_born_unless_a_detector_names_it() -> None:
    assert Video().key_frame([], [seen(*FLOOR)]).born == ()
    assert born(Video().key_frame([], [seen(*FLOOR, label="boat")])) == [1]
    assert born(Video().key_frame([], [boxed(*FLOOR)])) == [1]
    assert born(Video(level="both").key_frame([], [seen(*FLOOR)])) == [1]


@pytest.mark.parametrize(
    ("box", "count"),
    [((0, 40, 30, 60), 1), ((0, 20, 20, 80), 0), ((0, 0, 20, 20), 0), ((5, 0, 25, 20), 1), ((0, 30, 100, 45), 1)],
    ids=["long", "along an edge", "in a corner", "square", "across the frame"],
)
def test_what_the_frame_cuts_off_is_not_born(box: tuple[int, int, int, int], count: int) -> None:
    assert len(Video().key_frame([], [seen(*box)]).born) == count


# Levels.

PARTS = [(10, 10, 40, 24), (10, 25, 40, 40)]


@pytest.mark.parametrize(("level", "boxes"), [("objects", [LEFT]), ("parts", PARTS), ("both", [LEFT, *PARTS])], ids=str)
def test_levels(level: str, boxes: list[Any]) -> None:
    decisions = Video(level=level).key_frame([], [seen(*box) for box in (LEFT, *PARTS)])
    assert [detection.box_xyxy for _, detection in decisions.born] == boxes


def test_boxes_within_boxes_are_objects_too() -> None:
    assert born(Video().key_frame([], [boxed(*LEFT), boxed(10, 10, 22, 22)])) == [1, 2]


# Confirmation.


@pytest.mark.parametrize("pattern", ["110", "101", "1001", "0011"])
def test_three_of_five_key_frames_confirm(pattern: str) -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    hits = 1
    for is_hit in pattern:
        hits += is_hit == "1"
        decisions = video.key_frame([track(1, *LEFT)], [seen(*LEFT)] if is_hit == "1" else [])
        assert decisions.removed == ()
        if hits == 3:
            break
    assert decisions.confirmed == (1,)
    assert video.state(1) == "confirmed"


@pytest.mark.parametrize("pattern", ["000", "0100", "1000"])
def test_three_misses_remove_what_is_tentative(pattern: str) -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    for is_hit in pattern:
        decisions = video.key_frame([track(1, *LEFT)], [seen(*LEFT)] if is_hit == "1" else [])
    assert decisions.removed == (1,)
    assert video.population.objects == {}


def test_an_id_is_not_used_again() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    for _ in range(3):
        video.key_frame([track(1, *LEFT)], [])
    assert born(video.key_frame([], [seen(*LEFT)])) == [2]


def test_without_an_answer_nothing_is_missed_and_nothing_born() -> None:
    video = Video(max_misses=1)
    video.key_frame([], [seen(*LEFT)])
    for _ in range(5):
        assert video.key_frame([track(1, *LEFT, sure=False)], None) == Decisions()
    item = video.population.objects[1]
    assert (item.hits, item.misses, video.population.num_key_frames) == ([True], 0, 1)


def test_at_the_end_two_detections_are_enough_and_one_is_not() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    video.key_frame([track(1, *LEFT)], [seen(*LEFT), seen(*RIGHT)])
    assert video.population.finish() == Decisions(confirmed=(1,), removed=(2,))
    assert video.population.finish() == Decisions()


# Doubles.


def test_of_two_equal_tracks_the_younger_goes() -> None:
    video = Video()
    video.confirm(LEFT)
    video.key_frame([track(1, *LEFT)], [seen(*LEFT), seen(*RIGHT)])
    decisions = video.key_frame([track(2, *LEFT), track(1, *LEFT)], [seen(*LEFT)])
    assert decisions.removed == (2,)
    assert video.state(1) == "confirmed"


def test_a_confirmed_double_rests() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    assert video.key_frame([track(1, *LEFT), track(2, *LEFT)], [seen(*LEFT)]).removed == ()
    assert (video.state(1), video.state(2)) == ("confirmed", "absent")


def test_tracks_that_overlap_much_are_doubles_after_three_key_frames() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    tracks = [track(1, *LEFT), track(2, 10, 10, 40, 36)]
    states = []
    for _ in range(3):
        video.key_frame(tracks, [seen(*LEFT)])
        states.append(video.state(2))
    assert states == ["confirmed", "confirmed", "absent"]


def test_a_tentative_double_of_a_confirmed_track_goes_at_once() -> None:
    video = Video()
    video.confirm(LEFT)
    video.key_frame([track(1, *LEFT)], [seen(*RIGHT)])
    assert video.key_frame([track(1, *LEFT), track(2, 10, 10, 40, 33)], [seen(*LEFT)]).removed == (2,)


PART = (12, 12, 24, 24)


def states_of_a_part(video: Video, whole: TrackedMask, detections: list[Detection]) -> list[str]:
    """Let object 2 be found at RIGHT and drift into object 1 at LEFT; return its states on three key frames."""
    video.confirm(LEFT, RIGHT)
    states = []
    for _ in range(3):
        video.key_frame([whole, track(2, *PART)], detections)
        states.append(video.state(2))
    return states


def test_a_part_of_a_lasting_whole_rests() -> None:
    video = Video()
    assert states_of_a_part(video, track(1, *LEFT), [seen(*LEFT)]) == ["confirmed", "confirmed", "absent"]
    video.key_frame([track(1, *LEFT), track(2, *PART)], [seen(*LEFT)])
    assert (video.state(1), video.state(2)) == ("confirmed", "absent")


def test_key_frames_without_detections_say_nothing_of_parts() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    for detections in ([seen(*LEFT)], [seen(*LEFT)], [], [seen(*LEFT)]):
        assert video.state(2) == "confirmed"
        video.key_frame([track(1, *LEFT), track(2, *PART)], detections)
    assert video.state(2) == "absent"


def test_of_two_doubles_within_one_another_the_older_stays() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    for _ in range(3):
        video.key_frame([track(1, 10, 10, 40, 34), track(2, *LEFT)], [seen(*LEFT)])
    assert (video.state(1), video.state(2)) == ("confirmed", "absent")


def test_a_tentative_part_of_a_lasting_whole_is_removed() -> None:
    video = Video()
    video.confirm(LEFT)
    video.key_frame([track(1, *LEFT)], [seen(*LEFT), seen(*RIGHT)])
    removed = [video.key_frame([track(1, *LEFT), track(2, *PART)], [seen(*LEFT)]).removed for _ in range(3)]
    assert removed[-1] == (2,)


@pytest.mark.parametrize(
    ("level", "whole", "detections"),
    [
        ("both", track(1, *LEFT), [seen(*LEFT)]),
        ("objects", track(1, *LEFT, sure=False), [seen(*LEFT)]),
        ("objects", track(1, *LEFT), [boxed(*LEFT)]),
        ("objects", track(1, *LEFT), []),
        ("objects", track(1, 0, 0, 60, 60), [seen(*LEFT)]),
    ],
    ids=["parts are looked for", "a whole in doubt", "boxes", "no detections", "background"],
)
def test_a_part_stays(level: str, whole: TrackedMask, detections: list[Detection]) -> None:
    assert states_of_a_part(Video(level=level), whole, detections) == ["confirmed"] * 3


def test_a_part_with_a_label_stays() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT), seen(*RIGHT, label="dog")])
    assert states_of_a_part(video, track(1, *LEFT), [seen(*LEFT)]) == ["confirmed"] * 3


def test_overlaps_count_in_a_row_only() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    for place in [(10, 10, 40, 36), RIGHT] * 4:
        video.key_frame([track(1, *LEFT), track(2, *place)], [seen(*LEFT)])
        assert video.state(2) == "confirmed"


def test_an_object_of_a_user_is_always_older() -> None:
    video = Video()
    video.confirm(LEFT)
    video.key_frame([track(1, *LEFT), track(99, *LEFT)], [])
    assert video.state(1) == "absent"


# Absence and return.


def absent_after(video: Video, frames: int = 25) -> None:
    assert video.population.rest(video.frame_index + frames) == [1]


def test_absence_begins_after_max_absence() -> None:
    video = Video()
    video.confirm(LEFT)
    assert video.population.rest(video.frame_index + 24) == []
    absent_after(video)
    assert (video.population.followed(), video.population.absent()) == ([], [1])


@pytest.mark.parametrize(
    ("mask", "detections", "state"),
    [
        (track(1), [], "absent"),
        (track(1, *RIGHT), [], "confirmed"),
        (track(1, *RIGHT, sure=False), [], "absent"),
        (track(1, *RIGHT, sure=False), [seen(*RIGHT)], "confirmed"),
        (TrackedMask(1, region(*RIGHT), 0.4, True), [], "absent"),
    ],
    ids=["not there", "sure", "in doubt", "in doubt but detected", "of little confidence"],
)
def test_what_is_back_must_be_sure_or_detected(mask: TrackedMask, detections: list[Detection], state: str) -> None:
    video = Video()
    video.confirm(LEFT)
    absent_after(video)
    assert video.key_frame([mask], detections).born == ()
    assert video.state(1) == state


def test_an_absent_object_does_not_return_as_another_one() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    video.population.objects[1].state = "absent"
    video.key_frame([track(2, *RIGHT), track(1, *RIGHT)], [seen(*RIGHT)])
    assert (video.state(1), video.state(2)) == ("absent", "confirmed")


def test_of_two_absent_objects_one_returns_in_one_place() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    for item in video.population.objects.values():
        item.state = "absent"
    video.key_frame([track(1, *RIGHT), track(2, *RIGHT)], [])
    assert [video.state(1), video.state(2)].count("confirmed") == 1


@pytest.mark.parametrize(
    "detections",
    [[seen(*RIGHT)], [boxed(*RIGHT)], [seen(60, 12, 90, 40)], [seen(60, 10, 90, 22), seen(60, 10, 90, 32, score=0.8)]],
    ids=["same mask", "same box", "similar mask", "another extent"],
)
def test_an_absent_object_returns_where_its_memory_expects_it(detections: list[Detection]) -> None:
    video = Video()
    video.confirm(LEFT)
    absent_after(video)
    decisions = video.key_frame([gone(1, 60, 10, 90, 24)] if len(detections) > 1 else [gone(1, *RIGHT)], detections)
    assert [object_id for object_id, _ in decisions.corrected] == [1]
    assert decisions.born == ()
    item = video.population.objects[1]
    assert (item.state, item.last_frame, item.since) == ("confirmed", video.frame_index, video.frame_index)


def test_an_object_that_has_just_vanished_returns_too() -> None:
    video = Video()
    video.confirm(LEFT)
    assert video.key_frame([gone(1, *RIGHT)], [seen(*RIGHT)]).corrected == ((1, seen(*RIGHT)),)


def test_a_return_confirms_like_a_detection() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT)])
    video.key_frame([gone(1, *RIGHT)], [seen(*RIGHT)])
    assert video.population.objects[1].hits == [True, True]


@pytest.mark.parametrize(
    "detections", [[], [seen(*RIGHT, score=0.4)], [seen(60, 60, 90, 90)]], ids=["none", "weak", "elsewhere"]
)
def test_memory_alone_brings_no_object_back(detections: list[Detection]) -> None:
    video = Video()
    video.confirm(LEFT)
    absent_after(video)
    assert video.key_frame([gone(1, *RIGHT)], detections).corrected == ()
    assert video.state(1) == "absent"


def test_an_absent_object_does_not_return_at_the_detection_of_another() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    video.population.objects[1].state = "absent"
    assert video.key_frame([gone(1, *RIGHT), track(2, *RIGHT)], [seen(*RIGHT)]).corrected == ()
    assert video.state(1) == "absent"


def test_at_one_detection_one_object_returns() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    for item in video.population.objects.values():
        item.state = "absent"
    decisions = video.key_frame([gone(1, 60, 14, 90, 40), gone(2, *RIGHT)], [seen(*RIGHT)])
    assert [object_id for object_id, _ in decisions.corrected] == [2]
    assert video.state(1) == "absent"


def test_a_long_absence_ends_an_object() -> None:
    video = Video(forget_after=30)
    video.confirm(LEFT)
    absent_after(video)
    assert video.key_frame([track(1)], []).ended == ()
    assert video.key_frame([track(1)], []).ended == ()
    assert video.key_frame([track(1)], []).ended == (1,)
    assert video.key_frame([track(1, *LEFT)], []) == Decisions()
    assert video.state(1) == "ended"


# Bounds.


def test_births_beyond_max_objects_are_counted() -> None:
    video = Video(max_objects=1)
    assert born(video.key_frame([], [seen(*LEFT, score=0.8), seen(*RIGHT, score=0.9)])) == [1]
    assert video.population.num_refused == 1


def test_the_longest_absent_object_makes_room() -> None:
    video = Video(max_objects=2)
    video.confirm(LEFT, RIGHT)
    for object_id, last_frame in ((1, 15), (2, 10)):
        video.population.objects[object_id].state = "absent"
        video.population.objects[object_id].last_frame = last_frame
    decisions = video.key_frame([track(1), track(2)], [seen(10, 60, 40, 90)])
    assert (born(decisions), decisions.ended) == ([3], (2,))
    assert video.population.num_refused == 0


# Corrections.


@pytest.mark.parametrize(
    ("sure", "score", "ids"), [(True, 0.9, []), (False, 0.6, []), (False, 0.9, [1])], ids=["sure", "weak", "strong"]
)
def test_only_doubtful_tracks_are_prompted_again(sure: bool, score: float, ids: list[int]) -> None:
    video = Video()
    video.confirm(LEFT)
    decisions = video.key_frame([track(1, *LEFT, sure=sure)], [seen(*LEFT, score=score)])
    assert [object_id for object_id, _ in decisions.corrected] == ids


def test_an_object_of_a_user_is_never_prompted_nor_ended() -> None:
    video = Video(max_misses=1)
    for detections in ([seen(*LEFT)], [], [], [], []):
        assert video.key_frame([track(7, *LEFT, sure=False)], detections) == Decisions()


def test_a_doubtful_track_that_is_missed_too_often_is_absent() -> None:
    video = Video(max_misses=2)
    video.confirm(LEFT)
    for state in ("confirmed", "confirmed", "absent"):
        video.key_frame([track(1, *LEFT, sure=False)], [])
        assert video.state(1) == state


# Key frames.


def test_key_frames_come_at_intervals_and_when_more_is_uncovered() -> None:
    population = Population(DiscoveryConfig(every=10, growth=0.1))
    assert population.is_key_frame(4)
    population.observe(4, [], [seen(10, 10, 80, 80)], SIZE_HW)
    population.uncovered = 0.51
    population.note_present(13, [1])
    assert not population.is_key_frame(13, lambda: 0.59)
    assert population.is_key_frame(14, _unasked)
    assert population.is_key_frame(7, lambda: 0.62)
    assert not population.is_key_frame(6, _unasked)  # not at once


@pytest.mark.parametrize(("present", "is_early"), [([1, 2, 3], False), ([1, 2], False), ([1], True), ([], True)])
def test_a_key_frame_comes_early_when_half_of_the_objects_have_gone(present: list[int], is_early: bool) -> None:
    video = Video()
    video.confirm(LEFT, RIGHT, (10, 60, 40, 90))
    video.population.note_present(23, present)
    assert not video.population.is_key_frame(22, _unasked)  # not at once
    assert video.population.is_key_frame(23, lambda: video.population.uncovered) == is_early


def test_objects_that_had_gone_before_bring_no_key_frame() -> None:
    video = Video()
    video.confirm(LEFT, RIGHT)
    video.key_frame([track(1, *LEFT), track(2)], [seen(*LEFT)])
    video.population.note_present(34, [1])
    assert not video.population.is_key_frame(34, lambda: video.population.uncovered)


def _unasked() -> float:
    pytest.fail("the frame's masks are looked at although the clock decides")


def test_a_run_that_does_not_go_on_begins_with_a_key_frame() -> None:
    population = Population(DiscoveryConfig(every=10))
    population.begin(3, None, goes_back=False)
    population.observe(3, [], [], SIZE_HW)
    population.note_present(5, [])
    population.num_refused = 2
    population.begin(6, None, goes_back=False)
    assert not population.is_key_frame(6)
    assert population.num_refused == 2
    population.begin(4, None, goes_back=False)
    assert population.is_key_frame(4)
    assert population.num_refused == 0
    assert population.first_frame == 3


def test_objects_of_later_frames_are_not_absent_on_earlier_ones() -> None:
    video = Video(forget_after=30)
    video.confirm(LEFT, RIGHT)
    video.population.objects[2].state = "absent"
    for item in video.population.objects.values():
        item.last_frame = 200
    assert video.population.rest(0) == []
    assert video.population.observe(0, [track(1), track(2)], [], SIZE_HW).ended == ()
    assert (video.state(1), video.state(2)) == ("confirmed", "absent")


# Boxes in which the model finds nothing.


def refuse(video: Video, detections: list[Detection]) -> list[int]:
    """Let a key frame's new objects be misfits, and return their ids."""
    decisions = video.key_frame([], detections)
    for object_id, detection in decisions.born:
        del video.population.objects[object_id]
        video.population.note_misfit(video.frame_index, detection)
    return born(decisions)


def test_a_box_that_led_to_nothing_leaves_its_place_to_another() -> None:
    video = Video(max_objects=1)
    detections = [boxed(*LEFT, score=0.9), boxed(*RIGHT, score=0.8)]
    assert refuse(video, detections) == [1]
    ((_, detection),) = video.key_frame([], detections).born
    assert detection.score == 0.8


def test_a_box_that_led_to_nothing_is_tried_again_when_it_changes_or_after_a_while() -> None:
    video = Video(confirm_window=5)
    assert [refuse(video, [boxed(*LEFT)]) for _ in range(6)] == [[1], [], [], [], [], [2]]
    assert refuse(video, [boxed(10, 10, 40, 48)]) == [3]
    refuse(video, [])
    assert refuse(video, [boxed(10, 10, 40, 48)]) == [4]


def test_without_an_answer_misfits_are_kept() -> None:
    video = Video()
    refuse(video, [boxed(*LEFT)])
    video.key_frame([], None)
    assert refuse(video, [boxed(*LEFT)]) == []


# Labels, records and settings.


def test_the_label_with_the_highest_sum_of_scores_counts() -> None:
    video = Video()
    video.key_frame([], [seen(*LEFT, label="cat")])
    video.key_frame([track(1, *LEFT)], [seen(*LEFT, label="dog", score=0.5)])
    assert video.population.objects[1].label == "cat"
    video.key_frame([track(1, *LEFT)], [seen(*LEFT, label="dog", score=0.5)])
    assert video.population.objects[1].label == "dog"


def test_a_record_comes_back_as_it_was() -> None:
    video = Video(max_objects=3, level="both")
    video.confirm(LEFT, RIGHT)
    video.key_frame([track(1, *LEFT), track(2, 10, 10, 40, 36)], [seen(10, 60, 40, 90, label="cat")])
    video.population.begin(0, 90, goes_back=True)
    video.population.note_misfit(30, boxed(1, 2, 3, 4))
    video.population.note_present(30, [7])
    document = json.loads(json.dumps(video.population.to_dict()))
    assert Population.from_dict(document) == video.population


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"next_id": -1}, "next_id"),
        ({"uncovered": "much"}, "uncovered"),
        ({"stop": -1}, "stop"),
        ({"goes_back": 1}, "true or false"),
        ({"objects": [{"state": "asleep"}]}, "one of tentative, confirmed, absent, ended"),
        ({"key_frame": 1.5}, "key_frame"),
        ({"misfits": [[1, 2]]}, "a frame and a box"),
        ({"others": [[1, 2, 3]]}, "two whole numbers"),
    ],
)
def test_damaged_records_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        Population.from_dict(Population(DiscoveryConfig()).to_dict() | change)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"every": 0}, "every"),
        ({"min_score": 1.5}, "min_score"),
        ({"level": "some"}, "level"),
        ({"confirm_hits": 6}, "confirm_hits must be at most confirm_window, 5, got 6"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        DiscoveryConfig(**settings)


def test_unknown_settings_of_a_record_are_refused() -> None:
    with pytest.raises(ConfigError, match="discovery has no setting 'speed'"):
        DiscoveryConfig.from_dict({"speed": 1})
