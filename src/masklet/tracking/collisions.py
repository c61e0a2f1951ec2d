"""Finds tracked objects that have collapsed onto the same pixels, and decides which of the two is wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from masklet.masks.overlap import MaskSetOverlap
from masklet.records import BoolArray

COLLIDED_IOU = 0.7
"""Two masks that overlap at least this much show the same thing.
Source: sam3 99d02f2, suppression of overlapping tracks."""
CLOSE_SCORES = 1.0
"""Object scores (logits) that differ by less do not decide; the object with the steadier score then wins.
Source: the rule is that of SAM2MOT (arXiv 2504.04519), the number ours."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One object's claim to its mask."""

    object_score: float
    score_variance: float
    """Variance of its recent object scores."""
    prompted: bool = False


@dataclass(slots=True)
class CollisionGuard:
    """Decides between objects on the same pixels, except where the user prompted both, as a shirt and its wearer."""

    allowed: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of object ids, ascending."""

    def losers(self, masks: Mapping[int, BoolArray], claims: Mapping[int, Claim]) -> set[int]:
        """Return the ids of objects that have collapsed onto another one with a stronger claim to the pixels.

        Args:
            masks: by object id, ascending; all of one (h, w), empty where the object is absent.
            claims: claims of the same objects, by object id.
        """
        ids = list(masks)
        overlaps = MaskSetOverlap([masks[object_id] for object_id in ids]).iou
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
        """Forget an object that was removed: its id may be used again."""
        self.allowed = {pair for pair in self.allowed if object_id not in pair}

    def clear(self) -> None:
        """Forget all objects."""
        self.allowed.clear()


def weaker(first: Claim, second: Claim) -> int:
    """Return which claim is weaker, 0 or 1: the lower object score, or, if they are close, the less steady one."""
    if abs(first.object_score - second.object_score) >= CLOSE_SCORES or first.score_variance == second.score_variance:
        return int(second.object_score <= first.object_score)
    return int(second.score_variance > first.score_variance)
