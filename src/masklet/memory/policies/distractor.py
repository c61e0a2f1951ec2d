"""Keep the frames on which the object was told apart from something that looks like it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from masklet.checks import check_fraction, check_numbers, check_whole, set_checked
from masklet.errors import ConfigError
from masklet.masks.operations import largest_component
from masklet.memory.policies.base import (
    Policy,
    PolicyConfig,
    Reads,
    Sighting,
    View,
    Write,
    box_iou,
    box_of,
)

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class DistractorConfig(PolicyConfig):
    """Settings of `DistractorPolicy`."""

    recent_stride: int = 5
    """Frames between recent memories, except for the newest: neighbouring frames are nearly the same."""
    min_iou: float = 0.8
    """IoU prediction above which a frame is certain enough to be resolved."""
    area_range: tuple[float, float] = (0.8, 1.2)
    """Accepted ratio of the mask's area to its usual area: outside it the mask may have lost or gained a part."""
    area_span: int = 300
    """Frames back from which usual areas are taken."""
    num_areas: int = 10
    """Number of past areas whose median is the usual area."""
    min_gap: int = 5
    """Frames since the last resolved or prompted frame that must have passed."""
    max_box_iou: float = 0.7
    """Largest overlap of the chosen candidate's box and the same box extended by a rival candidate."""

    def __post_init__(self) -> None:
        names = ("recent_stride", "area_span", "num_areas")
        set_checked(self, names, check_whole, prefix="distractor.", least=1)
        set_checked(self, ["min_gap"], check_whole, prefix="distractor.", least=0)
        set_checked(self, ("min_iou", "max_box_iou"), check_fraction, prefix="distractor.")
        area_range = check_numbers("distractor.area_range", self.area_range, "two numbers (least, most)")
        object.__setattr__(self, "area_range", tuple(area_range.ravel().tolist()))
        if len(self.area_range) != 2 or not 0 <= self.area_range[0] <= self.area_range[1]:
            raise ConfigError(f"distractor.area_range must be (least, most), got {self.area_range!r}")


class DistractorPolicy(Policy):
    """Read frames on which there was a rival, like prompted ones, and recent frames at wider distances.

    a) Recent memories: the previous frame, then frames on a grid of 5 on which the object was present. Each resolved
       frame takes the place of one of them, but never of the newest half.
    b) A frame is resolved if its IoU prediction is above 0.8; its area is within a fifth of the median of the last
       ten; more than five frames have passed since the last resolved or prompted frame; and there was a rival: a
       candidate that was not chosen, whose largest piece outside the chosen mask extends the mask's box so much that
       the boxes before and after overlap by at most 0.7.
    c) Pointers are those of frames with the object, at their distance in time.

    Resolved frames are kept like prompted ones, so the prompt may be on any frame, and there may be several.

    Source: DAM4SAM, arXiv 2411.17576 (where the prompt is on frame 0, and the order of slots stands for time).
    """

    Config = DistractorConfig
    config: DistractorConfig

    def __init__(self, memory: MemoryConfig, config: DistractorConfig | None = None) -> None:
        super().__init__(memory, config)
        self._areas: deque[tuple[int, float]] = deque(maxlen=self.config.num_areas)
        self._last_kept: int | None = None

    def read(self, view: View) -> Reads:
        previous = view.frame_index - view.direction
        nearest_first = sorted(view.reliability, key=lambda index: abs(view.frame_index - index))
        present = [index for index in nearest_first if view.reliability[index] > 0]
        recent = [index for index in present if index == previous or index % self.config.recent_stride == 0]
        slots = self.memory.spatial_slots - 1
        room = max(slots - max(view.num_prompted - 1, 0), (slots + 1) // 2)
        farthest = view.pointer_span - 1
        return Reads(
            list(enumerate(recent[:room], start=1))[::-1],
            [(min(abs(view.frame_index - index), farthest), index) for index in present[:farthest]],
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
        return {"areas": [list(entry) for entry in self._areas], "last_kept": self._last_kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._areas = deque(((int(index), float(area)) for index, area in state["areas"]), maxlen=self.config.num_areas)
        self._last_kept = state["last_kept"]

    def _is_resolved(self, sighting: Sighting) -> bool:
        if sighting.iou_prediction <= self.config.min_iou:
            return False
        if self._last_kept is not None and abs(sighting.frame_index - self._last_kept) <= self.config.min_gap:
            return False
        span, (least, most) = self.config.area_span, self.config.area_range
        areas = [area for index, area in self._areas if abs(sighting.frame_index - index) <= span]
        if not areas or not least <= sighting.area / median(areas) <= most:
            return False
        return has_rival(sighting, self.config.max_box_iou)


def has_rival(sighting: Sighting, max_box_iou: float) -> bool:
    """Return whether a candidate that was not chosen shows something other than the chosen one does."""
    chosen = sighting.masks[sighting.chosen]
    for candidate, mask in enumerate(sighting.masks):
        elsewhere = mask & ~chosen
        if candidate == sighting.chosen or not np.any(elsewhere):
            continue
        if box_iou(sighting.box, box_of(chosen | largest_component(elsewhere))) <= max_box_iou:
            return True
    return False
