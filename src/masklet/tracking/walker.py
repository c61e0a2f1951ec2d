"""The way through a video: which frames come next, with which objects, and what is taken in before them.

A frame itself is the stepper's business; what users say, and when, is the tracker's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from masklet.media.source import FrameSource
from masklet.records import Frame, FrameMasks
from masklet.tracking.mask_rows import MaskRow, join, take
from masklet.tracking.mask_store import MaskStore, Stretch
from masklet.tracking.passes import Leg, legs_over
from masklet.tracking.shot_cuts import CutDetector
from masklet.tracking.stepper import Stepper
from masklet.tracking.track import LONGEST_GAP

A = TypeVar("A")

Active = Callable[[int], Iterable[int]]
"""The ids of the objects that take part in a frame, by its index."""


class Walker(Generic[A]):
    """Takes the objects of a stepper from frame to frame."""

    def __init__(self, stepper: Stepper[A]) -> None:
        self.stepper = stepper
        self.legs: list[Leg] = []
        """What is left of the last run."""
        self.position: int | None = None
        """The last frame stepped on."""
        self.direction = 1
        """In which that was."""
        self.cuts = CutDetector()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the walk after the frame at hand. To be called from any thread."""
        self._cancelled.set()

    def run(self, source: FrameSource) -> Iterator[FrameMasks]:
        """Go through the legs; what is left of them stays in the list, to be gone through another time."""
        self._cancelled.clear()
        return self._run(source, self.legs)

    def retrack(self, source: FrameSource, store: MaskStore) -> Iterator[FrameMasks]:
        """Go over the stretches that prompts have outdated."""
        self._cancelled.clear()
        return self._retrack(source, self._outdated(store))

    def _run(self, source: FrameSource, legs: list[Leg]) -> Iterator[FrameMasks]:
        while legs:
            leg = legs[0]
            if not leg.is_over(self.stepper.num_frames):
                for masks in self._walk(source, leg, self._on_leg(leg)):
                    legs[0] = leg._replace(start=masks.frame_index + leg.direction)
                    # What lies between the objects' first prompts is shown on the way forward, with all objects.
                    if leg.shown_below is None or masks.frame_index < leg.shown_below:
                        yield masks
                if self._cancelled.is_set():
                    return
            del legs[0]

    def _on_leg(self, leg: Leg) -> Active:
        tracks = self.stepper.tracks
        # Going both ways, an object takes part in the way back from its own first prompt on.
        known = tuple(tracks) if leg.object_ids is None else [i for i in leg.object_ids if i in tracks]
        first = {i: tracks[i].first_known for i in known} if leg.shown_below is not None else None

        def active(frame_index: int) -> list[int]:
            ids = tuple(tracks) if leg.object_ids is None else leg.object_ids
            return [i for i in ids if first is None or first.get(i, -1) >= frame_index]

        return active

    def _outdated(self, store: MaskStore) -> list[Stretch]:
        """What `retrack` has to go over."""
        tracks = self.stepper.tracks
        stretches = [stretch for stretch in store.stale() if stretch.object_id in tracks]
        known = store.frames()
        for object_id, track in tracks.items():
            for index in sorted(track.given):
                row = store.mask(object_id, index)
                if track.is_waiting(index) and row is None and known is not None and index <= known[1]:
                    later = [other for other in track.given if other > index]
                    stretches.append(Stretch(object_id, index, min([known[1], *(other - 1 for other in later)]), 1))
        return stretches

    def _retrack(self, source: FrameSource, stretches: Sequence[Stretch]) -> Iterator[FrameMasks]:
        for leg, group in legs_over(stretches):
            yield from self._walk(source, leg, _within(group))
            if self._cancelled.is_set():
                return

    def _walk(self, source: FrameSource, leg: Leg, active: Active) -> Iterator[FrameMasks]:
        """Step through frames, each with the objects that are active on it."""
        self._take_in_prompts_off_the_way(source, leg, active(leg.start))
        for frame in source.frames(leg.start, leg.stop, leg.direction):
            if self._cancelled.is_set():
                return
            ids = [object_id for object_id in active(frame.index) if object_id in self.stepper.tracks]
            self._take_in_late_prompts(ids)
            yield self.step(frame, leg.direction, ids)

    def _take_in_prompts_off_the_way(self, source: FrameSource, leg: Leg, object_ids: Iterable[int]) -> None:
        """Remember prompts that the coming frames read but the way does not pass before them."""
        if source.info.num_frames is None:
            return  # there is no going back to them
        tracks = self.stepper.tracks
        ids = [object_id for object_id in object_ids if object_id in tracks]
        waiting = {index for i in ids for index, given in tracks[i].given.items() if not given.is_remembered}
        for index in sorted(waiting, reverse=leg.direction < 0):
            is_behind = (leg.start - index) * leg.direction > 0
            if is_behind or (self.stepper.memory.prompts_ahead and index != leg.start):
                self._remember_prompts(index, leg.direction, ids)

    def _take_in_late_prompts(self, object_ids: Iterable[int]) -> None:
        """Remember prompts that were given on the last frame after it had been yielded."""
        if self.position is not None:
            self._remember_prompts(self.position, self.direction, object_ids)

    def _remember_prompts(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> None:
        ids = [object_id for object_id in object_ids if self.stepper.tracks[object_id].is_waiting(frame_index)]
        if ids:
            frame = self.stepper.read(frame_index)
            self.stepper.install(self.stepper.prepared(frame_index, direction, ids))
            self.stepper.track(frame, direction, ids)

    def step(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """Track objects on one frame, and show with them what is known of the others."""
        stepper, store = self.stepper, self.stepper.store
        stored = {} if store is None else {row.object_id: row for row in store.frame(frame.index)}
        wanted = [object_id for object_id in object_ids if object_id not in stored or not stored[object_id].accepted]
        stepper.install(stepper.prepared(frame.index, direction, wanted))
        self._heed_cut(frame, direction, wanted)
        self.position, self.direction = frame.index, direction
        masks = stepper.track(frame, direction, wanted)
        others = [row for row in stored.values() if row.object_id not in masks.object_ids]
        if store is not None:
            for row in others:
                if row.stale and row.object_id in wanted:
                    store.drop_stale(row.object_id, frame.index)
        return join(self._without_hidden(masks), self.visible(others), keep_apart=stepper.non_overlap)

    def visible(self, stored: Iterable[MaskRow]) -> list[MaskRow]:
        """Of stored masks, those that still hold and whose objects are known and not hidden."""
        tracks = self.stepper.tracks
        return [row for row in stored if not row.stale and row.object_id in tracks and not tracks[row.object_id].hidden]

    def _without_hidden(self, masks: FrameMasks) -> FrameMasks:
        tracks = self.stepper.tracks
        shown = [row for row, object_id in enumerate(masks.object_ids) if not tracks[object_id].hidden]
        return masks if len(shown) == len(masks.object_ids) else take(masks, shown)

    def _heed_cut(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> None:
        """After a cut, what was tracked before says little of where things are; what was prompted still holds."""
        if not self.stepper.memory.safeguards:
            return
        ahead = None if self.position is None else (frame.index - self.position) * direction
        if ahead == 0:
            return
        if ahead is None or not 0 < ahead <= LONGEST_GAP or direction != self.direction:
            self.cuts.reset()
        if self.cuts.is_cut(frame.rgb):
            for object_id in object_ids:
                self.stepper.tracks[object_id].cut()


def _within(stretches: Sequence[Stretch]) -> Active:
    return lambda frame_index: sorted({one.object_id for one in stretches if one.first <= frame_index <= one.last})
