"""Planned runs for requests to track, on integers, without a tracker."""

from __future__ import annotations

import pytest

from masklet.server.annotation.track_plan import PlannedRun, runs_over, runs_to_the_missing
from masklet.tracking.tracker import Direction


@pytest.mark.parametrize(
    ("direction", "frames", "runs"),
    [
        ("forward", range(10), [PlannedRun("forward", 2, 10, (1, 2), 8)]),
        ("forward", range(4, 7), [PlannedRun("forward", 4, 7, (1, 2), 3)]),
        ("forward", range(2), []),
        ("backward", range(10), [PlannedRun("backward", 8, None, (1, 2), 9)]),
        ("backward", range(3, 7), [PlannedRun("backward", 6, 2, (1, 2), 4)]),
        ("backward", range(9, 10), []),
        ("both", range(10), [PlannedRun("both", None, 10, (1, 2), 10)]),
        ("both", range(1, 4), [PlannedRun("both", 1, 4, (1,), 3), PlannedRun("backward", 3, 0, (2,), 3)]),
        ("both", range(3, 7), [PlannedRun("forward", 3, 7, (1,), 4), PlannedRun("both", 3, 7, (2,), 4)]),
    ],
)
def test_a_range_of_frames_is_reached_from_the_prompts(
    direction: Direction, frames: range, runs: list[PlannedRun]
) -> None:
    found = list(runs_over(direction, {1: [2, 8], 2: [5]}, frames))
    assert sorted(found) == sorted(runs)


@pytest.mark.parametrize(
    ("direction", "runs"),
    [
        ("forward", [PlannedRun("forward", 4, 10, (1,), 6), PlannedRun("forward", 5, 10, (2,), 5)]),
        ("backward", [PlannedRun("backward", 8, None, (1,), 9), PlannedRun("backward", 5, None, (2,), 6)]),
        (
            "both",
            [
                PlannedRun("forward", 4, 10, (1,), 6),
                PlannedRun("forward", 5, 10, (2,), 5),
                PlannedRun("backward", 1, None, (1,), 2),
                PlannedRun("backward", 5, None, (2,), 6),
            ],
        ),
    ],
)
def test_missing_frames_begin_where_masks_end(direction: Direction, runs: list[PlannedRun]) -> None:
    current = {1: {2, 3, 6}}
    assert list(runs_to_the_missing(direction, {1: [2, 8], 2: [5]}, current, range(10), 10)) == runs


def test_an_object_with_all_masks_has_no_missing_frames() -> None:
    assert list(runs_to_the_missing("both", {1: [2]}, {1: set(range(10))}, range(10), 10)) == []
