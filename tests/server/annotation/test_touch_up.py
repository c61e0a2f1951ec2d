"""A click on a drawn mask changes only the part under it."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.records import BoolArray
from masklet.server.annotation.touch_up import touched_up


def grid(*rows: str) -> BoolArray:
    return np.array([[mark == "#" for mark in row] for row in rows])


DRAWN = grid(
    "....",
    "##..",
    "##..",
)
NOTHING = np.zeros_like(DRAWN)


def no_need() -> list[BoolArray]:
    pytest.fail("the candidates were not needed")


def test_a_click_adds_the_part_that_it_is_in() -> None:
    seen = grid("#..#", "##.#", "####")
    expected = grid("...#", "##.#", "####")
    assert (touched_up(DRAWN, (3.5, 1.2), 1, seen, no_need) == expected).all()


def test_a_click_removes_the_part_that_it_is_in() -> None:
    seen = grid("....", ".#..", "....")
    expected = grid("....", ".#..", "....")
    assert (touched_up(DRAWN, (0.0, 2.0), 0, seen, no_need) == expected).all()
    apart = grid("....", "#...", ".#..")  # the difference has two parts, joined by a corner only
    assert (touched_up(DRAWN, (1.0, 1.0), 0, apart, no_need) == grid("....", "#...", "##..")).all()


def test_the_smallest_candidate_is_used_if_the_model_disagrees() -> None:
    things = [grid("..##", "..##", "..##"), grid("...#", "...#", "...."), grid("#...", "....", "....")]
    expected = grid("...#", "##.#", "##..")
    assert (touched_up(DRAWN, (3.9, 0.0), 1, DRAWN, lambda: things) == expected).all()
    things = [grid("....", ".###", "....")]
    assert (touched_up(DRAWN, (1.0, 1.0), 0, DRAWN, lambda: things) == grid("....", "#...", "##..")).all()


def test_the_mask_is_unchanged_if_the_click_agrees_with_it() -> None:
    assert touched_up(DRAWN, (0.0, 1.0), 1, NOTHING, no_need) is DRAWN
    assert touched_up(DRAWN, (3.0, 0.0), 0, NOTHING, no_need) is DRAWN
    assert touched_up(DRAWN, (3.0, 0.0), 1, NOTHING, lambda: [NOTHING]) is DRAWN
