"""Passes of runs and of frames that are tracked again, on frame numbers alone."""

from __future__ import annotations

import pytest

from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.prompts import Prompt
from masklet.tracking.mask_store import StaleRange
from masklet.tracking.passes import Direction, Pass, passes_of_run, passes_over
from masklet.tracking.track import Hypothesis, PromptState, Track


def prompted_on(*frames: int) -> Track[int]:
    prompts = {index: PromptState[int](Prompt.create(points_xy=[(1, 1)]), initial=True) for index in frames}
    return Track([Hypothesis(MemoryBank[int](MemoryConfig()))], prompts)


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
def test_a_run_begins_at_the_first_prompts(
    direction: Direction, start: int | None, stop: int | None, passes: list[Pass]
) -> None:
    tracks = [prompted_on(3, 9), prompted_on(7)]
    assert passes_of_run(direction, tracks, 12, start=start, stop=stop, object_ids=None) == passes


def test_ranges_that_touch_share_a_pass_and_forward_passes_come_first() -> None:
    ranges = [
        StaleRange(1, 4, 6, 1),
        StaleRange(2, 0, 2, -1),
        StaleRange(2, 7, 9, 1),
        StaleRange(1, 20, 20, 1),
        StaleRange(1, 9, 9, -1),
    ]
    found = [(leg.direction, leg.start, leg.stop, len(group)) for leg, group in passes_over(ranges)]
    assert found == [(1, 4, 10, 2), (1, 20, 21, 1), (-1, 9, 8, 1), (-1, 2, -1, 1)]


def test_a_pass_is_over_when_no_frame_is_left() -> None:
    assert Pass(1, 5, None).is_over(5)
    assert not Pass(1, 5, None).is_over(None)  # the length is not known
    assert Pass(-1, -1, None).is_over(5)
    assert not Pass(-1, 0, None).is_over(5)


def test_a_backward_pass_shows_frames_that_do_not_come_again() -> None:
    back = Pass(-1, 7, 1, shown_below=3)
    assert [index for index in range(10) if back.shows(index)] == [2]
