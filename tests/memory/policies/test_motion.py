from __future__ import annotations

import json

import pytest

from masklet.memory.bank import MemoryConfig
from masklet.memory.policies import make_policy
from masklet.memory.policies.motion import BoxFilter, MotionConfig, MotionPolicy
from tests.memory.policies.scenes import sighting

TALL = 6
STABLE_FRAMES, MAX_COAST = MotionConfig().stable_frames, MotionConfig().max_coast


def going_right(frame_index: int) -> tuple[int, int, int, int]:
    return frame_index // 2, 5, frame_index // 2 + 4, 5 + TALL


def taught(direction: int = 1, frames: int = STABLE_FRAMES + 1, start: int = 0) -> MotionPolicy:
    motion = MotionPolicy(MemoryConfig())
    for step in range(frames):
        index = start + step * direction
        seen = sighting(index, [going_right(index)], prompted=step == 0, direction=direction)
        motion.rate(seen)
        motion.write(seen)
    return motion


def test_a_filter_extrapolates_constant_velocity() -> None:
    box_filter = BoxFilter((0.1, 0.1, 0.3, 0.4))
    for step in range(1, 30):
        box_filter.predict()
        box_filter.update((0.1 + 0.01 * step, 0.1, 0.3 + 0.01 * step, 0.4))
    for _ in range(5):
        box_filter.predict()
    assert box_filter.box == pytest.approx((0.44, 0.1, 0.64, 0.4), abs=0.01)


def test_it_prefers_the_candidate_that_is_where_the_object_should_be() -> None:
    index = STABLE_FRAMES + 1
    ratings = taught().rate(sighting(index, [(15, 5, 19, 11), going_right(index)], [0.85, 0.8]))
    assert ratings is not None
    assert ratings[1] > ratings[0]
    assert ratings[0] == pytest.approx(0.75 * 0.85)


def test_a_much_better_candidate_elsewhere_still_wins() -> None:
    index = STABLE_FRAMES + 1
    ratings = taught().rate(sighting(index, [(15, 5, 19, 11), going_right(index)], [0.95, 0.5]))
    assert ratings is not None
    assert ratings[0] > ratings[1]


def test_the_motion_model_does_not_rate_before_enough_updates() -> None:
    motion = taught(frames=STABLE_FRAMES - 1)
    assert motion.rate(sighting(STABLE_FRAMES - 1, [(0, 0, 4, 4)])) is None


def test_going_backward_is_time_like_any_other() -> None:
    motion = taught(direction=-1, start=30)
    index = 30 - STABLE_FRAMES - 1
    ratings = motion.rate(sighting(index, [going_right(40), going_right(index)], direction=-1))
    assert ratings is not None
    assert ratings[1] > ratings[0]


def test_after_a_short_absence_the_box_is_expected_at_its_extrapolated_position() -> None:
    motion, hidden = taught(), range(STABLE_FRAMES + 1, STABLE_FRAMES + 6)
    for index in hidden:
        motion.rate(sighting(index, [(0, 0, 0, 0)], object_score=-5))
        assert motion.write(sighting(index, [(0, 0, 0, 0)], object_score=-5)).reliability == 0
    ratings = motion.rate(sighting(hidden.stop, [going_right(4), going_right(hidden.stop)]))
    assert ratings is not None
    assert ratings[1] > ratings[0]


def test_after_a_long_absence_it_may_come_back_anywhere() -> None:
    motion = taught()
    back = STABLE_FRAMES + MAX_COAST + 1
    for index in range(STABLE_FRAMES + 1, back):
        motion.write(sighting(index, [(0, 0, 0, 0)], object_score=-5))
    elsewhere = sighting(back, [(1, 12, 5, 18)])
    assert motion.rate(elsewhere) is None
    assert motion.write(elsewhere).reliability is None  # remembered as it is


def test_a_mask_that_missed_the_expected_box_is_not_read_again() -> None:
    assert taught().write(sighting(STABLE_FRAMES + 1, [(16, 14, 20, 20)])).reliability == 0


@pytest.mark.parametrize(("iou", "reliability"), [(0.5, 0.0), (0.51, None)])
def test_poor_masks_are_not_read_again(iou: float, reliability: float | None) -> None:
    assert taught().write(sighting(16, [going_right(16)], [iou])).reliability == reliability


def test_a_low_iou_prediction_restarts_the_count() -> None:
    motion = taught()
    motion.write(sighting(16, [going_right(16)], [0.3]))
    assert motion.rate(sighting(17, [going_right(17)])) is None


def test_rating_a_frame_again_does_not_move_time_on() -> None:
    motion = taught()
    again = sighting(16, [going_right(16)])
    assert motion.rate(again) == motion.rate(again)


def test_a_filter_that_is_saved_and_restored_expects_the_same() -> None:
    motion, other = taught(), MotionPolicy(MemoryConfig())
    other.restore(json.loads(json.dumps(motion.state())))
    seen = sighting(16, [going_right(14), going_right(18)])
    assert other.rate(seen) == motion.rate(seen)


def test_each_object_has_its_own_filter() -> None:
    first, second = (make_policy(MemoryConfig(policy="motion")) for _ in range(2))
    first.write(sighting(0, [going_right(0)], prompted=True))
    assert first.state()
    assert not second.state()
