"""The Poisson-binomial distribution against SciPy's binomial and against drawn samples."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.counting import interval, poisson_binomial
from masklet.counting.intervals import count_of, running_interval


def test_equal_probabilities_are_binomial() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    masses = poisson_binomial(np.full(12, 0.3))
    assert masses == pytest.approx(stats.binom.pmf(np.arange(13), 12, 0.3))


def test_different_probabilities_agree_with_samples() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.uniform(0, 1, 9)
    drawn = (rng.random((200_000, 9)) < probabilities).sum(axis=1)
    assert poisson_binomial(probabilities) == pytest.approx(np.bincount(drawn, minlength=10) / 200_000, abs=0.005)


def test_sure_events_leave_nothing_open() -> None:
    low, high = interval(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert (low.tolist(), high.tolist()) == ([2, 0], [2, 0])


def test_the_level_is_covered() -> None:
    probabilities = np.random.default_rng(1).uniform(0.2, 0.9, (50, 15))
    masses = poisson_binomial(probabilities)
    low, high = interval(probabilities, 0.9)
    inside = [masses[row, low[row] : high[row] + 1].sum() for row in range(50)]
    assert min(inside) >= 0.9


def test_nothing_is_counted_as_zero() -> None:
    assert count_of([]).to_dict() == {"count": 0, "expected": 0.0, "low": 0, "high": 0}


def test_running_intervals_are_those_of_the_first_events() -> None:
    probabilities = [0.9, 0.5, 0.7]
    lows, highs = running_interval(probabilities)
    for number in range(4):
        low, high = interval(np.array(probabilities[:number]))
        assert (lows[number], highs[number]) == (low, high)
