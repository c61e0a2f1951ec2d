"""Decides the status of one object: present, uncertain, occluded or lost, and whether a user should review its mask.

It works on numbers alone (object score, reliability, area of the mask) and compares them with the last few frames.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from masklet.memory.policies import Sighting, reliability
from masklet.records import ObjectStatus

LOST_AFTER = 15
"""Frames of absence after which an object counts as lost and no longer as occluded."""

UNCERTAIN_BELOW = 0.5
"""A reliability below this fraction of the object's usual one is uncertain: models differ in how sure they are."""
UNCERTAIN_FLOOR = 0.3
"""A reliability below this is always uncertain, also for objects that were never tracked well. Tracks of nano that held
had 0.35 to 0.57, one that had lost its object 0.02 to 0.28."""

REVIEW_BELOW = 0.5
"""An expected IoU below which a mask is uncertain however usual it is for its object: more often than not less than
half of it is right. Objects that are poor from their first frame on have nothing better to compare with."""

JUMP = 3.0
"""A mask that is this many times larger or smaller than on the frame before may be of another thing."""

EXPLODED_AREA = 0.5
"""Fraction of the frame: a smaller mask has not exploded, whatever its size was before."""
EXPLODED_GROWTH = 4.0
"""An exploded mask has at least this many times the usual area."""
MAX_REFUSALS = 5
"""Exploded masks refused in a row. After these a large mask is accepted: the camera may have come close."""

WINDOW = 10
"""Frames over which the usual area and reliability are taken."""


class Verdict(NamedTuple):
    """Status of an object on one frame."""

    status: ObjectStatus
    review: bool
    """True where a user should review the mask."""


class StatusMonitor:
    """Follows the scores and areas of one object over the last frames."""

    def __init__(self) -> None:
        self._areas: deque[float] = deque(maxlen=WINDOW)
        self._reliabilities: deque[float] = deque(maxlen=WINDOW)
        self._scores: deque[float] = deque(maxlen=WINDOW)
        self._absent = 0
        self._refusals = 0
        self._status: ObjectStatus = "present"

    def has_exploded(self, area: float) -> bool:
        """Return True if a mask of this area, a fraction of the frame, is implausibly large after the last ones."""
        if not self._areas or self._refusals >= MAX_REFUSALS:
            return False
        return area > EXPLODED_AREA and area > EXPLODED_GROWTH * statistics.median(self._areas)

    @property
    def is_following(self) -> bool:
        """True if the last mask says where the object is: not at first, after a shot cut or after a refused mask."""
        return bool(self._areas) and not self._refusals

    @property
    def score_variance(self) -> float:
        """Variance of the recent object scores."""
        return statistics.pvariance(self._scores) if len(self._scores) > 1 else 0.0

    def update(
        self, sighting: Sighting, *, confidence: float | None = None, collided: bool = False, refused: bool = False
    ) -> Verdict:
        """Take in the next frame and return the object's status on it.

        Args:
            sighting: the decoder's answer, with the candidate that was chosen.
            confidence: expected IoU of its mask, in [0, 1]; None for a model without calibration, whose IoU
                predictions can only be compared with one another.
            collided: the mask covers another object that has the stronger claim to the pixels.
            refused: the mask has exploded and is not shown.
        """
        last_status = self._status
        self._refusals = self._refusals + 1 if refused else 0
        certainty = reliability(sighting.object_score, sighting.iou_prediction)
        is_seen = sighting.is_present and sighting.area > 0 and not refused
        if sighting.prompted:
            self._absent, self._status = 0, "present"
            self._areas.clear()  # a mask that the user prompted is not a jump
        elif is_seen:
            self._absent = 0
            usual = statistics.median(self._reliabilities) if self._reliabilities else 0.0
            least = max(UNCERTAIN_FLOOR, UNCERTAIN_BELOW * usual)
            jumped = bool(self._areas) and not 1 / JUMP < sighting.area / self._areas[-1] < JUMP
            is_poor = certainty < least or (confidence is not None and confidence < REVIEW_BELOW)
            self._status = "uncertain" if collided or jumped or is_poor else "present"
        elif refused:
            self._status = "uncertain"
        else:
            self._absent += 1
            self._status = "lost" if self._absent > LOST_AFTER else "occluded"
        if is_seen:
            self._areas.append(sighting.area)
            # Usual values come from frames that are tracked without doubt, and not from prompted ones.
            if self._status == "present" and not sighting.prompted:
                self._reliabilities.append(certainty)
            if not collided:
                self._scores.append(sighting.object_score)
        just_lost = self._status == "lost" and last_status != "lost"
        return Verdict(self._status, not sighting.prompted and (self._status == "uncertain" or just_lost))

    def forget_areas(self) -> None:
        """Forget the usual area: after a shot cut an object may have any size."""
        self._areas.clear()

    def state(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return {
            "areas": list(self._areas),
            "reliabilities": list(self._reliabilities),
            "scores": list(self._scores),
            "absent": self._absent,
            "refusals": self._refusals,
            "status": self._status,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> StatusMonitor:
        """Make a monitor from a result of `state`."""
        monitor = cls()
        monitor._areas.extend(state["areas"])
        monitor._reliabilities.extend(state["reliabilities"])
        monitor._scores.extend(state["scores"])
        monitor._absent, monitor._refusals, monitor._status = state["absent"], state["refusals"], state["status"]
        return monitor
