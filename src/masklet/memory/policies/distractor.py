"""Remember for good the frames on which the object was told from something that looks like it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from masklet.masks.operations import largest_component
from masklet.memory.policies.base import Policy, Reads, Sighting, View, Write, box_iou, box_of

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

RECENT_STRIDE = 5
"""Frames between the recent memories, but for the newest: neighbours say nearly the same."""
MIN_IOU = 0.8
"""IoU prediction above which a frame is sure enough to be kept."""
AREA_RANGE = (0.8, 1.2)
"""Of the mask's area to its usual one: otherwise it may have lost a part, or have taken something in."""
AREA_MEMORY = 300
"""Frames back within which an area is usual..."""
AREAS = 10
"""...and of how many sights."""
MIN_GAP = 5
"""Frames since the last one kept, above which another may be."""
MAX_BOX_IOU = 0.7
"""Of the chosen candidate's box and that box with a rival's in it, for the rival to be something else."""


class DistractorPolicy(Policy):
    """Read frames on which there was a rival beside the prompted ones, and recent frames at wider distances.

    a) Recent memories: the previous frame, then frames on a grid of 5, where the object was there. Each resolved
       frame takes the place of one of them, but not of the newest half.
    b) A frame is resolved when its IoU prediction is above 0.8; its area is within a fifth of the median of the last
       ten; more than five frames have passed since the last one or the prompt; and there was a rival: a candidate
       that was not chosen, of which the largest piece outside the chosen mask widens its box so much that old and
       new box overlap by 0.7 at most.
    c) Pointers are those of frames with the object, at their distance in time.

    Resolved frames are kept beside the prompted ones, so the prompt may be on any frame, and there may be several.

    Source: DAM4SAM, arXiv 2411.17576 (where the prompt is on frame 0, and the order of slots stands for time).
    """

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config)
        self._areas: deque[tuple[int, float]] = deque(maxlen=AREAS)
        self._last_kept: int | None = None

    def read(self, view: View) -> Reads:
        previous = view.frame_index - view.direction
        nearest_first = sorted(view.reliability, key=lambda index: abs(view.frame_index - index))
        there = [index for index in nearest_first if view.reliability[index] > 0]
        recent = [index for index in there if index == previous or index % RECENT_STRIDE == 0]
        slots = self.config.spatial_slots - 1
        room = max(slots - max(view.num_prompted - 1, 0), (slots + 1) // 2)
        farthest = view.pointer_span - 1
        return Reads(
            list(enumerate(recent[:room], start=1))[::-1],
            [(min(abs(view.frame_index - index), farthest), index) for index in there[:farthest]],
        )

    def write(self, sighting: Sighting) -> Write:
        if sighting.area == 0 or not sighting.is_present:
            return Write(reliability=0.0)
        resolved = not sighting.prompted and self._is_resolved(sighting)
        self._areas.append((sighting.frame_index, sighting.area))
        if resolved or sighting.prompted:
            self._last_kept = sighting.frame_index
        return Write(resolved=resolved)

    def reset(self) -> None:
        self._areas.clear()

    def state(self) -> dict[str, Any]:
        return {"areas": [list(one) for one in self._areas], "last_kept": self._last_kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._areas = deque(((int(index), float(area)) for index, area in state["areas"]), maxlen=AREAS)
        self._last_kept = state["last_kept"]

    def _is_resolved(self, sighting: Sighting) -> bool:
        if sighting.iou_prediction <= MIN_IOU:
            return False
        if self._last_kept is not None and abs(sighting.frame_index - self._last_kept) <= MIN_GAP:
            return False
        usual = [area for index, area in self._areas if abs(sighting.frame_index - index) <= AREA_MEMORY]
        if not usual or not AREA_RANGE[0] <= sighting.area / median(usual) <= AREA_RANGE[1]:
            return False
        return has_rival(sighting)


def has_rival(sighting: Sighting) -> bool:
    """Whether a candidate that was not chosen shows something else than the chosen one."""
    chosen = sighting.masks[sighting.chosen]
    for candidate, mask in enumerate(sighting.masks):
        elsewhere = mask & ~chosen
        if candidate == sighting.chosen or not np.any(elsewhere):
            continue
        if box_iou(sighting.box, box_of(chosen | largest_component(elsewhere))) <= MAX_BOX_IOU:
            return True
    return False
