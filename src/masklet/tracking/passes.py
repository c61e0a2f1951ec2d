"""Passes: ranges of frames that tracking walks through, planned for a run or for frames to be tracked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from masklet.tracking.mask_store import StaleRange
from masklet.tracking.track import Track

Direction = Literal["forward", "backward", "both"]


class Pass(NamedTuple):
    """Frames to walk through in one direction; `start` moves on as they are done."""

    direction: int
    """1 forward, -1 backward."""
    start: int
    """The next frame."""
    stop: int | None
    """The frame before which the pass ends, as in `range`; None is the end of the video."""
    object_ids: tuple[int, ...] | None = None
    """Objects to track; None is all, those included that are added meanwhile."""
    shown_below: int | None = None
    """In the backward pass of a run in both directions: only frames before this one are shown, as the others are shown
    in the forward pass."""
    discovers: bool = False
    """True if the pass belongs to a discovery, and not to a run."""

    def is_over(self, num_frames: int | None) -> bool:
        """Return True if no frame is left."""
        stop = self.stop if self.stop is not None else num_frames if self.direction > 0 else -1
        return stop is not None and (stop - self.start) * self.direction <= 0

    def shows(self, frame_index: int) -> bool:
        """Return True if the pass will still show a frame."""
        stop = self.stop if self.stop is not None else self.direction * 2**40
        is_ahead = (frame_index - self.start) * self.direction >= 0 and (stop - frame_index) * self.direction > 0
        return is_ahead and (self.shown_below is None or frame_index < self.shown_below)


def passes_of_run(
    direction: Direction,
    tracks: Sequence[Track[Any]],
    num_frames: int | None,
    *,
    start: int | None,
    stop: int | None,
    object_ids: tuple[int, ...] | None,
) -> list[Pass]:
    """Plan the passes of `Tracker.run`, which explains start and stop.

    Args:
        direction: with "both", the backward pass comes first.
        tracks: the objects to track.
        num_frames: length of the video, where known.
        start: replaces the first frame on which one of the objects can be tracked.
        stop: the frame before which the run ends.
        object_ids: ids of the tracks; None also tracks objects that are added meanwhile.
    """
    firsts = [track.first_trackable for track in tracks]
    earliest = min(firsts)
    if direction == "both":
        back = Pass(-1, max(firsts), start - 1 if start else None, object_ids, shown_below=earliest)
        return [back, Pass(1, earliest, stop, object_ids)]
    if start is not None:
        first = start
    else:
        first = earliest if direction == "forward" else max(track.last_trackable(num_frames) for track in tracks)
    return [Pass(1 if direction == "forward" else -1, first, stop, object_ids)]


def passes_over(ranges: Sequence[StaleRange]) -> Iterator[tuple[Pass, list[StaleRange]]]:
    """Plan passes over outdated ranges: forward, then backward. Ranges that touch share a pass."""
    for direction in (1, -1):
        in_direction = [stale for stale in ranges if stale.direction == direction]
        for group in _touching(sorted(in_direction, key=lambda stale: stale.first))[::direction]:
            first, last = min(stale.first for stale in group), max(stale.last for stale in group)
            yield (Pass(1, first, last + 1) if direction > 0 else Pass(-1, last, first - 1)), group


def _touching(ranges: Sequence[StaleRange]) -> list[list[StaleRange]]:
    """Group ranges, sorted by their first frame, so that there is a gap between any two groups."""
    groups: list[list[StaleRange]] = []
    for stale in ranges:
        if groups and stale.first <= max(member.last for member in groups[-1]) + 1:
            groups[-1].append(stale)
        else:
            groups.append([stale])
    return groups
