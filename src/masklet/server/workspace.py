"""A medium that is open: every operation on its objects, prompts and masks, and its tracker.

The annotations on disk are the truth. The tracker is made from them when it is first needed, and anew after anything
that it could not follow (undo, deleting, importing); making it costs nothing, as it encodes frames only when asked.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from masklet.errors import MaskletError, PromptError, TrackingError
from masklet.frame_engine import Answer
from masklet.frame_masks import shown_logits
from masklet.mask_store import StoredMask
from masklet.masks import CocoRle, decode_rle, encode_rle, mask_logits
from masklet.records import BoolArray, FloatArray
from masklet.server.annotations import ABSENT_SCORE, AnnotatedObject, AnnotationStore, SavedPrompt, Step
from masklet.server.shared_model import SharedEngine, TurnLock
from masklet.server.touch_up import touched_up
from masklet.suggestions import Suggestion, suggest
from masklet.tracker import Direction, Tracker
from masklet.video.source import FrameSource

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


class ConflictError(MaskletError, ValueError):
    """What is asked does not go with the state of things: a locked object, a medium that is being tracked."""


class NotFoundError(MaskletError, LookupError):
    """There is no such thing, or it is another user's."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to a prompt."""

    rle: CocoRle
    iou_prediction: float


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to a prompt that the page's own decoder has worked out."""

    rle: CocoRle
    iou_prediction: float
    object_score: float
    logits: FloatArray
    """(h, w) of the chosen candidate."""


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
        self.engine = engine
        self.store = store
        self.size_hw = size_hw
        self.num_frames = num_frames
        self.max_objects = max_objects
        self.lock = TurnLock()
        self.is_tracking = False
        self.used_at = time.monotonic()
        self._open_frames = open_frames
        self._source: FrameSource | None = None
        self._tracker: Tracker[Any] | None = None
        self._undecided: dict[tuple[int, int], int] = {}  # candidates to be chosen once their prompts are answered
        self._run: Iterator[Any] | None = None

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
                color or COLORS[(object_id - 1) % len(COLORS)],
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
            self.reload()

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
                    color = one.color or COLORS[(object_id - 1) % len(COLORS)]
                    new = AnnotatedObject(object_id, name, one.class_name, color)
                    self.store.write_object(new)
                    self._write_masks(object_id, one)
                    added.append(new)
            self.reload()
            return added

    def _write_masks(self, object_id: int, one: NewObject) -> None:
        fps = self.source.info.fps or 1.0
        first = min(one.masks)
        rows = [
            StoredMask(
                frame_index=index,
                object_id=object_id,
                time_s=index / fps,
                rle=rle,
                iou_prediction=one.iou_prediction,
                object_score=10.0,
                reliability=one.iou_prediction,
                direction=1,
                prompted=index == first,
            )
            for index, rle in sorted(one.masks.items())
        ]
        self.store.write(rows[1:])
        self.store.write_prompt(
            SavedPrompt(
                object_id,
                first,
                mask=one.masks[first],
                time_s=first / fps,
                rle=one.masks[first],
                iou_prediction=one.iou_prediction,
                object_score=10.0,
            )
        )

    # Prompts.

    def prompt(
        self,
        object_id: int,
        frame_index: int,
        *,
        points_xy: Sequence[tuple[float, float]] = (),
        labels: Sequence[int] = (),
        box_xyxy: tuple[float, float, float, float] | None = None,
        candidate: int | None = None,
        given: Given | None = None,
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
            new = SavedPrompt(
                object_id,
                frame_index,
                tuple((float(x), float(y)) for x, y in points_xy),
                tuple(int(label) for label in labels),
                box_xyxy,
                candidate,
                initial=self._is_initial(before, object_id, frame_index),
            )
            with self._operation(f"Prompt for {one.name}", frame_index=frame_index, object_id=object_id):
                if before is not None and before.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                elif before is not None and before.mask is not None and new.points_xy and new.box_xyxy is None:
                    return self._touch_up(decode_rle(before.mask), new)
                new = replace(new, previous_logits=self._corrected(before, new))
                if given is not None and new.initial and not self.is_tracking:
                    return self._keep(new, given)
                return self._say(new)

    def draw(self, object_id: int, frame_index: int, rle: CocoRle) -> None:
        """Say that an object's mask is this one; an empty one says that it is not there."""
        with self.lock:
            one = self._free(object_id, frame_index)
            mask = self._fitting(rle)
            before = self.store.prompt(object_id, frame_index)
            new = SavedPrompt(
                object_id,
                frame_index,
                mask=encode_rle(mask),
                initial=self._is_initial(before, object_id, frame_index),
            )
            if mask.any():
                with self._operation(f"Hand edit of {one.name}", frame_index=frame_index, object_id=object_id):
                    if before is not None and before.says_absent:
                        self.store.drop_masks(object_id, frame_index=frame_index)
                    self._say(new)
            else:
                self._check_at_rest("say that an object is not there")
                with self._operation(f"{one.name} is not there", frame_index=frame_index, object_id=object_id):
                    self._say_absent(new)
                self.reload()

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
                if before.says_absent:
                    self.store.drop_masks(object_id, frame_index=frame_index)
                self.store.delete_prompt(object_id, frame_index)
                left = [said.frame_index for said in self.store.prompts(object_id=object_id) if not said.says_absent]
                if left:
                    self.store.outdate(object_id, frame_index, left)
                else:
                    self.store.drop_masks(object_id)
            self.reload()

    def _say(self, new: SavedPrompt) -> list[Candidate]:
        """Give a prompt to the tracker, and keep what it answers."""
        tracker, place = self.tracker, (new.object_id, new.frame_index)
        if new.candidate is not None and len(new.points_xy) > 1 and new.previous_logits is None:
            first = replace(new, points_xy=new.points_xy[:1], labels=new.labels[:1])
            answer = self._answer(first)
            new = replace(new, previous_logits=_half(answer.chosen_logits))
        answer = self._answer(new)
        masks = tracker.preview(new.frame_index)
        row = masks.object_ids.index(new.object_id)
        self._undecided.pop(place, None)
        self.store.write_prompt(
            replace(
                new,
                time_s=masks.time_s,
                rle=encode_rle(masks.masks[row]),
                iou_prediction=float(masks.iou_predictions[row]),
                object_score=float(masks.object_scores[row]),
                answer_logits=_half(answer.chosen_logits),
            )
        )
        return self._candidates(answer, new)

    def _keep(self, new: SavedPrompt, given: Given) -> list[Candidate]:
        """Take an answer that was worked out elsewhere. The tracker is made anew when it is next needed."""
        rle = encode_rle(self._fitting(given.rle))
        others = [said.frame_index for said in self.store.prompts(object_id=new.object_id)]
        self.store.outdate(new.object_id, new.frame_index, [index for index in others if index != new.frame_index])
        self.store.write_prompt(
            replace(
                new,
                time_s=new.frame_index / (self.source.info.fps or 1.0),
                rle=rle,
                iou_prediction=given.iou_prediction,
                object_score=given.object_score,
                answer_logits=_half(given.logits),
            )
        )
        self.reload()
        return [Candidate(rle, given.iou_prediction)]

    def _touch_up(self, drawn: BoolArray, new: SavedPrompt) -> list[Candidate]:
        """Clicks on a drawn mask make another drawn mask."""
        mask = drawn
        for point, label in zip(new.points_xy, new.labels, strict=True):
            click = replace(new, points_xy=(point,), labels=(label,), candidate=None)
            told = replace(click, previous_logits=_half(mask_logits(mask, self.engine.info.low_res_size)))
            lone = replace(click, labels=(1,))

            def seen(said: SavedPrompt) -> list[BoolArray]:
                answer = self._answer(said)
                order = np.argsort(-np.asarray(answer.decoded.iou_predictions), kind="stable")
                return [self._shown(answer, place, said) for place in order]

            mask = touched_up(mask, point, label, seen(told)[0], partial(seen, lone))
        return self._say(replace(new, points_xy=(), labels=(), candidate=None, mask=encode_rle(mask)))

    def _shown(self, answer: Answer[Any], place: int, said: SavedPrompt) -> BoolArray:
        """The mask of one candidate."""
        return np.asarray(shown_logits(answer.logits[place], self.engine.info, said.prompt, self.size_hw) > 0)

    def _answer(self, new: SavedPrompt) -> Answer[Any]:
        """What the decoder says to a prompt, the meant candidate chosen."""
        tracker = self.tracker
        prompt = new.prompt
        tracker.prompt(
            new.object_id,
            new.frame_index,
            points_xy=new.points_xy or None,
            labels=new.labels or None,
            box_xyxy=new.box_xyxy,
            mask=prompt.mask,
            previous_logits=new.previous_logits,
            clear=True,
        )
        self._decide([new.frame_index])
        tracker.preview(new.frame_index)
        if new.candidate is not None and new.is_lone_click:
            tracker.choose(new.object_id, new.frame_index, new.candidate)
            tracker.preview(new.frame_index)
        decoded = tracker.answers[new.object_id]
        return Answer(decoded, self.engine.to_numpy(decoded.low_res_logits))

    def _candidates(self, answer: Answer[Any], said: SavedPrompt) -> list[Candidate]:
        if said.mask is not None:
            return [Candidate(said.mask, 1.0)]
        ious = answer.decoded.iou_predictions
        return [
            Candidate(encode_rle(self._shown(answer, place, said)), float(ious[place]))
            for place in np.argsort(-np.asarray(ious), kind="stable")
        ]

    def _corrected(self, before: SavedPrompt | None, new: SavedPrompt) -> FloatArray | None:
        """The logits that the newer of a prompt's points correct."""
        if before is None or before.says_absent:
            return None
        if before.mask is not None:  # a box in place of what was drawn
            return None
        count = len(before.points_xy)
        is_longer = len(new.points_xy) > count and new.points_xy[:count] == before.points_xy
        same = new.labels[:count] == before.labels and new.box_xyxy == before.box_xyxy
        is_meant = new.candidate is None or new.candidate == before.candidate
        return before.answer_logits if is_longer and same and is_meant else None

    def _say_absent(self, new: SavedPrompt) -> None:
        assert new.mask is not None
        time_s = new.frame_index / (self.source.info.fps or 1.0)
        others = [said.frame_index for said in self.store.prompts(object_id=new.object_id)]
        self.store.outdate(new.object_id, new.frame_index, [index for index in others if index != new.frame_index])
        self.store.write(
            [
                StoredMask(
                    frame_index=new.frame_index,
                    object_id=new.object_id,
                    time_s=time_s,
                    rle=new.mask,
                    iou_prediction=1.0,
                    object_score=ABSENT_SCORE,
                    reliability=0.0,
                    direction=1,
                    prompted=True,
                    status="occluded",
                    accepted=True,
                )
            ]
        )
        self.store.write_prompt(
            replace(new, time_s=time_s, rle=new.mask, iou_prediction=1.0, object_score=ABSENT_SCORE)
        )

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
                self.reload()
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
    ) -> Generator[tuple[int, list[StoredMask]], None, None]:
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
        try:
            with self.lock:
                self._decide(None)
                runs, total = self._runs(direction, start, stop, ids, only_changed, only_missing)
                on_total(total)
            for run in runs:
                self._run = run
                while True:
                    with self.lock:
                        self.used_at = time.monotonic()
                        step = self.store.proceed(step)
                        try:
                            masks = next(run, None)
                        finally:
                            self.store.end()
                    if masks is None:
                        break
                    yield masks.frame_index, self.masks(masks.frame_index)
        finally:
            with self.lock:
                if self._run is not None:
                    self._run.close()  # type: ignore[attr-defined]
                self._run = None
                self.is_tracking = False

    def to_track(self, object_ids: Sequence[int] | None) -> list[int]:
        """The objects that a run would be about; with `lock` held.

        Raises:
            ConflictError: there is none.
        """
        locked = {one.object_id for one in self.store.objects() if one.locked}
        known = set(self.tracker.object_ids)
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
        ids: list[int],
        only_changed: bool,
        only_missing: bool,
    ) -> tuple[list[Iterator[Any]], int]:
        """The tracker's generators to go through, and how many frames they give."""
        tracker = self.tracker
        if only_changed and self.store.tracked_ids():
            return [tracker.retrack()], sum(one.last - one.first + 1 for one in self.store.stale())
        low, high = start or 0, self.num_frames if stop is None else min(stop, self.num_frames)
        if low >= high:
            raise TrackingError(
                f"start must be below stop and within the {self.num_frames} frames, got {start}, {stop}"
            )
        said = self.store.prompted_frames()
        first = {i: min(said[i]) for i in ids}
        last = {i: max(said[i]) for i in ids}
        runs: list[Iterator[Any]] = []
        total = 0

        def forward(own: list[int], begin: int) -> None:
            nonlocal total
            begin = max(low, begin)
            if begin < high:
                runs.append(tracker.run("forward", start=begin, stop=high, object_ids=own))
                total += high - begin

        def backward(own: list[int], begin: int) -> None:
            nonlocal total
            begin = min(high - 1, begin)
            if begin >= low:
                runs.append(tracker.run("backward", start=begin, stop=low - 1 if low else None, object_ids=own))
                total += begin - low + 1

        if only_missing:
            if direction != "backward":
                for begin, own in self._ends(first, 1).items():
                    forward(own, begin)
            if direction != "forward":
                # Both ways is outwards from the first prompt, backward alone from the last one.
                for begin, own in self._ends(first if direction == "both" else last, -1).items():
                    backward(own, begin)
            return runs, total
        if direction == "forward":
            forward(ids, min(first.values()))
        elif direction == "backward":
            backward(ids, max(last.values()))
        else:
            # Outwards from each object's first prompt, as far as the range has it.
            within = [i for i in ids if low <= first[i] < high]
            if within:
                runs.append(tracker.run("both", start=low or None, stop=high, object_ids=within))
                total += high - low
            if before := [i for i in ids if first[i] < low]:
                forward(before, min(first[i] for i in before))
            if after := [i for i in ids if first[i] >= high]:
                backward(after, max(last[i] for i in after))
        if not runs:
            raise TrackingError(f"no object can be tracked {direction} within frames {low} to {high - 1}")
        return runs, total

    def _ends(self, begins: Mapping[int, int], step: Literal[1, -1]) -> dict[int, list[int]]:
        """Walking from a frame of each object, where the first mask is missing; the objects by that frame."""
        ends: dict[int, list[int]] = {}
        known = self.store.current_frames()
        for object_id, begin in begins.items():
            own, index = known.get(object_id, set()), begin
            while index in own:
                index += step
            if 0 <= index < self.num_frames:
                ends.setdefault(index, []).append(object_id)
        return ends

    # What there is.

    def masks(self, frame_index: int) -> list[StoredMask]:
        """Of one frame, by object id."""
        return self.store.shown(frame_index, frame_index + 1).get(frame_index, [])

    @property
    def source(self) -> FrameSource:
        """The medium as the tracker reads it."""
        if self._source is None:
            self._source = self._open_frames()
        return self._source

    @property
    def tracker(self) -> Tracker[Any]:
        """Made from the annotations when it is needed. To be used with `lock` held."""
        if self._tracker is None:
            self._tracker = Tracker(self.engine, self.source, store=self.store)
            for said in self.store.prompts():
                if not said.says_absent:
                    self._tracker.put_back(said.object_id, said.frame_index, said.prompt, initial=said.initial)
                    if said.candidate is not None and said.is_lone_click:
                        self._undecided[said.object_id, said.frame_index] = said.candidate
        return self._tracker

    def reload(self) -> None:
        """Make the tracker anew."""
        self._tracker = None
        self._undecided.clear()

    def close(self) -> None:
        """Let go of files and memory; nothing is lost."""
        with self.lock:
            self.reload()
            if self._source is not None:
                self._source.close()
                self._source = None
            self.store.close()

    def _decide(self, frames: Iterable[int] | None) -> None:
        """Choose the candidates that were chosen before the tracker was made."""
        among = None if frames is None else set(frames)
        for place in [place for place in self._undecided if among is None or place[1] in among]:
            object_id, frame_index = place
            candidate = self._undecided.pop(place)
            self.tracker.preview(frame_index)
            self.tracker.choose(object_id, frame_index, candidate)

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
                self.reload()
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
        if before is not None and not before.says_absent:
            return before.initial
        return self.store.mask(object_id, frame_index) is None

    def _fitting(self, rle: CocoRle) -> BoolArray:
        if tuple(rle["size"]) != self.size_hw:  # before it is decoded: a few bytes can stand for gigabytes
            height, width = self.size_hw
            raise PromptError(f"rle must have size [{height}, {width}] as the frames have, got {list(rle['size'])}")
        return decode_rle(rle)

    def _check_at_rest(self, what: str) -> None:
        if self.is_tracking:
            raise ConflictError(f"the medium is being tracked: stop that to {what}, or wait until it is done")

    def _check_room(self, more: int) -> None:
        if len(self.store.objects()) + more > self.max_objects:
            raise ConflictError(f"a medium may have {self.max_objects} objects at most")


def _half(logits: FloatArray) -> FloatArray:
    """As they are kept, so that a prompt gives the same mask before and after a restart."""
    return np.asarray(logits.clip(-32, 32).astype(np.float16), np.float32)


class Workspaces:
    """The media that are open: made when somebody asks, closed when nobody has for a while, or when they are too many.

    Args:
        limit: how many may be open.
        idle_seconds: after which one is closed.
    """

    def __init__(self, *, limit: int, idle_seconds: float) -> None:
        self.limit = limit
        self.idle_seconds = idle_seconds
        self._open: OrderedDict[str, Workspace] = OrderedDict()
        self._users: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def using(self, key: str, make: Callable[[], Workspace]) -> Iterator[Workspace]:
        """A workspace that stays open meanwhile."""
        with self._lock:
            if key not in self._open:
                self._open[key] = make()
            workspace = self._open[key]
            self._open.move_to_end(key)
            self._users[key] = self._users.get(key, 0) + 1
            workspace.used_at = time.monotonic()
            crowd = [one for one in self._open if not self._users.get(one)]
            surplus = crowd[: max(0, len(self._open) - self.limit)]
            closing = [self._open.pop(one) for one in surplus]
        for one in closing:
            one.close()
        try:
            yield workspace
        finally:
            with self._lock:
                workspace.used_at = time.monotonic()
                self._users[key] -= 1
                if not self._users[key]:
                    del self._users[key]

    def close_idle(self) -> int:
        """Close those that nobody uses any more; how many."""
        now = time.monotonic()
        with self._lock:
            idle = [
                key
                for key, workspace in self._open.items()
                if not self._users.get(key) and now - workspace.used_at > self.idle_seconds
            ]
            closing = [self._open.pop(key) for key in idle]
        for workspace in closing:
            workspace.close()
        return len(closing)

    def discard(self, key: str) -> None:
        """Close one that is to be deleted.

        Raises:
            ConflictError: it is in use.
        """
        with self._lock:
            if self._users.get(key):
                raise ConflictError("it is in use: stop what is going on with it first")
            workspace = self._open.pop(key, None)
        if workspace is not None:
            workspace.close()

    def close(self) -> None:
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        for workspace in closing:
            workspace.close()
