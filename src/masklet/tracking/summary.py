"""Summaries of a run: on how many frames each object was present, and how good its masks were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from masklet.records import FrameMasks


@dataclass(slots=True)
class ObjectSummary:
    """Summary of one object over a run; add the masks of each frame as they come."""

    num_frames: int = 0
    """Frames with the object in their list, present or not."""
    num_present: int = 0
    """Frames on which it was present."""
    confidence_sum: float = 0.0
    """Sum of the confidences over the frames on which it was present."""
    first: int | None = None
    """First frame on which it was present; None if it never was."""
    last: int | None = None
    prompted: list[int] = field(default_factory=list)
    """Frames on which it was prompted."""

    def add(self, masks: FrameMasks, row: int) -> None:
        """Count a frame, on which the object has this row."""
        self.num_frames += 1
        if masks.prompted[row]:
            self.prompted.append(masks.frame_index)
        if masks.object_scores[row] > 0:
            index = masks.frame_index
            self.num_present += 1
            self.confidence_sum += float(masks.confidences[row])
            self.first = index if self.first is None else min(self.first, index)
            self.last = index if self.last is None else max(self.last, index)

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence over the frames on which it was present; None if it never was."""
        return self.confidence_sum / self.num_present if self.num_present else None
