"""Follows objects through a video: image encoder, memory attention, mask decoder, memory encoder, memory bank.

The tracker moves handles between an engine and one memory bank per object; it knows no tensors, no files and no
video format. `step` is the one path on which a frame is looked at; `run` is a loop over it. What is kept in memory is
the last frame, the banks and the prompts, so it does not grow with the video. The masks go to a store on disk, from
which memories are rebuilt when a user goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from masklet.checks import check_whole
from masklet.engine.protocol import Engine
from masklet.errors import EngineError, PromptError, TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import FrameSource, VideoSource, open_source
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.prompts import Prompt, PromptFields
from masklet.records import Decoded, Frame, FrameMasks
from masklet.tracking.frame_engine import FrameEngine
from masklet.tracking.mask_rows import from_rows
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Direction as Direction
from masklet.tracking.passes import legs_of_run
from masklet.tracking.stepper import Stepper
from masklet.tracking.suggestions import Suggestion, suggest
from masklet.tracking.track import Given, Hypothesis, Track
from masklet.tracking.walker import Walker

if TYPE_CHECKING:
    from typing_extensions import Unpack

A = TypeVar("A")

MAX_UNDO = 64
"""Prompts that can be undone."""


class Tracker(Generic[A]):
    """Tracks any number of objects through one video.

    Prompts may be given for any object on any frame, before, during and after tracking; they take effect when their
    frame is reached. An object is absent from the frames before its first prompt, seen in the direction of tracking.

    What has been tracked is stored, run-length encoded, in a temporary file, unless the source is live. So a mask can
    be asked for again (`masks_at`), accepted (`accept`), and corrected: after a prompt on a frame that lies far back,
    `retrack` goes over what this prompt can change and nothing else.

    Args:
        engine: runs the model.
        source: what `masklet.video.open_source` takes: a path, folder of frames, camera index, URL or iterator of
            frames. None when the frames are given to `step` by hand.
        memory: rules of remembering; those that suit the engine's model when left out.
        non_overlap: a pixel that several objects claim goes to the one of the highest logit.
        objects_at_once: objects in one batch. Fewer need less memory, the masks are the same.
        store: keeps the masks in place of a temporary file; what is in it already has been tracked (see `put_back`).
        edges: how the edges of masks are refined by the picture; None leaves them as the model has them. What is shown
            and stored has the refined edges, what is remembered is the model's own answer.

    Raises:
        EngineError: the model has no memory.
        VideoError: the source cannot be opened.
    """

    def __init__(
        self,
        engine: Engine[A],
        source: VideoSource | None = None,
        *,
        memory: MemoryConfig | None = None,
        non_overlap: bool = False,
        objects_at_once: int = 16,
        store: MaskStore | None = None,
        edges: EdgeConfig | None = None,
    ) -> None:
        if engine.info.images_only:
            raise EngineError(
                f"{engine.info.name} cannot track: its weights are those of an image model (transformers' Sam2Model), "
                f"without a memory. Give weights of a video model (Sam2VideoModel, or an official .pt)"
            )
        self.engine = engine
        self.source: FrameSource | None = None if source is None else open_source(source)
        self.memory = MemoryConfig.for_engine(engine.info) if memory is None else memory.fitted_to(engine.info)
        self.non_overlap = non_overlap
        self._view = FrameEngine(engine, objects_at_once)  # a click on its frame does not encode it again
        is_stored = self.source is not None and not self._is_forward_only and self.memory.retention != "all"
        self._store = (store or MaskStore()) if is_stored else None
        self._undo: deque[tuple[int, int, Given[A] | None]] = deque(maxlen=MAX_UNDO)
        self._stepper = Stepper(
            self._view,
            self._store,
            self.memory,
            read=self._read,
            num_frames=self.num_frames,
            non_overlap=non_overlap,
            edges=edges,
        )
        self._walker = Walker(self._stepper)
        self._tracks = self._stepper.tracks
        self.notes: dict[str, Any] = {}
        """What a program wants to find again in the session file, as JSON can hold it."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects that have been prompted, ascending."""
        return tuple(sorted(self._tracks))

    @property
    def names(self) -> dict[int, str]:
        """What objects are called, by id; those without a name are left out."""
        return {
            object_id: self._tracks[object_id].name for object_id in self.object_ids if self._tracks[object_id].name
        }

    @property
    def prompts(self) -> dict[int, dict[int, Prompt]]:
        """What has been said and still counts, by frame index and object id."""
        said: dict[int, dict[int, Prompt]] = {}
        for object_id in self.object_ids:
            for frame_index, given in self._tracks[object_id].given.items():
                said.setdefault(frame_index, {})[object_id] = given.prompt
        return said

    @property
    def frame(self) -> Frame | None:
        """The frame whose masks came last, with its pixels: what an overlay is drawn on. None before the first."""
        return self._view.frame

    @property
    def answers(self) -> Mapping[int, Decoded[A]]:
        """By object id: what the decoder said on the frame whose masks came last, as handles of the engine."""
        return self._stepper.answers

    @property
    def edges(self) -> EdgeConfig | None:
        """How the edges of masks are refined; it may be changed between two frames."""
        return self._stepper.edges

    @edges.setter
    def edges(self, edges: EdgeConfig | None) -> None:
        self._stepper.edges = edges

    @property
    def num_frames(self) -> int | None:
        """Frames of the source; None where that is not known, as for a camera."""
        return None if self.source is None else self.source.info.num_frames

    @property
    def _is_forward_only(self) -> bool:
        """Cameras, streams and iterators have no length, and no way back."""
        return self.num_frames is None

    # Saying what the objects are.

    def prompt(
        self,
        object_id: int = 1,
        frame_index: int = 0,
        prompt: Prompt | None = None,
        *,
        clear: bool = False,
        **fields: Unpack[PromptFields],
    ) -> None:
        """Say what an object is on one frame. It takes effect when the frame is reached, or in `preview`.

        Several prompts of one object on one frame add up: points join earlier points, and correct an earlier box,
        mask or preview. A box or mask replaces what was said before.

        A prompt on a frame on which the object has been tracked corrects that frame with its memory in view; `retrack`
        takes the correction to the frames that it can change. A prompt on the frame that `run` has just yielded is
        taken in before the next frame; the frame is not yielded again (`preview` shows it).

        Args:
            object_id: any whole number; a new one begins a new object.
            frame_index: the frame, from 0.
            prompt: what the object is; or give its fields, as in `Prompt.create`.
            clear: forget what was said of this object on this frame before.
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 on the object, 0 not on it; all 1 when left out.
            box_xyxy: (4,) source pixels around the object; or (B, 4) around its parts, whose masks are joined.
            mask: (H, W) the object itself; with points, these correct it.
            previous_logits: (h, w) low-res logits that points or a box correct, in place of the last answer here.

        Raises:
            PromptError: see `Prompt.create`.
            TrackingError: the frame does not exist, has been accepted, or a source that runs once has passed it.
        """
        object_id = check_whole("object_id", object_id, error=PromptError)
        frame_index = self._checked_frame_index(frame_index)
        self._check_not_accepted(object_id, frame_index)
        prompts = self._prompts(frame_index, prompt, fields)
        track = self._tracks.get(object_id)
        before = None if track is None else track.given.get(frame_index)
        for row, part in enumerate(prompts):
            self._take(object_id, frame_index, part, clear and row == 0)
        self._undo.append((object_id, frame_index, before))
        self._outdate(object_id, frame_index)

    def unprompt(self, object_id: int, frame_index: int, *, keep_memory: bool = False) -> None:
        """Unsay what was said of an object on one frame; an object of which nothing else was said is removed.

        As with a prompt, `retrack` goes over what this changes.

        Args:
            object_id: the object.
            frame_index: where it was prompted.
            keep_memory: the official way: what was seen there stays in memory, as on a tracked frame, and so do the
                object and all masks.

        Raises:
            TrackingError: the object has not been prompted on this frame, or the frame has been accepted.
        """
        track = self._known(object_id)
        if frame_index not in track.given:
            raise TrackingError(f"object {object_id} has not been prompted on frame {frame_index}")
        self._check_not_accepted(object_id, frame_index)
        self._undo.append((object_id, frame_index, track.given[frame_index]))
        if keep_memory:
            track.count_as_tracked(frame_index)
        else:
            self._restore(object_id, frame_index, None)

    def put_back(self, object_id: int, frame_index: int, prompt: Prompt, *, initial: bool) -> None:
        """Say what was said in another process, whose masks are in the store; they count as they are.

        Args:
            object_id: the object.
            frame_index: the frame.
            prompt: what was said there, as `prompts` had it.
            initial: the object had not been tracked on this frame when it was said.
        """
        self._track(object_id).given[frame_index] = Given(prompt, initial)

    def choose(self, object_id: int, frame_index: int, candidate: int) -> None:
        """Mean another of the candidates that `preview` had for a prompt: what comes next starts from it.

        Args:
            object_id: the object.
            frame_index: where it was prompted.
            candidate: 0 is the one of highest IoU prediction, which `preview` takes by itself.

        Raises:
            TrackingError: the prompt has not been answered by `preview`, or with fewer candidates.
        """
        given = self._known(object_id).given.get(frame_index)
        if given is None or given.answer is None or not given.is_answered:
            raise TrackingError(f"object {object_id} has no candidates on frame {frame_index}: call preview first")
        given.choose(candidate)

    def undo(self) -> tuple[int, int] | None:
        """Take back the last `prompt` or `unprompt`, up to 64 of them.

        Returns:
            The object and the frame that it was about; None when there is nothing to take back.
        """
        while self._undo:
            object_id, frame_index, before = self._undo.pop()
            track = self._tracks.get(object_id)
            if track is None and before is None:
                continue  # the object has been removed since
            self._restore(object_id, frame_index, before)
            return object_id, frame_index
        return None

    def preview(self, frame_index: int = 0) -> FrameMasks:
        """The masks that the prompts on one frame give, for the objects prompted there; memory stays as it is.

        What is shown is what tracking then starts from: further points correct it.

        Raises:
            TrackingError: no object is prompted on this frame.
            VideoError: the frame cannot be read, or a source that runs once has passed it.
        """
        prompted = [object_id for object_id, track in self._tracks.items() if frame_index in track.given]
        if not prompted:
            raise TrackingError(f"no object is prompted on frame {frame_index}: call prompt(...) first")
        return self._stepper.preview(frame_index, self._walker.direction, prompted)

    # Tracking.

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None, *, direction: int = 1) -> FrameMasks:
        """Track all objects on one frame.

        Args:
            frame: the next frame, in the direction of tracking; gaps are allowed.
            prompts: by object id, in addition to those given by `prompt`.
            direction: 1 forward, -1 backward.

        Returns:
            The masks of all objects known at this frame. None of them: no object has been prompted here or earlier.

        Raises:
            PromptError: a prompt does not fit the frame.
        """
        if direction not in (1, -1):
            raise TrackingError(f"direction must be 1 (forward) or -1 (backward), got {direction!r}")
        for object_id, prompt in (prompts or {}).items():
            number = check_whole("object_id", object_id, error=PromptError)
            self._take(number, frame.index, prompt.fitted(frame.size_hw), clear=False)
        return self._walker.step(frame, direction, self._tracks)

    def run(
        self,
        direction: Direction = "forward",
        *,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> Iterator[FrameMasks]:
        """Track through the source, frame by frame, as the results are asked for.

        `forward` goes from the earliest prompted frame to the end, `backward` from the latest one to frame 0.
        `both` goes outwards from each object's first prompt: first the earlier frames, descending, then all from the
        earliest prompt on, ascending; every frame comes once, with all of its objects.

        Accepted masks are shown and remembered as they are. So are the stored masks of objects that are not tracked
        here. Close the generator to stop, or call `cancel` from another thread.

        Args:
            direction: 'forward', 'backward' or 'both'.
            start: first frame of the way: the highest when going backward, the lowest when going both ways. Prompts
                that lie before it are taken in first, unless they have been already.
            stop: the way ends before this frame, as in `range`.
            object_ids: which objects to track, all when left out; those added on the way, too.

        Yields:
            The masks of each frame. If the source breaks off, its `VideoError` comes after the frames before it.

        Raises:
            TrackingError: no object is prompted, the frames do not exist, or a live source is to go backward or to
                start elsewhere than it is.
        """
        ids = None if object_ids is None else tuple(object_id for object_id in object_ids if self._known(object_id))
        tracks = {object_id: self._tracks[object_id] for object_id in (self._tracks if ids is None else ids)}
        source = self._check_run(direction, start, stop, tracks)
        if self._is_forward_only and self._walker.position is not None:
            start = max(min(track.first_known for track in tracks.values()), self._walker.position + 1)
        self._walker.legs = legs_of_run(
            direction, list(tracks.values()), self.num_frames, start=start, stop=stop, object_ids=ids
        )
        return self._walker.run(source)

    def proceed(self) -> Iterator[FrameMasks]:
        """Go on with the last `run` where it was cut off: closed, cancelled, broken off, or saved and resumed.

        Yields nothing when that had come to its end.

        Raises:
            TrackingError: there is no source.
        """
        return self._walker.run(self._source())

    def is_to_come(self, frame_index: int) -> bool:
        """Whether `proceed` would still show this frame."""
        return any(leg.shows(frame_index) for leg in self._walker.legs)

    def retrack(self) -> Iterator[FrameMasks]:
        """Track again what prompts that were given or undone since can change, and only that.

        a) Of each object whose prompts on a frame have changed: that frame, and outwards from it the frames that were
           tracked from its side, up to the next one that is prompted or accepted. From there on that frame says what
           the object is. Frames that were tracked from the other side have never seen the correction and stay.
        b) An object that is new is tracked from its first prompt on as far as others have been.
        Other objects' masks are kept. Going back, recent memories are rebuilt from the stored masks.

        Yields:
            The masks of each frame on which some object was tracked again, with all objects; forward, then backward.

        Raises:
            TrackingError: there is no source, or a live one, which cannot go back.
        """
        source, store = self._source(), self._store
        if store is None:
            raise TrackingError("this source cannot go back, so there is nothing to track again: go on with run()")
        return self._walker.retrack(source, store)

    def cancel(self) -> None:
        """End what `run` or `retrack` is doing, after the frame at hand. To be called from any thread."""
        self._walker.cancel()

    # What has been tracked.

    def masks_at(self, frame_index: int) -> FrameMasks | None:
        """What has been tracked on a frame; None when nothing has, or when the source is live.

        Masks that a later prompt has outdated are left out until they have been tracked again.
        """
        rows = [] if self._store is None else self._store.frame(frame_index)
        if self.source is None or not rows:
            return None
        return from_rows(frame_index, rows[0].time_s, self._walker.visible(rows), self.source.info.size_hw)

    @property
    def tracked_frames(self) -> tuple[int, int] | None:
        """The first and the last frame of which masks are stored."""
        return None if self._store is None else self._store.frames()

    def accept(self, frame_index: int | range, object_id: int | None = None, *, accepted: bool = True) -> None:
        """Mark masks as good: tracking shows and remembers them as they are, and never goes over them again.

        Args:
            frame_index: a frame, or a range of them.
            object_id: whose mask; those of all objects there when left out.
            accepted: False takes it back.

        Raises:
            TrackingError: nothing has been tracked there, or a prompt has outdated it, or the source is live.
        """
        if object_id is not None:
            self._known(object_id)
        if self._store is None:
            raise TrackingError("this source keeps no masks, so none can be accepted: track a file")
        frames = frame_index if isinstance(frame_index, range) else range(frame_index, frame_index + 1)
        if not sum([self._store.accept(index, object_id, accepted) for index in frames]):
            where = f"frame {frames[0]}" if len(frames) == 1 else str(frames)
            raise TrackingError(f"nothing that is up to date on {where} can be accepted: track it first")

    def suggest_frames(self, count: int = 5) -> list[Suggestion]:
        """The tracked frames on which a click would help most, the most useful first, diverse in time.

        Frames that are prompted or accepted are not among them.
        """
        return [] if self._store is None else suggest(self._store.scores(), count)

    # Objects come and go.

    def remove(self, object_id: int) -> None:
        """Forget an object altogether; its id may be used anew.

        Raises:
            TrackingError: the object is unknown.
        """
        self._known(object_id)
        del self._tracks[object_id]
        self._stepper.collisions.forget(object_id)
        if self._store is not None:
            self._store.forget(object_id)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name, for people and for exports.

        Raises:
            TrackingError: the object is unknown.
        """
        self._known(object_id).name = name

    def hide(self, object_id: int, hidden: bool = True) -> None:
        """Leave an object out of the masks that are shown; it is tracked and stored all the same.

        Raises:
            TrackingError: the object is unknown.
        """
        self._known(object_id).hidden = hidden

    def adopt(self, other: Tracker[A] | str | Path, object_id: int, *, new_id: int | None = None) -> int:
        """Take over what another tracker knows of an object: the same product or animal, filmed again.

        The object is known from the first frame on, in either direction, by what it looked like on the other video's
        prompted frames. Prompts given here come before those.

        Args:
            other: a tracker with the same model, or a session file.
            object_id: of the object there.
            new_id: its id here; the same when left out.

        Returns:
            Its id here.

        Raises:
            TrackingError: the object is unknown there, or its id is taken here.
            SessionError: the file is damaged, or of another model.
        """
        from masklet.tracking.session import inherited_memories

        memories, name = inherited_memories(self.engine, other, object_id)
        own_id = check_whole("object_id", object_id if new_id is None else new_id, error=PromptError)
        if own_id in self._tracks:
            raise TrackingError(f"object {own_id} exists here already: give the adopted one another new_id")
        track = self._track(own_id)
        track.name, track.bank.inherited = name, memories
        return own_id

    def reset(self) -> None:
        """Forget all objects. The source stays open; a live one goes on from where it is."""
        self._tracks.clear()
        self._undo.clear()
        self._stepper.collisions.allowed.clear()
        if self._store is not None:
            self._store.forget()

    def save(self, path: str | Path) -> Path:
        """Write everything into one file, from which `masklet.resume` goes on in another process.

        Raises:
            OutputError: it cannot be written; a file that was there before stays.
        """
        from masklet.tracking.session import save_session

        return save_session(self, path)

    def _read(self, frame_index: int) -> Frame:
        if self.frame is not None and self.frame.index == frame_index:
            return self.frame
        if self.source is None:
            raise TrackingError(f"frame {frame_index} is not the last one, and there is no source to read it from")
        return self.source.frame(frame_index)

    # Prompts.

    def _prompts(self, frame_index: int, prompt: Prompt | None, fields: PromptFields) -> list[Prompt]:
        """Return the prompts that `prompt` was given as, to be taken one after the other."""
        size_hw = self._size_hw(frame_index)
        boxes = fields.get("box_xyxy")
        if boxes is None or np.ndim(boxes) < 2:
            return Prompt.of(prompt, fields, size_hw=size_hw).in_order()
        if len(np.asarray(boxes)) == 1:
            return Prompt.of(prompt, {**fields, "box_xyxy": np.asarray(boxes)[0]}, size_hw=size_hw).in_order()
        parts = Prompt.create(mask=self._stepper.joined_boxes(frame_index, np.asarray(boxes)), size_hw=size_hw)
        rest: PromptFields = {**fields, "box_xyxy": None}
        if all(value is None for value in rest.values()):
            return [parts]
        return [parts, *Prompt.of(prompt, rest, size_hw=size_hw).in_order()]

    def _track(self, object_id: int) -> Track[A]:
        """The object's, which is new if nothing has been said of it."""
        if object_id not in self._tracks:
            self._tracks[object_id] = Track([Hypothesis(MemoryBank(self.memory))])
        return self._tracks[object_id]

    def _take(self, object_id: int, frame_index: int, prompt: Prompt, clear: bool) -> None:
        track = self._track(object_id)
        known = track.given.get(frame_index)
        if known is None or clear or prompt.box_xyxy is not None or prompt.mask is not None:
            initial = not self._was_tracked(object_id, frame_index) if known is None else known.initial
            track.given[frame_index] = Given(prompt, initial)
        else:
            track.given[frame_index] = known.with_points(prompt, self.engine.info.low_res_size)

    def _was_tracked(self, object_id: int, frame_index: int) -> bool:
        stored = self._store is not None and self._store.mask(object_id, frame_index) is not None
        return stored or self._tracks[object_id].has_tracked(frame_index)

    def _restore(self, object_id: int, frame_index: int, given: Given[A] | None) -> None:
        """Put back what was said of an object on a frame at an earlier time."""
        track = self._track(object_id)
        track.put_back(frame_index, given)
        if not track.given and not track.bank.inherited:
            self.remove(object_id)
        else:
            self._outdate(object_id, frame_index)

    def _outdate(self, object_id: int, frame_index: int) -> None:
        """What was tracked in view of this frame's prompts does not hold any more."""
        track = self._tracks[object_id]
        if self._store is None or not self._was_tracked(object_id, frame_index):
            return
        for stretch in self._store.outdate(object_id, frame_index, track.given):
            if self.memory.corrections_stay:  # the official code goes on reading what a correction has outdated
                track.forget_tracked(stretch.first, stretch.last)

    def _size_hw(self, frame_index: int) -> tuple[int, int] | None:
        if self.source is not None:
            return self.source.info.size_hw
        return None if self.frame is None or self.frame.index != frame_index else self.frame.size_hw

    # Checks.

    def _known(self, object_id: int) -> Track[A]:
        if object_id not in self._tracks:
            known = ", ".join(map(str, self.object_ids)) or "none"
            raise TrackingError(f"object {object_id} is unknown: known are {known}")
        return self._tracks[object_id]

    def _check_not_accepted(self, object_id: int, frame_index: int) -> None:
        row = None if self._store is None else self._store.mask(object_id, frame_index)
        if row is not None and row.accepted:
            raise TrackingError(
                f"object {object_id} has been accepted on frame {frame_index}, and accepted masks do not change: take "
                f"it back first, with accept({frame_index}, {object_id}, accepted=False)"
            )

    def _checked_frame_index(self, frame_index: int) -> int:
        frame_index = check_whole("frame_index", frame_index, error=PromptError)
        count = self.num_frames
        if frame_index < 0 or (count is not None and frame_index >= count):
            there = "" if count is None else f", and the video has {count}: the last is {count - 1}"
            raise TrackingError(f"frame {frame_index} does not exist: frames count from 0{there}")
        last = self._walker.position
        if self.source is not None and count is None and last is not None and frame_index < last:
            raise TrackingError(f"frame {frame_index} has passed, and this source cannot go back: the last is {last}")
        return frame_index

    def _source(self) -> FrameSource:
        if self.source is None:
            raise TrackingError("there is no source to run through: give one to Tracker(...), or call step(frame)")
        return self.source

    def _check_run(
        self, direction: str, start: int | None, stop: int | None, tracks: Mapping[int, Track[A]]
    ) -> FrameSource:
        source = self._source()
        if direction not in ("forward", "backward", "both"):
            raise TrackingError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}")
        if not self._tracks:
            raise TrackingError("nothing to track yet: say what the objects are with prompt(...) first")
        if not tracks:
            raise TrackingError("object_ids is empty: there is nothing to track")
        for object_id, track in tracks.items():
            if not track.given and not track.bank.inherited:
                raise TrackingError(f"nothing is said of object {object_id} any more: prompt it, or remove it")
        if self._is_forward_only and direction != "forward":
            raise TrackingError(f"this source has no way back, so direction must be 'forward', got {direction!r}")
        if self._is_forward_only and start is not None:
            raise TrackingError(f"this source cannot start elsewhere than it is: leave start out, got {start}")
        if start is not None:
            start = self._checked_frame_index(start)
        if direction == "both":
            firsts = [track.first_known for track in tracks.values()]
            if (start or 0) > min(firsts) or (stop is not None and stop <= max(firsts)):
                raise TrackingError(
                    f"going both ways, start and stop must enclose the objects' first prompts, on frames "
                    f"{min(firsts)} to {max(firsts)}: got start {start} and stop {stop}"
                )
        return source
