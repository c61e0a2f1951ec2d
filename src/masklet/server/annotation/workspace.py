"""A medium that is open: every operation on its objects, prompts and masks.

An operation is one step of the history, all of it or nothing. What the model says is `prompted_tracker`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from masklet.errors import TrackingError
from masklet.masks.operations import CocoRle
from masklet.media.source import FrameSource
from masklet.prompts import Prompt, PromptFields, mask_document
from masklet.records import ABSENT_SCORE, PRESENT_SCORE, FrameMasks
from masklet.server.annotation.prompted_tracker import (
    Candidate,
    LocalAnswer,
    PromptedTracker,
    corrected_logits,
    fitting_mask,
)
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore, SavedPrompt, Step
from masklet.server.annotation.track_plan import runs_over, runs_to_the_missing
from masklet.server.errors import ConflictError, NotFoundError
from masklet.server.shared_model import SharedEngine, TurnLock
from masklet.tracking.mask_rows import MaskRow, given_row
from masklet.tracking.suggestions import Suggestion, suggest
from masklet.tracking.tracker import Direction

if TYPE_CHECKING:
    from typing_extensions import Unpack

COLORS = (
    "#4f8cff",
    "#ff7a59",
    "#2fbf71",
    "#c86bff",
    "#ffc233",
    "#17b8c4",
    "#ff5fa2",
    "#8fbf3f",
    "#9a7bff",
    "#e0604c",
)
"""Of objects in order of their ids."""


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that comes with its masks: imported, or found by itself."""

    name: str
    masks: Mapping[int, CocoRle]
    """By frame index, not empty."""
    class_name: str = ""
    color: str | None = None
    iou_prediction: float = 1.0


class Workspace:
    """One medium, for any number of threads: an operation holds `lock`, tracking holds it for a frame at a time.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        open_frames: opens the medium for the tracker.
        size_hw: of its frames.
        num_frames: of them.
        max_objects: more are refused.
    """

    def __init__(
        self,
        engine: SharedEngine,
        store: AnnotationStore,
        open_frames: Callable[[], FrameSource],
        *,
        size_hw: tuple[int, int],
        num_frames: int,
        max_objects: int = 1000,
    ) -> None:
        self.store = store
        self.size_hw = size_hw
        self.num_frames = num_frames
        self.max_objects = max_objects
        self.lock = TurnLock()
        self.is_tracking = False
        self.used_at = time.monotonic()
        self._prompted = PromptedTracker(engine, store, open_frames, size_hw)

    # Objects.

    def create_object(
        self, *, name: str | None = None, class_name: str | None = None, color: str | None = None
    ) -> AnnotatedObject:
        """A new object, of which nothing has been said yet."""
        with self.lock:
            self._check_room(1)
            object_id = self.store.new_object_id()
            one = AnnotatedObject(
                object_id,
                name or f"Object {object_id}",
                class_name or "",
                color or _color_of(object_id),
            )
            with self._operation(f"New object {one.name}", object_id=object_id):
                self.store.write_object(one)
            return one

    def change_object(self, object_id: int, **changes: Any) -> AnnotatedObject:
        """Another name, class, colour, locked or hidden."""
        with self.lock:
            one = self._known(object_id)
            new = replace(one, **changes)
            if new != one:
                said = {"locked": "lock" if new.locked else "unlock", "hidden": "hide" if new.hidden else "show"}
                what = next((said.get(name, name.replace("_name", "")) for name in changes), "")
                with self._operation(f"{what.capitalize()} of {one.name}", object_id=object_id):
                    self.store.write_object(new)
            return new

    def delete_object(self, object_id: int) -> None:
        with self.lock:
            one = self._known(object_id)
            self._check_at_rest("delete an object")
            with self._operation(f"Delete {one.name}", object_id=object_id):
                self.store.delete_object(object_id)
            self._prompted.reload()

    def add_objects(self, title: str, found: Sequence[NewObject]) -> list[AnnotatedObject]:
        """Objects with masks, in one operation. The first mask of each is its prompt."""
        with self.lock:
            self._check_at_rest("add objects")
            self._check_room(len(found))
            added = []
            with self._operation(title):
                for one in found:
                    object_id = self.store.new_object_id()
                    name = one.name or f"Object {object_id}"
                    color = one.color or _color_of(object_id)
                    new = AnnotatedObject(object_id, name, one.class_name, color)
                    self.store.write_object(new)
                    self._write_masks(object_id, one)
                    added.append(new)
            self._prompted.reload()
            return added

    def _write_masks(self, object_id: int, one: NewObject) -> None:
        first = min(one.masks)
        rows = [
            given_row(
                index,
                object_id,
                rle,
                time_s=self._prompted.time_s(index),
                iou_prediction=one.iou_prediction,
                prompted=index == first,
            )
            for index, rle in sorted(one.masks.items())
        ]
        self.store.write(rows[1:])
        self.store.write_prompt(
            SavedPrompt(
                object_id,
                first,
                mask_document(one.masks[first]),
                time_s=self._prompted.time_s(first),
                rle=one.masks[first],
                iou_prediction=one.iou_prediction,
                object_score=PRESENT_SCORE,
            )
        )

    # Prompts.

    def prompt(
        self,
        object_id: int,
        frame_index: int,
        prompt: Prompt | None = None,
        *,
        candidate: int | None = None,
        given: LocalAnswer | None = None,
        **fields: Unpack[PromptFields],
    ) -> list[Candidate]:
        """Say what an object is on one frame, in place of what was said there before.

        Points that come in addition to those said before correct the answer to these; all others start afresh. Points
        on a mask that was drawn by hand add to it, or take away, what the model sees there; it stays a drawn one.
        `candidate` says which of the answers to a lone click was meant, also when more points follow. `given` is kept
        instead of asking the model, where the answer does not depend on what has been tracked.

        Returns:
            The candidates, the one of highest IoU prediction first; three for a lone click.
        """
        with self.lock:
            one = self._free(object_id, frame_index)
            before = self.store.prompt(object_id, frame_index)
            new = SavedPrompt.of(
                object_id,
                frame_index,
                Prompt.of(prompt, fields, size_hw=self.size_hw),
                candidate=candidate,
                initial=self._is_initial(before, object_id, frame_index),
            )
            with self._operation(f"Prompt for {one.name}", frame_index=frame_index, object_id=object_id):
                if before is not None and before.prompt.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                elif before is not None and before.prompt.mask is not None and not new.prompt.replaces_earlier:
                    return self._prompted.touch_up(before.prompt.mask, new)
                new = new.with_prompt(replace(new.prompt, previous_logits=corrected_logits(before, new)))
                if given is not None and new.initial and not self.is_tracking:
                    return self._prompted.keep(new, given)
                return self._prompted.say(new)

    def draw(self, object_id: int, frame_index: int, rle: CocoRle) -> None:
        """Say that an object's mask is this one; an empty one says that it is not there."""
        with self.lock:
            one = self._free(object_id, frame_index)
            mask = fitting_mask(rle, self.size_hw)
            before = self.store.prompt(object_id, frame_index)
            new = SavedPrompt.of(
                object_id,
                frame_index,
                Prompt(mask=mask),
                initial=self._is_initial(before, object_id, frame_index),
            )
            if mask.any():
                with self._operation(f"Hand edit of {one.name}", frame_index=frame_index, object_id=object_id):
                    if before is not None and before.prompt.says_absent:
                        self.store.drop_masks(object_id, frame_index=frame_index)
                    self._prompted.say(new)
            else:
                self._check_at_rest("say that an object is not there")
                with self._operation(f"{one.name} is not there", frame_index=frame_index, object_id=object_id):
                    self._prompted.say_absent(new)
                self._prompted.reload()

    def unprompt(self, object_id: int, frame_index: int) -> None:
        """Unsay what was said of an object on a frame. Of an object of which nothing else was said, only what has been
        accepted stays."""
        with self.lock:
            one = self._free(object_id, frame_index)
            self._check_at_rest("take a prompt back")
            before = self.store.prompt(object_id, frame_index)
            if before is None:
                raise NotFoundError(f"nothing was said of {one.name} on frame {frame_index}")
            with self._operation(f"Clear {one.name}", frame_index=frame_index, object_id=object_id):
                if before.prompt.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                self.store.delete_prompt(object_id, frame_index)
                prompts = self.store.prompts(object_id=object_id)
                left = [said.frame_index for said in prompts if not said.prompt.says_absent]
                if left:
                    self.store.outdate(object_id, frame_index, left)
                else:
                    self.store.drop_masks(object_id)
            self._prompted.reload()

    # Checking.

    def accept(self, start: int, stop: int, *, object_ids: Sequence[int] | None = None, accepted: bool = True) -> int:
        """Say that masks are good, so that nothing changes them any more; or take that back.

        Returns:
            How many masks.
        """
        with self.lock:
            where = f"frame {start}" if stop == start + 1 else f"frames {start} to {stop - 1}"
            title = f"{'Accept' if accepted else 'Take back'} {where}"
            with self._operation(title, frame_index=start):
                if accepted:
                    self.store.settle(range(start, stop), object_ids)
                count = self.store.accept_all(start, stop, object_ids, accepted)
                if not count:
                    raise ConflictError(
                        f"nothing on {where} can be {'accepted' if accepted else 'taken back'}: there is no mask that "
                        "is up to date; track it first"
                    )
            return count

    def suggestions(self, count: int) -> list[Suggestion]:
        """Where a look helps most."""
        return suggest(self.store.scores(), count)

    # History.

    def undo(self, key: str | None = None) -> Step | None:
        """Take back the last operation; see `AnnotationStore.undo`."""
        return self._turn_over(partial(self.store.undo, key))

    def redo(self, key: str | None = None) -> Step | None:
        """Do again what was undone last; see `AnnotationStore.redo`."""
        return self._turn_over(partial(self.store.redo, key))

    def _turn_over(self, how: Callable[[], Step | None]) -> Step | None:
        self._check_at_rest("undo or redo")  # at once, not after the frame in work
        with self.lock:
            self._check_at_rest("undo or redo")
            step = how()
            if step is not None:
                self._prompted.reload()
            return step

    # Tracking.

    def track(
        self,
        direction: Direction = "forward",
        *,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Sequence[int] | None = None,
        only_changed: bool = False,
        only_missing: bool = False,
        on_total: Callable[[int], None] = lambda total: None,
    ) -> Generator[tuple[int, list[MaskRow]], None, None]:
        """Track objects, a frame at a time; whoever wants to stop closes the generator.

        Args:
            direction: forward, backward or both.
            start: the first frame that may change, whatever the direction.
            stop: the first one after those.
            object_ids: which; all when left out. Locked ones are never tracked.
            only_changed: go over what has changed since the last time, and nothing else.
            only_missing: begin where each object's masks end, seen from its first or last prompt.
            on_total: told how many frames it will be.

        Yields:
            A frame's index and its masks, which are on disk by then.
        """
        with self.lock:
            self._check_at_rest("track again")
            ids = self.to_track(object_ids)
            self.is_tracking = True
            title = f"Track {direction.replace('both', 'both ways')}"
            if only_changed or only_missing:
                title = f"Track what {'has changed' if only_changed else 'is missing'}"
            step = self.store.begin(title)
            self.store.end()
        running: Iterator[FrameMasks] | None = None
        try:
            with self.lock:
                self._prompted.decide()
                runs, total = self._runs(direction, start, stop, ids, only_changed, only_missing)
                on_total(total)
            for running in runs:
                while True:
                    with self.lock:
                        self.used_at = time.monotonic()
                        step = self.store.proceed(step)
                        try:
                            masks = next(running, None)
                        finally:
                            self.store.end()
                    if masks is None:
                        break
                    yield masks.frame_index, self.masks(masks.frame_index)
        finally:
            with self.lock:
                if running is not None:
                    running.close()  # type: ignore[attr-defined]
                self.is_tracking = False

    def to_track(self, object_ids: Sequence[int] | None) -> list[int]:
        """The objects that a run would be about; with `lock` held.

        Raises:
            ConflictError: there is none.
        """
        locked = {one.object_id for one in self.store.objects() if one.locked}
        known = set(self._prompted.tracker.object_ids)
        for object_id in object_ids or ():
            self._known(object_id)
        ids = [i for i in sorted(known) if i not in locked and (object_ids is None or i in object_ids)]
        if not ids:
            raise ConflictError("there is nothing to track: click on an object first, and unlock it if it is locked")
        return ids

    def _runs(
        self,
        direction: Direction,
        start: int | None,
        stop: int | None,
        object_ids: list[int],
        only_changed: bool,
        only_missing: bool,
    ) -> tuple[list[Iterator[FrameMasks]], int]:
        """The tracker's generators to go through, and how many frames they give."""
        tracker = self._prompted.tracker
        if only_changed and self.store.tracked_ids():
            return [tracker.retrack()], sum(stale.last - stale.first + 1 for stale in self.store.stale_ranges())
        frames = range(start or 0, self.num_frames if stop is None else min(stop, self.num_frames))
        if not frames:
            raise TrackingError(
                f"start must be below stop and within the {self.num_frames} frames, got {start}, {stop}"
            )
        said = self.store.prompted_frames()
        prompted = {object_id: said[object_id] for object_id in object_ids}
        if only_missing:
            current = self.store.current_frames()
            planned = list(runs_to_the_missing(direction, prompted, current, frames, self.num_frames))
        else:
            planned = list(runs_over(direction, prompted, frames))
            if not planned:
                raise TrackingError(
                    f"no object can be tracked {direction} within frames {frames.start} to {frames.stop - 1}"
                )
        runs = [
            tracker.run(one.direction, start=one.start, stop=one.stop, object_ids=one.object_ids) for one in planned
        ]
        return runs, sum(one.num_frames for one in planned)

    # What there is.

    def masks(self, frame_index: int) -> list[MaskRow]:
        """Of one frame, by object id."""
        return self.store.shown(frame_index, frame_index + 1).get(frame_index, [])

    def close(self) -> None:
        """Let go of files and memory; nothing is lost."""
        with self.lock:
            self._prompted.close()
            self.store.close()

    # Checks.

    @contextmanager
    def _operation(self, title: str, *, frame_index: int | None = None, object_id: int | None = None) -> Iterator[None]:
        """One step of the history: all of it, or nothing."""
        self.used_at = time.monotonic()
        step = self.store.begin(title, frame_index=frame_index, object_id=object_id)
        try:
            yield
        except BaseException:
            self.store.abandon(step)
            if not self.is_tracking:
                self._prompted.reload()
            raise
        finally:
            self.store.end()

    def _known(self, object_id: int) -> AnnotatedObject:
        one = self.store.object(object_id)
        if one is None:
            raise NotFoundError(f"there is no object {object_id}")
        return one

    def _free(self, object_id: int, frame_index: int) -> AnnotatedObject:
        """An object that may be changed on a frame."""
        one = self._known(object_id)
        if not 0 <= frame_index < self.num_frames:
            raise NotFoundError(f"there is no frame {frame_index}: the medium has {self.num_frames}")
        if one.locked:
            raise ConflictError(f"{one.name} is locked: unlock it to change it")
        row = self.store.mask(object_id, frame_index)
        if row is not None and row.accepted and row.object_score > ABSENT_SCORE:
            raise ConflictError(
                f"{one.name} has been accepted on frame {frame_index}: take that back before you change it"
            )
        return one

    def _is_initial(self, before: SavedPrompt | None, object_id: int, frame_index: int) -> bool:
        if before is not None and not before.prompt.says_absent:
            return before.initial
        return self.store.mask(object_id, frame_index) is None

    def _check_at_rest(self, what: str) -> None:
        if self.is_tracking:
            raise ConflictError(f"the medium is being tracked: stop that to {what}, or wait until it is done")

    def _check_room(self, more: int) -> None:
        if len(self.store.objects()) + more > self.max_objects:
            raise ConflictError(f"a medium may have {self.max_objects} objects at most")


def _color_of(object_id: int) -> str:
    """What an object gets whose colour nobody chose."""
    return COLORS[(object_id - 1) % len(COLORS)]
