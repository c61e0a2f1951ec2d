"""The way through a video: which frames come next, with which objects, and which prompts are remembered before them.

What happens on a frame is the stepper's concern; what users prompt, and when, is the tracker's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from masklet.media.source import FrameSource
from masklet.records import BoolArray, Frame, FrameMasks
from masklet.tracking.mask_rows import MaskRow, join, take, to_rows
from masklet.tracking.mask_store import MaskStore, StaleRange
from masklet.tracking.passes import Pass, passes_over
from masklet.tracking.state import TrackerState
from masklet.tracking.stepper import Stepper
from masklet.tracking.track import LONGEST_GAP

A = TypeVar("A")

ActiveIds = Callable[[int], Iterable[int]]
"""Returns the ids of the objects to be tracked on a frame, by its index."""


class TrackedFrame(NamedTuple):
    """Output of one frame: masks that have just been tracked, and stored ones of other objects, not yet decoded."""

    tracked: FrameMasks
    others: list[MaskRow]
    """Stored rows of the other objects, by object id; outdated rows are among them."""
    state: TrackerState[Any]

    def masks(self) -> FrameMasks:
        """Return the masks that are shown: up to date, and of objects that are not hidden."""
        tracks, tracked = self.state.tracks, self.tracked
        shown = [row for row, object_id in enumerate(tracked.object_ids) if not tracks[object_id].hidden]
        if len(shown) < len(tracked.object_ids):
            tracked = take(tracked, shown)
        return join(tracked, self.state.visible(self.others), keep_apart=self.state.non_overlap)

    def rows(self) -> list[MaskRow]:
        """Return all rows of the frame as they are stored, by object id. No mask is decoded."""
        return sorted([*to_rows(self.tracked), *self.others], key=lambda row: row.object_id)


class Walker(Generic[A]):
    """Takes objects from frame to frame.

    Args:
        state: the tracker's state; the walker moves `position` and `direction` on and uses up `passes`.
        stepper: tracks objects on single frames of the same state.
    """

    def __init__(self, state: TrackerState[A], stepper: Stepper[A]) -> None:
        self._state = state
        self._stepper = stepper
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the walk after the current frame. Can be called from any thread."""
        self._cancelled.set()

    @property
    def frame(self) -> Frame | None:
        """The frame that was tracked last."""
        return self._stepper.frame

    def run(self, source: FrameSource, active: ActiveIds | None = None) -> Iterator[TrackedFrame]:
        """Walk through the state's passes; what is left of them stays in the state, to be continued later.

        Args:
            source: of the frames.
            active: the objects to track on each frame; those of the passes when left out.
        """
        self._cancelled.clear()
        return self._run(source, self._state.passes, active)

    def retrack(self, source: FrameSource, store: MaskStore) -> Iterator[TrackedFrame]:
        """Walk over the frames that prompts have outdated."""
        self._cancelled.clear()
        return self._retrack(source, self._outdated(store))

    def _run(self, source: FrameSource, passes: list[Pass], active: ActiveIds | None = None) -> Iterator[TrackedFrame]:
        # The list is the one that was current when the run began: a later run sets another one in the state, and this
        # generator then only uses up its own. The first entry is moved on before each frame is yielded, so that
        # whatever ends the generator there (closing, cancelling, an error of the consumer), the frame counts as done.
        while passes:
            current = passes[0]
            if not current.is_over(self._state.num_frames):
                for output in self._run_pass(source, current, active or self._active_in(current)):
                    frame_index = output.tracked.frame_index
                    passes[0] = current._replace(start=frame_index + current.direction)
                    # Frames between the objects' first prompts are shown in the forward pass, with all objects.
                    if current.shown_below is None or frame_index < current.shown_below:
                        yield output
                if self._cancelled.is_set():
                    return
            del passes[0]

    def _active_in(self, current: Pass) -> ActiveIds:
        tracks = self._state.tracks
        # In both directions, an object takes part in the backward pass from its own first prompt on.
        known_ids = tuple(tracks) if current.object_ids is None else self._state.known_ids(current.object_ids)
        trackable = [i for i in known_ids if tracks[i].can_be_tracked]  # discovery has ended the others
        first = {i: tracks[i].first_trackable for i in trackable} if current.shown_below is not None else None

        def active(frame_index: int) -> list[int]:
            ids = tuple(tracks) if current.object_ids is None else current.object_ids
            return [i for i in ids if first is None or first.get(i, -1) >= frame_index]

        return active

    def _outdated(self, store: MaskStore) -> list[StaleRange]:
        """Return the frames for `retrack`: outdated ones, and those of objects that are new since the last run."""
        tracks = self._state.tracks
        ranges = [stale for stale in store.stale_ranges() if stale.object_id in tracks]
        span = store.frames()
        for object_id, track in tracks.items():
            for index in sorted(track.prompts):
                row = store.mask(object_id, index)
                if track.has_pending_prompt(index) and row is None and span is not None and index <= span[1]:
                    later = [other for other in track.prompts if other > index]
                    ranges.append(StaleRange(object_id, index, min([span[1], *(other - 1 for other in later)]), 1))
        return ranges

    def _retrack(self, source: FrameSource, ranges: Sequence[StaleRange]) -> Iterator[TrackedFrame]:
        for current, group in passes_over(ranges):
            yield from self._run_pass(source, current, _within(group))
            if self._cancelled.is_set():
                return

    def _run_pass(self, source: FrameSource, current: Pass, active: ActiveIds) -> Iterator[TrackedFrame]:
        """Track frame after frame, each with the objects that are active on it."""
        self._remember_skipped_prompts(source, current, active(current.start))
        for frame in source.frames(current.start, current.stop, current.direction):
            if self._cancelled.is_set():
                return
            ids = self._state.known_ids(active(frame.index))
            self._remember_late_prompts(ids)
            yield self.track_frame(frame, current.direction, ids)

    def _remember_skipped_prompts(self, source: FrameSource, current: Pass, object_ids: Iterable[int]) -> None:
        """Remember prompts that the coming frames read, but on frames that the pass does not reach before them."""
        if source.info.num_frames is None:
            return  # the source cannot go back to them
        tracks = self._state.tracks
        ids = self._state.known_ids(object_ids)
        pending = {index for i in ids for index, prompt in tracks[i].prompts.items() if not prompt.is_remembered}
        for index in sorted(pending, reverse=current.direction < 0):
            is_behind = (current.start - index) * current.direction > 0
            if is_behind or (self._state.memory.prompts_ahead and index != current.start):
                self._remember_prompts(index, current.direction, ids)

    def _remember_late_prompts(self, object_ids: Iterable[int]) -> None:
        """Remember prompts that were given on the last frame after it had been yielded."""
        if self._state.position is not None:
            self._remember_prompts(self._state.position, self._state.direction, object_ids)

    def _remember_prompts(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> None:
        ids = [i for i in object_ids if self._state.tracks[i].has_pending_prompt(frame_index)]
        if ids:
            frame = self._stepper.read(frame_index)
            self._stepper.rebuild_memories(frame_index, direction, ids)
            self._stepper.process(frame, direction, ids)

    def track_frame(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> TrackedFrame:
        """Track objects on one frame, and return their masks and the stored ones of all other objects."""
        state = self._state
        stored = {} if state.store is None else {row.object_id: row for row in state.store.frame(frame.index)}
        ids = [object_id for object_id in object_ids if object_id not in stored or not stored[object_id].accepted]
        self._stepper.rebuild_memories(frame.index, direction, ids)
        self._handle_shot_cut(frame, direction, ids)
        state.position, state.direction = frame.index, direction
        masks = self._stepper.process(frame, direction, ids)
        others = []
        for row in stored.values():
            if row.object_id in masks.object_ids:
                continue
            if row.stale and row.object_id in ids and state.store is not None:
                state.store.drop_stale(row.object_id, frame.index)  # its object is not known at this frame any more
            else:
                others.append(row)
        return TrackedFrame(masks, others, state)

    def look(self, frame: Frame, object_ids: Iterable[int]) -> FrameMasks:
        """Return the masks that objects would have on a frame; nothing is remembered or stored."""
        return self._stepper.look(frame, self._state.direction, object_ids)

    def expected_masks(self) -> Iterator[tuple[int, BoolArray]]:
        """Yield where memory puts the objects that `track_frame` or `look` has just found absent, by object id."""
        return self._stepper.expected_masks()

    def _handle_shot_cut(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> None:
        """Drop recent memories at a shot cut, but keep prompted ones."""
        state = self._state
        if not state.memory.safeguards:
            return
        ahead = None if state.position is None else (frame.index - state.position) * direction
        if ahead == 0:
            return
        if ahead is None or not 0 < ahead <= LONGEST_GAP or direction != state.direction:
            state.shot_cuts.reset()
        if state.shot_cuts.is_cut(frame.rgb):
            for object_id in object_ids:
                state.tracks[object_id].handle_shot_cut()


def _within(ranges: Sequence[StaleRange]) -> ActiveIds:
    def active(frame_index: int) -> list[int]:
        return sorted({stale.object_id for stale in ranges if stale.first <= frame_index <= stale.last})

    return active
