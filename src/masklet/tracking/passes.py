"""The ways that tracking takes through a video: legs of a run, and stretches that are tracked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from masklet.tracking.mask_store import Stretch
from masklet.tracking.track import Track

Direction = Literal["forward", "backward", "both"]


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


def legs_of_run(
    direction: Direction,
    tracks: Sequence[Track[Any]],
    num_frames: int | None,
    *,
    start: int | None,
    stop: int | None,
    object_ids: tuple[int, ...] | None,
) -> list[Leg]:
    """The legs of `Tracker.run`, which says what start and stop are.

    Args:
        direction: going both ways, the way back comes first.
        tracks: the objects to track.
        num_frames: of the video, where known.
        start: in place of the first frame on which one of the objects can be tracked.
        stop: the way ends before this frame.
        object_ids: of the tracks; None has those that are added on the way tracked, too.
    """
    firsts = [track.first_known for track in tracks]
    earliest = min(firsts)
    if direction == "both":
        back = Leg(-1, max(firsts), start - 1 if start else None, object_ids, shown_below=earliest)
        return [back, Leg(1, earliest, stop, object_ids)]
    if start is not None:
        first = start
    else:
        first = earliest if direction == "forward" else max(track.last_known(num_frames) for track in tracks)
    return [Leg(1 if direction == "forward" else -1, first, stop, object_ids)]


def legs_over(stretches: Sequence[Stretch]) -> Iterator[tuple[Leg, list[Stretch]]]:
    """Legs that go over stretches, those that touch in one; forward, then backward."""
    for direction in (1, -1):
        own = sorted((one for one in stretches if one.direction == direction), key=lambda one: one.first)
        for group in _touching(own)[::direction]:
            first, last = min(one.first for one in group), max(one.last for one in group)
            yield (Leg(1, first, last + 1) if direction > 0 else Leg(-1, last, first - 1)), group


def _touching(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Stretches, by their first frame, in groups between which there is a gap."""
    groups: list[list[Stretch]] = []
    for stretch in stretches:
        if groups and stretch.first <= max(one.last for one in groups[-1]) + 1:
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    return groups
