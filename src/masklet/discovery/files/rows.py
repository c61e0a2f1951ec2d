"""Selects the usable entries of a file of detections and notes why the others are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.discovery.files.table import DetectionTable

NOT_FINITE = "its box has an edge that is not a number"
EMPTY_BOX = "its box is empty: right and bottom come last"


class KeptRows:
    """The rows of a table that are used, and the problems of the others.

    Args:
        table: the file's entries, N rows. It is not changed.
    """

    def __init__(self, table: DetectionTable) -> None:
        self.table = table
        self.problems = table.problems.copy()
        self.mask: NDArray[np.bool_] = np.ones(len(table), np.bool_)
        """(N,) True where a row is used."""

    def place(self, row: int | np.integer[Any]) -> str:
        """Return file and place of a row, for messages."""
        return f"{self.table.name}, {self.table.places[int(row)]}"

    def leave_out(self, lost: NDArray[np.bool_] | np.bool_, kind: str, reason: str) -> None:
        """Leave rows out, and note them as one kind of problem.

        Args:
            lost: (N,) True for the rows; those that are left out already are not counted again.
            kind: equal for cases that share a line.
            reason: follows the place of the first one.
        """
        rows = np.flatnonzero(self.mask & lost)
        if len(rows):
            self.problems.add(kind, f"{self.place(rows[0])}: {reason}; left out", len(rows))
            self.mask[rows] = False

    def leave_out_boxes(self, boxes_xyxy: NDArray[np.float64]) -> None:
        """Leave out the rows whose boxes are not numbers or empty.

        Args:
            boxes_xyxy: (N, 4) boxes; those of rows that are left out become 0.
        """
        self.leave_out(~np.isfinite(boxes_xyxy).all(axis=1), "not finite", NOT_FINITE)
        boxes_xyxy[~self.mask] = 0
        is_empty = (boxes_xyxy[:, 2:] <= boxes_xyxy[:, :2]).any(axis=1)
        self.leave_out(is_empty, "empty", EMPTY_BOX)

    def scores(self, note: Callable[[str], None]) -> NDArray[np.float64]:
        """Return the (N,) scores in [0, 1], and leave out the rows whose scores are none.

        Percentages and logits are converted where most scores are of that kind; else scores outside [0, 1] are errors.

        Args:
            note: is told when scores are converted.
        """
        table = self.table
        scores = table.scores()
        rows = np.flatnonzero(self.mask)
        values = scores[rows]
        finite = values[np.isfinite(values)]
        outside = (finite < 0) | (finite > 1)
        if outside.sum() * 2 > len(finite):
            low, high = finite.min(), finite.max()
            if low >= 0 and 10 < high <= 100:
                scores[rows] = values / 100
                note(f"{table.name}: scores from {low:g} to {high:g} were read as percentages")
            else:
                with np.errstate(over="ignore"):
                    scores[rows] = np.where(np.isfinite(values), 1 / (1 + np.exp(-values)), np.nan)
                note(f"{table.name}: scores from {low:g} to {high:g} were read as logits")
        is_bad = ~((scores >= 0) & (scores <= 1))
        if (bad := np.flatnonzero(is_bad & self.mask)).size:
            reason = f"its score must be in [0, 1], got {table.score_text(int(bad[0]))}"
            self.leave_out(is_bad, "score", reason)
        return scores
