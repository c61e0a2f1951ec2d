"""Continuing a resumed session, so that its results can be written in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from masklet.records import Frame, FrameMasks

if TYPE_CHECKING:
    from masklet.tracking.tracker import Tracker


def continued(
    tracker: Tracker[Any], is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Frame, FrameMasks]]:
    """Track again what new prompts can change, then yield every frame from the first one on, and continue tracking.

    Frames that still hold are not tracked a second time. A run that is stopped while it tracks again yields nothing:
    the results stay as they were, and the next run continues from there.

    Args:
        tracker: a resumed tracker, with a source that can go back.
        is_stopped: asked between frames while tracking again.

    Yields:
        Each frame and its masks, in ascending order as far as frames had been tracked.
    """
    assert tracker.source is not None
    tracked = tracker.tracked_frames
    for _ in tracker.retrack():
        if is_stopped():
            return
    if tracked is not None:
        for frame in tracker.source.frames(tracked[0], tracked[1] + 1):
            masks = None if tracker.is_to_come(frame.index) else tracker.masks_at(frame.index)
            if masks is not None:
                yield frame, masks
    yield from with_frames(tracker, tracker.proceed())


def with_frames(tracker: Tracker[Any], masks: Iterator[FrameMasks]) -> Iterator[tuple[Frame, FrameMasks]]:
    """Pair the masks of a run with their frames, whose pixels the tracker still has."""
    for frame_masks in masks:
        assert tracker.frame is not None
        yield tracker.frame, frame_masks
