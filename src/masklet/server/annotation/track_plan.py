"""Plans the tracker runs of a request to track: frames and objects, decided on integers alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from masklet.tracking.tracker import Direction


class PlannedRun(NamedTuple):
    """Arguments of one `Tracker.run`."""

    direction: Direction
    start: int | None
    stop: int | None
    object_ids: tuple[int, ...]
    num_frames: int
    """Number of frames that it yields."""


def runs_over(direction: Direction, prompted: Mapping[int, Collection[int]], frames: range) -> Iterator[PlannedRun]:
    """Plan runs that track objects through all frames, including those with masks.

    Args:
        direction: both is outwards from each object's first prompt, within the frames.
        prompted: prompted frames by object id; at least one per object.
        frames: the frames that may change, not empty.
    """
    first = {object_id: min(indices) for object_id, indices in prompted.items()}
    last = {object_id: max(indices) for object_id, indices in prompted.items()}
    if direction == "forward":
        yield from _forward(first, min(first.values()), frames)
    elif direction == "backward":
        yield from _backward(last, max(last.values()), frames)
    else:
        if within := tuple(object_id for object_id in first if first[object_id] in frames):
            yield PlannedRun("both", frames.start or None, frames.stop, within, len(frames))
        if before := [object_id for object_id in first if first[object_id] < frames.start]:
            yield from _forward(before, min(first[object_id] for object_id in before), frames)
        if after := [object_id for object_id in first if first[object_id] >= frames.stop]:
            yield from _backward(after, max(last[object_id] for object_id in after), frames)


def runs_to_the_missing(
    direction: Direction,
    prompted: Mapping[int, Collection[int]],
    current: Mapping[int, Collection[int]],
    frames: range,
    num_frames: int,
) -> Iterator[PlannedRun]:
    """Plan runs that begin where each object's masks end, seen from its first or last prompt.

    Args:
        direction: both is outwards from the first prompt; backward starts at the last one.
        prompted: as in `runs_over`.
        current: frames with an up-to-date mask, by object id; objects without any may be left out.
        frames: the frames that may change, not empty.
        num_frames: number of frames of the medium.
    """
    first = {object_id: min(indices) for object_id, indices in prompted.items()}
    last = {object_id: max(indices) for object_id, indices in prompted.items()}
    if direction != "backward":
        for begin, object_ids in _ends(first, current, 1, num_frames).items():
            yield from _forward(object_ids, begin, frames)
    if direction != "forward":
        for begin, object_ids in _ends(first if direction == "both" else last, current, -1, num_frames).items():
            yield from _backward(object_ids, begin, frames)


def _forward(object_ids: Collection[int], begin: int, frames: range) -> Iterator[PlannedRun]:
    begin = max(frames.start, begin)
    if begin < frames.stop:
        yield PlannedRun("forward", begin, frames.stop, tuple(object_ids), frames.stop - begin)


def _backward(object_ids: Collection[int], begin: int, frames: range) -> Iterator[PlannedRun]:
    begin = min(frames.stop - 1, begin)
    if begin >= frames.start:
        before = frames.start - 1 if frames.start else None
        yield PlannedRun("backward", begin, before, tuple(object_ids), begin - frames.start + 1)


def _ends(
    begins: Mapping[int, int], current: Mapping[int, Collection[int]], step: Literal[1, -1], num_frames: int
) -> dict[int, list[int]]:
    """Return the objects by the first frame without a mask, walking from each object's frame in `begins`."""
    ends: dict[int, list[int]] = {}
    for object_id, begin in begins.items():
        masked, index = current.get(object_id, ()), begin
        while index in masked:
            index += step
        if 0 <= index < num_frames:
            ends.setdefault(index, []).append(object_id)
    return ends
