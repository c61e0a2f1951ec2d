"""Passs of runs and of what is tracked again, on frame numbers alone."""

from __future__ import annotations

import pytest

from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.prompts import Prompt
from masklet.tracking.mask_store import StaleRange
from masklet.tracking.passes import Direction, Pass, passes_of_run, passes_over
from masklet.tracking.track import Hypothesis, PromptState, Track


def prompted_on(*frames: int) -> Track[int]:
    given = {index: PromptState[int](Prompt.create(points_xy=[(1, 1)]), initial=True) for index in frames}
    return Track([Hypothesis(MemoryBank[int](MemoryConfig()))], given)


@pytest.mark.parametrize(
    ("direction", "start", "stop", "passes"),
    [
        ("forward", None, None, [Pass(1, 3, None)]),
        ("forward", 5, 8, [Pass(1, 5, 8)]),
        ("backward", None, 1, [Pass(-1, 9, 1)]),
        ("backward", 5, None, [Pass(-1, 5, None)]),
        ("both", None, None, [Pass(-1, 7, None, shown_below=3), Pass(1, 3, None)]),
        ("both", 2, 9, [Pass(-1, 7, 1, shown_below=3), Pass(1, 3, 9)]),
    ],
)
def test_a_run_goes_from_what_was_said(
    direction: Direction, start: int | None, stop: int | None, passes: list[Pass]
) -> None:
    tracks = [prompted_on(3, 9), prompted_on(7)]
    assert passes_of_run(direction, tracks, 12, start=start, stop=stop, object_ids=None) == passes


def test_ranges_that_touch_are_gone_over_at_once_and_forward_first() -> None:
    ranges = [
        StaleRange(1, 4, 6, 1),
        StaleRange(2, 0, 2, -1),
        StaleRange(2, 7, 9, 1),
        StaleRange(1, 20, 20, 1),
        StaleRange(1, 9, 9, -1),
    ]
    found = [(leg.direction, leg.start, leg.stop, len(group)) for leg, group in passes_over(ranges)]
    assert found == [(1, 4, 10, 2), (1, 20, 21, 1), (-1, 9, 8, 1), (-1, 2, -1, 1)]


def test_a_leg_is_over_where_nothing_is_left_of_it() -> None:
    assert Pass(1, 5, None).is_over(5)
    assert not Pass(1, 5, None).is_over(None)  # nobody knows
    assert Pass(-1, -1, None).is_over(5)
    assert not Pass(-1, 0, None).is_over(5)


def test_a_way_back_shows_what_does_not_come_again() -> None:
    back = Pass(-1, 7, 1, shown_below=3)
    assert [index for index in range(10) if back.shows(index)] == [2]
