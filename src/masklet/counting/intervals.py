"""Counts of events that are only probable: the Poisson-binomial distribution and its intervals.

Each of n objects or events is real with its own probability, independently of the others. The number of real ones is
then Poisson-binomial. Its interval says what the tracks themselves leave open: whether each counted object is one. It
knows nothing of objects that no track follows, or of one object that two tracks follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
"""Probability that an interval covers, by default."""
CHUNK = 4096
"""Rows that are computed together, so that an hour of video takes little memory."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of objects or events, with what is probable."""

    value: int
    """As counted."""
    expected: float
    """Sum of the probabilities."""
    low: int
    high: int
    """With the probability of the level at least `low` and at most `high` are real."""

    def to_dict(self) -> dict[str, float]:
        """Return the count as JSON."""
        return {"count": self.value, "expected": round(self.expected, 3), "low": self.low, "high": self.high}


def poisson_binomial(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distribution of the number of successes.

    Args:
        probabilities: (..., n) of n independent trials, in [0, 1].

    Returns:
        (..., n + 1) probability of 0, 1, ..., n successes; by convolution, in n steps.
    """
    *rows, trials = probabilities.shape
    masses = np.zeros((*rows, trials + 1))
    masses[..., 0] = 1
    for trial in range(trials):
        success = probabilities[..., trial, None]
        masses[..., 1 : trial + 2] = masses[..., 1 : trial + 2] * (1 - success) + masses[..., : trial + 1] * success
        masses[..., :1] *= 1 - success
    return masses


def interval(probabilities: NDArray[np.float64], level: float = LEVEL) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest and the highest number of successes of the central interval.

    Args:
        probabilities: (..., n) of n independent trials, in [0, 1].
        level: probability that the interval covers at least, in (0, 1).

    Returns:
        (...) low and (...) high: at most (1 - level) / 2 lies below low, and as much above high.
    """
    tail = (1 - level) / 2
    flat = probabilities.reshape(math.prod(probabilities.shape[:-1]), probabilities.shape[-1])
    lows, highs = np.zeros(len(flat), np.int64), np.zeros(len(flat), np.int64)
    for start in range(0, len(flat), CHUNK):
        below = np.cumsum(poisson_binomial(flat[start : start + CHUNK]), axis=-1)
        below[:, -1] = 1  # sums of floats may stay a little below
        lows[start : start + CHUNK] = (below > tail + 1e-12).argmax(axis=-1)
        highs[start : start + CHUNK] = (below >= 1 - tail - 1e-12).argmax(axis=-1)
    return lows.reshape(probabilities.shape[:-1]), highs.reshape(probabilities.shape[:-1])


def count_of(probabilities: Iterable[float], value: int | None = None, level: float = LEVEL) -> Count:
    """Return the count of events with their probabilities; `value` is their number by default."""
    array = np.array(list(probabilities), np.float64)
    low, high = interval(array, level)
    return Count(len(array) if value is None else value, float(array.sum()), int(low), int(high))


def running_interval(
    probabilities: Iterable[float], level: float = LEVEL
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (n + 1,) low and (n + 1,) high of the first 0, 1, ..., n events; see `interval`."""
    array = np.array(list(probabilities), np.float64)
    rows = np.tril(np.ones((len(array) + 1, len(array))), -1) * array
    return interval(rows, level)
