"""Which pieces of a mask are out of reach of where the object has just been."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.records import BoolArray
from masklet.tracking.stray_pieces import stray_pieces

SIDE = 40
Box = tuple[int, int, int, int]


def mask_of(*boxes: Box) -> BoolArray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


HERE, NEXT_TO_IT, FAR = (2, 2, 8, 8), (12, 2, 18, 8), (25, 25, 31, 31)


@pytest.mark.parametrize(
    ("boxes", "last", "strays"),
    [
        ([HERE], [HERE], []),
        ([HERE, FAR], [HERE], [FAR]),
        ([HERE, NEXT_TO_IT], [HERE], []),
        ([HERE, NEXT_TO_IT, FAR], [HERE], [FAR]),
        ([HERE, FAR], [HERE, FAR], []),
        ([FAR], [HERE], []),
        ([(2, 2, 4, 4), FAR], [HERE], []),
        ([HERE, FAR], [], []),
        ([], [HERE], []),
    ],
    ids=[
        "one piece",
        "a look-alike",
        "within reach",
        "both",
        "two pieces all along",
        "moved on",
        "moved on, with a rest",
        "not seen before",
        "nothing",
    ],
)
def test_pieces_out_of_reach(boxes: list[Box], last: list[Box], strays: list[Box]) -> None:
    assert (stray_pieces(mask_of(*boxes), mask_of(*last)) == mask_of(*strays)).all()


def test_the_smallest_objects_reach_a_few_pixels() -> None:
    last = mask_of((5, 5, 6, 6))
    assert not stray_pieces(mask_of((5, 5, 6, 6), (8, 5, 9, 6)), last).any()
    assert stray_pieces(mask_of((5, 5, 6, 6), (9, 5, 10, 6)), last).any()


def test_an_object_gets_further_in_several_frames() -> None:
    last = mask_of(HERE)
    assert stray_pieces(mask_of(HERE, (18, 2, 24, 8)), last).any()
    assert not stray_pieces(mask_of(HERE, (18, 2, 24, 8)), last, frames=2).any()
