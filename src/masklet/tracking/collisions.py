"""Finds tracked objects that have collapsed onto one another, and says which of two is the impostor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from masklet.records import BoolArray, FloatArray

COLLIDED_IOU = 0.7
"""From this on two masks are one thing. Source: sam3 99d02f2, suppression of overlapping tracks."""
CLOSE_SCORES = 1.0
"""Object scores, logits, that differ by less say nothing of who is right; then the steadier one is.
Source: the rule is that of SAM2MOT (arXiv 2504.04519), the number ours."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One object's claim to its mask."""

    object_score: float
    unsteadiness: float
    """Variance of its recent object scores."""
    prompted: bool = False


@dataclass(slots=True)
class CollisionGuard:
    """Remembers which objects lie on one another because the user said so: a shirt and who wears it."""

    allowed: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of object ids, ascending."""

    def losers(self, masks: Mapping[int, BoolArray], claims: Mapping[int, Claim]) -> set[int]:
        """Objects that have collapsed onto another one which has more right to the pixels.

        Args:
            masks: by object id, ascending; all of one (h, w), empty where the object is absent.
            claims: of the same objects.
        """
        ids = list(masks)
        overlaps = pairwise_iou([masks[object_id] for object_id in ids])
        losers: set[int] = set()
        for row, column in zip(*np.nonzero(np.triu(overlaps >= COLLIDED_IOU, k=1)), strict=True):
            pair = (ids[row], ids[column])
            first, second = (claims[object_id] for object_id in pair)
            if first.prompted or second.prompted:
                self.allowed.add(pair)
            elif pair not in self.allowed:
                losers.add(pair[weaker(first, second)])
        return losers

    def forget(self, object_id: int) -> None:
        """The id may be used for another object."""
        self.allowed = {pair for pair in self.allowed if object_id not in pair}


def weaker(first: Claim, second: Claim) -> int:
    """0 or 1: the one of the lower object score, or if they are close, the one whose score has been less steady."""
    if abs(first.object_score - second.object_score) >= CLOSE_SCORES or first.unsteadiness == second.unsteadiness:
        return int(second.object_score <= first.object_score)
    return int(second.unsteadiness > first.unsteadiness)


def pairwise_iou(masks: Sequence[BoolArray]) -> FloatArray:
    """(N, N) of N masks of one size; 0 where one is empty."""
    if not masks:
        return np.zeros((0, 0), np.float32)
    flat = np.stack(masks).reshape(len(masks), -1).astype(np.float32)
    shared = flat @ flat.T
    areas = flat.sum(axis=1)
    unions = areas[:, None] + areas[None] - shared
    return np.asarray(shared / np.maximum(unions, 1), np.float32)
