"""The ways that tracking takes through a video: legs of a run, and stretches that are tracked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from masklet.mask_store import Stretch


class Leg(NamedTuple):
    """A part of a run that is still to be gone."""

    direction: int
    start: int
    stop: int | None
    """As in `range`; None is the end of the video."""
    object_ids: tuple[int, ...] | None = None
    """Which objects to track; None is all."""
    shown_below: int | None = None
    """On the way back of a run both ways: only earlier frames than this are shown, the others come forward again."""

    def is_over(self, num_frames: int | None) -> bool:
        """Whether nothing is left of it."""
        stop = self.stop if self.stop is not None else num_frames if self.direction > 0 else -1
        return stop is not None and (stop - self.start) * self.direction <= 0

    def shows(self, frame_index: int) -> bool:
        """Whether a frame lies on the way and is shown."""
        stop = self.stop if self.stop is not None else self.direction * 2**40
        is_on_way = (frame_index - self.start) * self.direction >= 0 and (stop - frame_index) * self.direction > 0
        return is_on_way and (self.shown_below is None or frame_index < self.shown_below)


def touching(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Stretches, by their first frame, in groups between which there is a gap."""
    groups: list[list[Stretch]] = []
    for stretch in stretches:
        if groups and stretch.first <= max(one.last for one in groups[-1]) + 1:
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    return groups
