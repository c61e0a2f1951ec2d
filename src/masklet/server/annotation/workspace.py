"""An open medium: every operation on its objects, prompts and masks.

An operation is one step of the history, done completely or not at all. `prompted_tracker` runs the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from masklet.discovery import DiscoveryConfig
from masklet.errors import TrackingError
from masklet.media.source import FrameSource
from masklet.prompts import Prompt, PromptFields
from masklet.records import ABSENT_SCORE, BoolArray
from masklet.server.annotation.discovery import Discovery
from masklet.server.annotation.history import Step
from masklet.server.annotation.new_objects import MAX_OBJECT_ID, ImportMode, NewObject, merged_object, unique_name
from masklet.server.annotation.prompted_tracker import (
    Candidate,
    LocalAnswer,
    PromptedTracker,
    logits_to_correct,
)
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore, SavedPrompt
from masklet.server.annotation.track_plan import runs_over, runs_to_the_missing
from masklet.server.colors import default_color
from masklet.server.errors import ConflictError, NotFoundError
from masklet.server.shared_model import SharedEngine, TurnLock
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.suggestions import Suggestion, suggest
from masklet.tracking.tracker import Direction

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Workspace:
    """An open medium, for any number of threads: an operation holds `lock`, tracking holds it for one frame at a time.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        open_frames: opens the medium for the tracker.
        size_hw: height and width of its frames.
        num_frames: number of its frames.
        max_objects: largest number of objects.
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
        self._engine = engine
        self._open_frames = open_frames
        self._prompted = PromptedTracker(engine, store, open_frames, size_hw)

    # Objects.

    def create_object(
        self, *, name: str | None = None, class_name: str | None = None, color: str | None = None
    ) -> AnnotatedObject:
        """Create an object without prompts."""
        with self.lock:
            self._check_room(1)
            object_id = self.store.new_object_id()
            created = AnnotatedObject(
                object_id,
                name or f"Object {object_id}",
                class_name or "",
                color or default_color(object_id - 1),
            )
            with self._operation(f"New object {created.name}", object_id=object_id):
                self.store.write_object(created)
            return created

    def change_objects(self, object_ids: Sequence[int], **changes: Any) -> list[AnnotatedObject]:
        """Change the name, class_name, color, locked or hidden of objects, in one operation."""
        with self.lock:
            before = [self._object(object_id) for object_id in dict.fromkeys(object_ids)]
            after = [replace(row, **changes) for row in before]
            if after != before:
                words = {
                    "locked": "Lock" if changes.get("locked") else "Unlock",
                    "hidden": "Hide" if changes.get("hidden") else "Show",
                    "class_name": "Class of",
                    "color": "Colour of",
                    "name": "Name of",
                }
                what = next(words[name] for name in words if name in changes)
                with self._operation(f"{what} {_names(before)}", object_id=before[0].object_id):
                    for row in after:
                        self.store.write_object(row)
            return after

    def rename_class(self, old: str, new: str) -> int:
        """Rename the class of all objects, see `AnnotationStore.rename_class`."""
        with self.lock:
            return self.store.rename_class(old, new)

    def delete_objects(self, object_ids: Sequence[int]) -> None:
        """Delete objects with their prompts and masks, in one operation."""
        with self.lock:
            rows = [self._object(object_id) for object_id in dict.fromkeys(object_ids)]
            self.check_not_tracking("delete an object")
            with self._operation(f"Delete {_names(rows)}", object_id=rows[0].object_id):
                for row in rows:
                    self.store.delete_object(row.object_id)
            self._prompted.reload()

    def add_objects(
        self, title: str, new_objects: Sequence[NewObject], mode: ImportMode = "add"
    ) -> tuple[list[AnnotatedObject], list[str]]:
        """Add objects with masks, in one operation. The first mask of each is its prompt.

        Args:
            title: title of the operation.
            new_objects: the objects.
            mode: what happens to an object whose number exists. Locked objects and accepted masks never change.

        Returns:
            The objects that were added or changed; and what was left out, one line each.
        """
        with self.lock:
            self.check_not_tracking("add objects")
            present = {row.object_id: row for row in self.store.objects()}
            same = [present.get(new.object_id or 0) if mode != "add" else None for new in new_objects]
            self._check_room(same.count(None))
            written, left_out = [], []
            with self._operation(title):
                for new, before in zip(new_objects, same, strict=True):
                    if before is not None and before.locked:
                        left_out.append(f"{before.name} is locked: unlock it to import its masks")
                        continue
                    row = self._added_object(new, mode) if before is None else merged_object(before, new, mode)
                    self.store.write_object(row)
                    left_out += self._write_masks(row, new, keeps_others=mode == "merge")
                    written.append(row)
            self._prompted.reload()
            return written, left_out

    def _added_object(self, new: NewObject, mode: ImportMode) -> AnnotatedObject:
        rows = self.store.objects()
        object_id = new.object_id if mode != "add" else None
        if object_id is None or not 1 <= object_id <= MAX_OBJECT_ID:
            object_id = self.store.new_object_id()
        name = unique_name(new.name or f"Object {object_id}", {row.name for row in rows})
        return AnnotatedObject(object_id, name, new.class_name, new.color or default_color(object_id - 1))

    def _write_masks(self, row: AnnotatedObject, new: NewObject, *, keeps_others: bool) -> list[str]:
        """Write the masks of a new object, or in place of those that an object has; return what was left out."""
        object_id = row.object_id
        accepted = self.store.accepted_frames(object_id)
        masks = {index: mask for index, mask in sorted(new.masks.items()) if index not in accepted}
        for index in masks if keeps_others else self.store.prompted_frames().get(object_id, []):
            self.store.delete_prompt(object_id, index)
        if not keeps_others:
            self.store.drop_masks(object_id)
        for number, (index, mask) in enumerate(masks.items()):
            time_s = self._prompted.time_s(index)
            if number > 0 or mask.accepted:
                self.store.write([mask.as_row(index, object_id, time_s, prompted=number == 0)])
            elif number == 0:  # an earlier mask would hide the prompt's
                self.store.drop_masks(object_id, frame_index=index)
            if number == 0:
                self.store.write_prompt(mask.as_prompt(index, object_id, time_s))
        kept = len(new.masks) - len(masks)
        return [f"{row.name}: {kept} of its masks are accepted here, and stay as they are"] if kept else []

    # Prompts.

    def set_prompt(
        self,
        object_id: int,
        frame_index: int,
        prompt: Prompt | None = None,
        *,
        candidate: int | None = None,
        local_answer: LocalAnswer | None = None,
        **fields: Unpack[PromptFields],
    ) -> list[Candidate]:
        """Set the prompt of an object on one frame, in place of an earlier one.

        Points that are added to those of the earlier prompt correct its answer; any other prompt starts again. Points
        on a mask drawn by hand add the part that the model segments there, or remove it.

        Args:
            object_id: the object.
            frame_index: the frame, from 0.
            prompt: the prompt; or give its fields, as in `Prompt.create`.
            candidate: selects one of the candidates of a single click, also if more points follow.
            local_answer: stored instead of running the model, if the object has not been tracked on this frame.

        Returns:
            The candidates, the one of highest IoU prediction first; three for a single click.
        """
        with self.lock:
            name = self._changeable_object(object_id, frame_index).name
            before = self.store.prompt(object_id, frame_index)
            new = SavedPrompt.of(
                object_id,
                frame_index,
                Prompt.of(prompt, fields, size_hw=self.size_hw),
                candidate=candidate,
                initial=self._is_initial(before, object_id, frame_index),
            )
            with self._operation(f"Prompt for {name}", frame_index=frame_index, object_id=object_id):
                if before is not None and before.prompt.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                elif before is not None and before.prompt.mask is not None and not new.prompt.replaces_earlier:
                    return self._prompted.touch_up(before.prompt.mask, new)
                new = new.with_prompt(replace(new.prompt, previous_logits=logits_to_correct(before, new)))
                if local_answer is not None and new.initial and not self.is_tracking:
                    return self._prompted.add_local_answer(new, local_answer)
                return self._prompted.add_prompt(new)

    def draw_mask(self, object_id: int, frame_index: int, mask: BoolArray) -> None:
        """Set an object's mask, (H, W), on one frame; an empty mask marks the object as absent."""
        with self.lock:
            name = self._changeable_object(object_id, frame_index).name
            before = self.store.prompt(object_id, frame_index)
            new = SavedPrompt.of(
                object_id,
                frame_index,
                Prompt(mask=mask),
                initial=self._is_initial(before, object_id, frame_index),
            )
            if mask.any():
                with self._operation(f"Hand edit of {name}", frame_index=frame_index, object_id=object_id):
                    if before is not None and before.prompt.says_absent:
                        self.store.drop_masks(object_id, frame_index=frame_index)
                    self._prompted.add_prompt(new)
            else:
                self.check_not_tracking("mark an object as absent")
                with self._operation(f"{name} is not there", frame_index=frame_index, object_id=object_id):
                    self._prompted.mark_absent(new)
                self._prompted.reload()

    def remove_prompt(self, object_id: int, frame_index: int) -> None:
        """Remove an object's prompt on one frame; with its only prompt, also all masks that are not accepted."""
        with self.lock:
            name = self._changeable_object(object_id, frame_index).name
            self.check_not_tracking("remove a prompt")
            before = self.store.prompt(object_id, frame_index)
            if before is None:
                raise NotFoundError(f"{name} has no prompt on frame {frame_index}")
            with self._operation(f"Clear {name}", frame_index=frame_index, object_id=object_id):
                if before.prompt.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                self.store.delete_prompt(object_id, frame_index)
                prompts = self.store.prompts(object_id=object_id)
                remaining = [other.frame_index for other in prompts if not other.prompt.says_absent]
                if remaining:
                    self.store.outdate(object_id, frame_index, remaining)
                else:
                    self.store.drop_masks(object_id)
            self._prompted.reload()

    # Checking.

    def accept(self, start: int, stop: int, *, object_ids: Sequence[int] | None = None, accepted: bool = True) -> int:
        """Accept the masks of frames [start, stop), so that they are never changed, or revoke that.

        Returns:
            The number of masks.
        """
        with self.lock:
            where = f"frame {start}" if stop == start + 1 else f"frames {start} to {stop - 1}"
            title = f"{'Accept' if accepted else 'Reopen'} {where}"
            with self._operation(title, frame_index=start):
                if accepted:
                    self.store.settle(range(start, stop), object_ids)
                count = self.store.accept_all(start, stop, object_ids, accepted)
                if not count:
                    raise ConflictError(self._why_nothing_changes(range(start, stop), where, accepted))
            return count

    def _why_nothing_changes(self, frames: range, where: str, accepted: bool) -> str:
        if not accepted:
            return f"nothing on {where} can be reopened: no mask there is accepted"
        if any(row.frame_index in frames and row.accepted for row in self.store.scores()):
            return f"nothing on {where} is left to accept: all masks that are up to date are accepted already"
        return f"nothing on {where} can be accepted: there is no mask that is up to date; track it first"

    def suggestions(self, count: int) -> list[Suggestion]:
        """Return the frames on which a review helps most."""
        return suggest(self.store.scores(), count)

    # History.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Store all changes in the block or, if the block fails, none. Blocks may be nested."""
        with self.lock:
            try:
                with self.store.transaction():
                    yield
            except BaseException:
                if not self.is_tracking:  # the tracker may know changes that have been rolled back
                    self._prompted.reload()
                raise

    def undo(self) -> Step | None:
        """Undo the last operation and return it; None if there is none."""
        return self._undo_or_redo(self.store.undo)

    def redo(self) -> Step | None:
        """Redo the operation that was undone last and return it; None if there is none."""
        return self._undo_or_redo(self.store.redo)

    def _undo_or_redo(self, change: Callable[[], Step | None]) -> Step | None:
        self.check_not_tracking("undo or redo")  # checked before waiting for the current frame
        with self.lock:
            self.check_not_tracking("undo or redo")
            step = change()
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
        """Track objects, one frame at a time. To stop, close the generator.

        Args:
            direction: forward, backward or both.
            start: the first frame that may change, in either direction.
            stop: the first frame after those that may change.
            object_ids: by default all. Locked objects are never tracked.
            only_changed: track only what has changed since the last run.
            only_missing: begin where each object's masks end, seen from its first or last prompt.
            on_total: called with the total number of frames.

        Yields:
            The index of a frame and all its masks, which are then on disk.
        """
        with self.lock:
            self.check_not_tracking("track again")
            ids = self.trackable_ids(object_ids)
            self.is_tracking = True
            title = f"Track {direction.replace('both', 'both ways')}"
            if only_changed or only_missing:
                title = f"Track what {'has changed' if only_changed else 'is missing'}"
            with self.store.operation(title) as step:
                pass  # adds a step to the history, even if the run is stopped before its first frame
        running: Iterator[tuple[int, list[MaskRow]]] | None = None
        try:
            with self.lock:
                self._prompted.select_candidates()
                runs, total = self._runs(direction, start, stop, ids, only_changed, only_missing)
                on_total(total)
            for running in runs:
                while True:
                    # The lock is held for one frame at a time, so that prompts and edits can come in between;
                    # `continued` then starts another step of the history. Each frame is one transaction: it is on
                    # disk before it is yielded, and stopping or killing the run loses only the current frame.
                    with self.lock, self.store.continued(step) as step:
                        self.used_at = time.monotonic()
                        tracked = next(running, None)
                        shown = [] if tracked is None else self._shown_rows(*tracked)
                    if tracked is None:
                        break
                    yield tracked[0], shown
        finally:
            with self.lock:
                if running is not None:
                    running.close()  # type: ignore[attr-defined]
                self.is_tracking = False

    def discover(
        self,
        config: DiscoveryConfig,
        direction: Direction = "forward",
        *,
        start: int | None = None,
        stop: int | None = None,
        on_end: Callable[[Discovery], None] = lambda discovery: None,
    ) -> Generator[tuple[int, list[MaskRow]], None, None]:
        """Find objects and track them, one frame at a time, with one step of the history. To stop, close the generator.

        Args:
            config: the rules.
            direction: forward, or both: objects that come in later are then followed back.
            start: the first frame.
            stop: the frame after the last one.
            on_end: called with the run before it is closed, however it ends.

        Yields:
            The index of a frame and all its masks, which are then on disk.
        """
        with self.lock:
            self.check_not_tracking("find objects")
            self.is_tracking = True
        discovery: Discovery | None = None
        try:
            with self.lock, self.store.operation("Find everything") as step:
                discovery = Discovery(self._engine, self.store, self._open_frames(), config)
                running = discovery.run(direction, start, stop)
            is_running = True
            while is_running:
                with self.lock, self.store.continued(step) as current_step:
                    self.used_at = time.monotonic()
                    if current_step != step:  # a user has changed something in between
                        discovery.take_prompts()
                        step = current_step
                    found = next(running, None)
                    is_running = found is not None
                    if discovery.keep(() if found is None else found[1]):
                        self._check_room(0)
                        self._prompted.reload()
                    shown = [] if found is None else self.masks(found[0])
                if found is not None:
                    yield found[0], shown
        finally:
            with self.lock:
                if discovery is not None:
                    on_end(discovery)
                    discovery.close()
                self._prompted.reload()
                self.is_tracking = False

    def trackable_ids(self, object_ids: Sequence[int] | None) -> list[int]:
        """Return the objects that a run would track. `lock` must be held.

        Raises:
            ConflictError: no object can be tracked.
        """
        locked = {row.object_id for row in self.store.objects() if row.locked}
        prompted = set(self._prompted.tracker.object_ids)
        for object_id in object_ids or ():
            self._object(object_id)
        ids = [i for i in sorted(prompted) if i not in locked and (object_ids is None or i in object_ids)]
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
    ) -> tuple[list[Iterator[tuple[int, list[MaskRow]]]], int]:
        """Return the tracker's generators for a run, and the number of frames that they yield."""
        tracker = self._prompted.tracker
        if only_changed and self.store.tracked_ids():
            return [tracker.retrack_rows()], sum(stale.last - stale.first + 1 for stale in self.store.stale_ranges())
        frames = range(start or 0, self.num_frames if stop is None else min(stop, self.num_frames))
        if not frames:
            raise TrackingError(
                f"start must be below stop and within the {self.num_frames} frames, got {start}, {stop}"
            )
        prompted_frames = self.store.prompted_frames()
        prompted = {object_id: prompted_frames[object_id] for object_id in object_ids}
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
            tracker.run_rows(run.direction, start=run.start, stop=run.stop, object_ids=run.object_ids)
            for run in planned
        ]
        return runs, sum(plan.num_frames for plan in planned)

    def _shown_rows(self, frame_index: int, rows: Sequence[MaskRow]) -> list[MaskRow]:
        """Return the same as `masks` for a frame that has just been tracked, without reading the tracked rows again.

        The tracker's rows lack the objects that it does not track: outdated masks, and answers to prompts. Only these
        are read.
        """
        if len(rows) == self.store.num_objects():
            return list(rows)
        ids = {row.object_id for row in rows}
        missing = [row.object_id for row in self.store.objects() if row.object_id not in ids]
        others = self.store.shown(frame_index, frame_index + 1, object_ids=missing).get(frame_index, [])
        return sorted([*rows, *others], key=lambda row: row.object_id)

    # Reading.

    def masks(self, frame_index: int) -> list[MaskRow]:
        """Return the masks of one frame, by object id."""
        return self.store.shown(frame_index, frame_index + 1).get(frame_index, [])

    def close(self) -> None:
        """Close files and free memory; nothing is lost."""
        with self.lock:
            self._prompted.close()
            self.store.close()

    # Checks.

    @contextmanager
    def _operation(self, title: str, *, frame_index: int | None = None, object_id: int | None = None) -> Iterator[None]:
        """Record the changes in the block as one step of the history."""
        self.used_at = time.monotonic()
        with self.transaction(), self.store.operation(title, frame_index=frame_index, object_id=object_id):
            yield

    def _object(self, object_id: int) -> AnnotatedObject:
        row = self.store.object(object_id)
        if row is None:
            raise NotFoundError(f"there is no object {object_id}")
        return row

    def _changeable_object(self, object_id: int, frame_index: int) -> AnnotatedObject:
        """Return an object that may be changed on a frame."""
        changeable = self._object(object_id)
        if not 0 <= frame_index < self.num_frames:
            raise NotFoundError(f"there is no frame {frame_index}: this file has {self.num_frames}, from 0")
        if changeable.locked:
            raise ConflictError(f"{changeable.name} is locked: unlock it to change it")
        row = self.store.mask(object_id, frame_index)
        if row is not None and row.accepted and row.object_score > ABSENT_SCORE:
            raise ConflictError(
                f"{changeable.name} has been accepted on frame {frame_index}: reopen the frame to change it"
            )
        return changeable

    def _is_initial(self, before: SavedPrompt | None, object_id: int, frame_index: int) -> bool:
        if before is not None and not before.prompt.says_absent:
            return before.initial
        return self.store.mask(object_id, frame_index) is None

    def check_not_tracking(self, what: str) -> None:
        """Raise ConflictError if the medium is being tracked; `what` is the operation for which it must be stopped."""
        if self.is_tracking:
            raise ConflictError(f"this video is being tracked: stop that to {what}, or wait until it is done")

    def _check_room(self, more: int) -> None:
        if self.store.num_objects() + more > self.max_objects:
            raise ConflictError(f"a photo or video may have {self.max_objects} objects at most")


def _names(rows: Sequence[AnnotatedObject]) -> str:
    """Return the objects for the title of an operation."""
    return rows[0].name if len(rows) == 1 else f"{len(rows)} objects"
