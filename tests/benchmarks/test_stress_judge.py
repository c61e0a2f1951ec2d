from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stress.judge import VOID, Sight, judge, see
from masklet.records import BoolArray, ByteArray


def owners(**columns: int) -> ByteArray:
    """A 10 x 30 frame: object 1 in columns 0 to 9, object 2 in 10 to 19, and nobody after that."""
    made = np.zeros((10, 30), np.uint8)
    made[:, :10], made[:, 10:20] = 1, 2
    return made


def claim(left: int, right: int) -> BoolArray:
    mask = np.zeros((10, 30), np.bool_)
    mask[:, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "j", "switched"),
    [
        (claim(0, 10), 1.0, False),
        (claim(0, 20), 0.5, False),
        (claim(4, 20), 0.3, True),
        (claim(20, 30), 0.0, False),
        (claim(0, 0), 0.0, False),
    ],
    ids=["right", "both alike", "more of the other", "nobody", "nothing"],
)
def test_an_identity_is_switched_when_more_of_another_is_covered(mask: BoolArray, j: float, switched: bool) -> None:
    sight = see(1, mask, owners())
    assert sight.j == pytest.approx(j)
    assert sight.switched == switched


def test_an_absent_object_that_is_seen_on_another_is_switched_too() -> None:
    truth = owners()
    truth[truth == 1] = 0
    sight = see(1, claim(10, 20), truth)
    assert sight.switched
    assert (sight.visible, sight.claimed, sight.j) == (0, 100, 0.0)


def test_void_does_not_count() -> None:
    truth = owners()
    truth[:, 10:20] = VOID
    assert see(1, claim(0, 20), truth) == see(1, claim(0, 10), truth)


def sight(visible: int, j: float, claimed: int = 100) -> Sight:
    return Sight(visible, claimed, j, j, False)


HERE, WRONG, GONE = sight(100, 0.9), sight(100, 0.1), sight(0, 1.0, claimed=0)
GHOST, SLIVER = sight(0, 0.0), sight(10, 0.0)


def test_the_time_to_find_it_again_is_counted_from_its_return() -> None:
    verdict = judge("clip", "failure", "policy", 1, [[HERE, GONE, GONE, GHOST, WRONG, WRONG, HERE, WRONG]])
    assert verdict is not None
    assert verdict.found_after == (2,)
    assert (verdict.num_never_found, verdict.num_absent, verdict.num_ghosts) == (0, 3, 1)


def test_an_object_never_found_counts_with_all_its_frames() -> None:
    verdict = judge("clip", "failure", "policy", 1, [[HERE, *[GONE] * 5, WRONG, WRONG, WRONG]])
    assert verdict is not None
    assert (verdict.found_after, verdict.num_never_found) == ((3,), 1)


def test_a_moment_behind_something_is_no_absence_and_slivers_are_not_judged() -> None:
    verdict = judge("clip", "failure", "policy", 1, [[HERE, GONE, SLIVER, HERE]])
    assert verdict is not None
    assert verdict.found_after == ()
    assert verdict.num_judged == 3


def test_ways_back_and_forth_are_judged_apart() -> None:
    verdict = judge("clip", "failure", "policy", 1, [[HERE, GONE, GONE, GONE], [HERE, HERE]])
    assert verdict is not None
    assert verdict.found_after == ()
    assert verdict.num_judged == 6


def test_a_clip_without_judged_frames_has_no_verdict() -> None:
    assert judge("clip", "failure", "policy", 1, [[]]) is None
