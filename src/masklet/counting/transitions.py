"""Changes of side: when an object has left one side of a zone for the other, and how sure that is.

An anchor that trembles on a line would cross it again and again. So an object has changed its side only when it lies
beyond the line by a margin; within the margin it stays on the side where it was (hysteresis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOGISTIC_SCALE = 1.702
"""With this scale the logistic function differs from the normal distribution by less than 0.01."""

UNDECIDED = 0.5
"""Highest probability of a transition that no row shows clearly."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One object's change of side; indices are rows of its trajectory."""

    before: int
    """The last row that is clearly on the former side."""
    after: int
    """The first row that is clearly on the new side; of an undecided transition, the last row on the new side."""
    direction: int
    """1 to the side of positive distances, -1 to that of negative ones."""
    probability: float
    """In [0, 1]; see `side_evidence`."""
    is_decided: bool = True
    """False where the track begins or ends within the margin, so that nobody saw the object clearly on both sides."""


def settled_sides(distances: NDArray[np.float64], margins: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return (T,) 1 or -1 where a point lies beyond the margin on that side, 0 within it."""
    return (np.where(distances > margins, 1, 0) - np.where(distances < -margins, 1, 0)).astype(np.int8)


def side_evidence(
    distances: NDArray[np.float64], errors: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (T,) the probability that a row shows its object on the side of positive distances.

    It is the probability that the row shows the object at all, times that of the true anchor lying on this side if the
    anchor's error is normal with `errors` as its deviation.
    """
    ratio = np.clip(distances / np.maximum(errors, 1e-6), -40, 40)
    result: NDArray[np.float64] = probabilities / (1 + np.exp(-LOGISTIC_SCALE * ratio))
    return result


def transitions(
    distances: NDArray[np.float64],
    margins: NDArray[np.float64],
    errors: NDArray[np.float64],
    probabilities: NDArray[np.float64],
) -> list[Transition]:
    """Return the changes of side of one object, in order.

    A transition is as probable as its weaker side, and a side as probable as the row that shows it best: its rows are
    of one track, so they are right or wrong together. Tracks that begin or end within the margin, on the other side
    than where they were settled, have an undecided transition there, with a probability of at most one half.

    Args:
        distances: (T,) signed distance of the anchor.
        margins: (T,) hysteresis, at least 0.
        errors: (T,) typical error of the anchor, in the unit of the distances.
        probabilities: (T,) that each row shows the object, in [0, 1].
    """
    sides = settled_sides(distances, margins)
    settled = np.flatnonzero(sides)
    if not len(settled):
        return []
    evidence = {
        1: side_evidence(distances, errors, probabilities),
        -1: side_evidence(-distances, errors, probabilities),
    }
    changes = np.flatnonzero(np.diff(sides[settled]))
    runs = [0, *(settled[changes + 1].tolist()), len(sides)]
    result = []
    first, last = int(settled[0]), int(settled[-1])
    if leading := _opposite_rows(distances, 0, first, int(sides[first])):
        side = int(sides[first])
        probability = min(evidence[-side][leading].max(), evidence[side][first : runs[1]].max())
        result.append(Transition(leading[-1], first, side, min(UNDECIDED, float(probability)), is_decided=False))
    for number, change in enumerate(changes):
        before, after = int(settled[change]), int(settled[change + 1])
        side = int(sides[after])
        former, new = evidence[-side][runs[number] : before + 1], evidence[side][after : runs[number + 2]]
        result.append(Transition(before, after, side, float(min(former.max(), new.max()))))
    if trailing := _opposite_rows(distances, last + 1, len(sides), int(sides[last])):
        side = -int(sides[last])
        probability = min(evidence[-side][runs[-2] : last + 1].max(), evidence[side][trailing].max())
        result.append(Transition(last, trailing[-1], side, min(UNDECIDED, float(probability)), is_decided=False))
    return result


def _opposite_rows(distances: NDArray[np.float64], start: int, stop: int, side: int) -> list[int]:
    """Return the rows in [start, stop) whose distance lies on the other side, if the row at the track's end does."""
    rows = [row for row in range(start, stop) if distances[row] * side < 0]
    end = start if start == 0 else stop - 1
    return rows if end in rows else []
