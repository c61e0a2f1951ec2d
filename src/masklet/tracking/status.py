"""Judges what has become of one object: present, uncertain, occluded or lost, and whether a user should have a look.

On numbers alone: object score, reliability, area of the mask. What it judges by is its own short memory of the object.
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
"""A reliability, relative to the usual one of the object: models differ in how sure they are of anything."""
UNCERTAIN_FLOOR = 0.3
"""A reliability, for objects that were never tracked well. Tracks of nano that held had 0.35 to 0.57, one that had lost
its object 0.02 to 0.28."""

REVIEW_BELOW = 0.5
"""An expected IoU below which a mask is uncertain however usual it is for its object: more often than not less than
half of it is right. Objects that are poor from their first frame on have nothing better to compare with."""

JUMP = 3.0
"""How many times larger or smaller than on the frame before a mask may become before it looks like another thing."""

EXPLODED_AREA = 0.5
"""Of the frame: a smaller mask has not exploded, whatever it was before."""
EXPLODED_GROWTH = 4.0
"""How many times the usual area an exploded mask has at least."""
MAX_REFUSALS = 5
"""In a row. A mask that stays large after these is believed: the camera may have come close."""

WINDOW = 10
"""Frames on which the usual area and reliability are taken."""


class Verdict(NamedTuple):
    """What has become of an object on a frame."""

    status: ObjectStatus
    review: bool
    """A user should have a look."""


class Watch:
    """The recent past of one object."""

    def __init__(self) -> None:
        self._areas: deque[float] = deque(maxlen=WINDOW)
        self._reliabilities: deque[float] = deque(maxlen=WINDOW)
        self._scores: deque[float] = deque(maxlen=WINDOW)
        self._absent = 0
        self._refusals = 0
        self._status: ObjectStatus = "present"

    def has_exploded(self, area: float) -> bool:
        """Whether a mask of this area, as a fraction of the frame, is not to be believed after what was seen before."""
        if not self._areas or self._refusals >= MAX_REFUSALS:
            return False
        return area > EXPLODED_AREA and area > EXPLODED_GROWTH * statistics.median(self._areas)

    @property
    def unsteadiness(self) -> float:
        """Variance of the recent object scores."""
        return statistics.pvariance(self._scores) if len(self._scores) > 1 else 0.0

    def judge(
        self, sighting: Sighting, *, confidence: float | None = None, collided: bool = False, refused: bool = False
    ) -> Verdict:
        """What has become of the object; called once a frame.

        Args:
            sighting: the frame's, with the candidate that was chosen.
            confidence: the expected IoU of its mask, in [0, 1]; None for a model without calibration, whose IoU
                predictions can only be compared with one another.
            collided: another object has the same pixels, and more right to them.
            refused: the mask has exploded and is not shown.
        """
        before = self._status
        self._refusals = self._refusals + 1 if refused else 0
        sure = reliability(sighting.object_score, sighting.iou_prediction)
        is_seen = sighting.is_present and sighting.area > 0 and not refused
        if sighting.prompted:
            self._absent, self._status = 0, "present"
            self._areas.clear()  # what the user says is no jump
        elif is_seen:
            self._absent = 0
            usual = statistics.median(self._reliabilities) if self._reliabilities else 0.0
            least = max(UNCERTAIN_FLOOR, UNCERTAIN_BELOW * usual)
            jumped = bool(self._areas) and not 1 / JUMP < sighting.area / self._areas[-1] < JUMP
            is_poor = sure < least or (confidence is not None and confidence < REVIEW_BELOW)
            self._status = "uncertain" if collided or jumped or is_poor else "present"
        elif refused:
            self._status = "uncertain"
        else:
            self._absent += 1
            self._status = "lost" if self._absent > LOST_AFTER else "occluded"
        if is_seen:
            self._areas.append(sighting.area)
            # What is usual is learnt where all is well: neither from doubt, nor from what was not predicted but given.
            if self._status == "present" and not sighting.prompted:
                self._reliabilities.append(sure)
            if not collided:
                self._scores.append(sighting.object_score)
        just_lost = self._status == "lost" and before != "lost"
        return Verdict(self._status, not sighting.prompted and (self._status == "uncertain" or just_lost))

    def cut(self) -> None:
        """After a cut an object may have any size."""
        self._areas.clear()

    def state(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "areas": list(self._areas),
            "reliabilities": list(self._reliabilities),
            "scores": list(self._scores),
            "absent": self._absent,
            "refusals": self._refusals,
            "status": self._status,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Watch:
        """What gave this state."""
        watch = cls()
        watch._areas.extend(state["areas"])
        watch._reliabilities.extend(state["reliabilities"])
        watch._scores.extend(state["scores"])
        watch._absent, watch._refusals, watch._status = state["absent"], state["refusals"], state["status"]
        return watch
