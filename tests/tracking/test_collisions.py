"""Objects that collapse onto the same pixels, and which of two is wrong there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from masklet.tracking.collisions import Claim, CollisionGuard, weaker


@pytest.mark.parametrize(
    ("first", "second", "loser"),
    [
        ((8.0, 0.0), (3.0, 0.0), 1),
        ((3.0, 0.0), (8.0, 9.0), 0),
        ((8.0, 4.0), (7.5, 0.1), 0),
        ((8.0, 0.1), (8.0, 4.0), 1),
    ],
)
def test_the_weaker_claim_has_the_lower_or_the_less_steady_score(first: Any, second: Any, loser: int) -> None:
    assert weaker(Claim(*first), Claim(*second)) == loser


def test_objects_that_were_prompted_on_one_another_do_not_collide() -> None:
    here = np.ones((2, 2), bool)
    guard = CollisionGuard()
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == {1}
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0, prompted=True), 2: Claim(8, 0)}) == set()
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == set()  # the user prompted both here
    guard.forget(2)
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == {1}
    assert guard.losers({1: here, 2: ~here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == set()
