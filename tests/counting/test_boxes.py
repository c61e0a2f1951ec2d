"""Boxes of masks with stray pieces."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.counting.boxes import object_box
from masklet.masks.rle import encode_rle

Piece = tuple[int, int, int, int]
"""Left, top, right, bottom."""
BALL: Piece = (10, 10, 20, 20)
SHOE: Piece = (12, 40, 20, 48)
SPECK: Piece = (40, 40, 42, 42)


def boxed(*pieces: Piece, former: Piece | None) -> list[float] | None:
    mask = np.zeros((60, 80), bool)
    for left, top, right, bottom in pieces:
        mask[top:bottom, left:right] = True
    box = object_box(encode_rle(mask), None if former is None else np.array(former, np.float32))
    return None if box is None else box.tolist()


@pytest.mark.parametrize(
    ("pieces", "former", "expected"),
    [
        ((), BALL, None),
        ((BALL,), None, BALL),
        ((BALL, SHOE), (9, 8, 19, 18), BALL),
        ((BALL, SHOE), None, (10, 10, 20, 48)),
        ((BALL, SPECK), None, BALL),
        ((BALL, (22, 10, 30, 20)), BALL, (10, 10, 30, 20)),  # the part on the other side of a pole
        ((SHOE,), BALL, SHOE),
        ((BALL, SPECK), SPECK, BALL),  # the former box was that of a speck
    ],
)
def test_pieces_out_of_reach_are_left_out(
    pieces: tuple[Piece, ...], former: Piece | None, expected: Piece | None
) -> None:
    assert boxed(*pieces, former=former) == (None if expected is None else list(expected))
