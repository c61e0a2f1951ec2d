"""Follows objects through a video: image encoder, memory attention, mask decoder, memory encoder, memory bank.

The tracker moves handles between an engine and one memory bank per object; it knows no tensors, no files and no
video format. `step` is the only way in which a frame is tracked; `run` is a loop over it. What is kept in memory is
the last frame, the banks and the prompts, so it does not grow with the video. The masks go to a store on disk, from
which memories are rebuilt when a user goes back.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from masklet.checks import check_flag, check_numbers, check_path, check_whole
from masklet.discovery.callables import DetectFunction, as_detector
from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Detector
from masklet.discovery.objects import DiscoveredObject
from masklet.engine.protocol import Engine
from masklet.errors import OutputError, PromptError, TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import VideoSource, open_source
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt, PromptFields
from masklet.records import Decoded, FloatArray, Frame, FrameMasks, FrameMemory, size_text
from masklet.tracking.checks import (
    check_discovery,
    check_frame_index,
    check_frame_number,
    check_has_memory,
    check_not_accepted,
    check_object_id,
    check_run,
    check_source,
)
from masklet.tracking.discover import continued_direction, discover
from masklet.tracking.frame_engine import FrameEngine
from masklet.tracking.grid_detector import GridDetector
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Direction as Direction
from masklet.tracking.passes import passes_of_run
from masklet.tracking.session import load_session, load_state, save_session
from masklet.tracking.state import Inheritance, TrackerState, keeps_masks
from masklet.tracking.stepper import Stepper
from masklet.tracking.track import PromptState, Selection
from masklet.tracking.tracked_video import TrackedVideo
from masklet.tracking.walker import TrackedFrame, Walker

if TYPE_CHECKING:
    from typing_extensions import Unpack

A = TypeVar("A")

MAX_UNDO = 64
"""Prompts that can be undone."""


class Tracker(TrackedVideo[A]):
    """Tracks any number of objects through one video.

    Prompts can be given for any object on any frame, before, during and after tracking; they take effect when their
    frame is reached. An object is absent from the frames before its first prompt, in the direction of tracking.

    What has been tracked is stored, run-length encoded, in a temporary file, unless the source is live. So a mask can
    be read again (`masks_at`), accepted (`accept`), and corrected: after a prompt on a frame that lies far back,
    `retrack` tracks what this prompt can change and nothing else. For its objects and masks see `TrackedVideo`.

    Args:
        engine: runs the model.
        source: what `masklet.media.open_source` takes: a path, folder of frames, camera index, URL or iterator of
            frames. None when the frames are given to `step` one by one.
        memory: rules of remembering; those that suit the engine's model when left out.
        non_overlap: assign each pixel to at most one object, the one of the highest logit.
        objects_at_once: objects in one batch. Fewer need less memory, the masks are the same.
        store: keeps the masks in place of a temporary file. Masks that it already holds count as tracked (see
            `restore_prompt`).
        edges: how mask edges are snapped to image edges; None leaves them as the model has them. Masks that are shown
            and stored have the refined edges; what is remembered is the model's own answer.

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
        check_has_memory(engine)
        opened = None if source is None else open_source(source)
        rules = MemoryConfig.for_engine(engine.info) if memory is None else memory.fitted_to(engine.info)
        kept = (store or MaskStore()) if keeps_masks(opened, rules) else None
        state: TrackerState[A] = TrackerState(opened, rules, kept, check_flag("non_overlap", non_overlap), edges)
        self._attach(engine, state, check_whole("objects_at_once", objects_at_once, least=1))
        self._owns_source, self._owns_store = opened is not source, store is None

    @classmethod
    def resume(cls, path: str | Path, engine: Engine[A], video: VideoSource | None = None) -> Tracker[A]:
        """Make a tracker that continues where a saved one was; see `masklet.resume`."""
        check_has_memory(engine)
        tracker = cls.__new__(cls)
        tracker._attach(engine, load_session(path, engine, video))
        tracker._owns_source, tracker._owns_store = tracker.source is not video, True
        return tracker

    def _attach(self, engine: Engine[A], state: TrackerState[A], objects_at_once: int = 16) -> None:
        self.engine = engine
        self._is_closed = False
        self._state = state
        self._view = FrameEngine(engine, objects_at_once)  # keeps the frame's features from one click to the next
        self._stepper = Stepper(state, self._view)
        self._walker = Walker(state, self._stepper)
        self._undo: deque[tuple[int, int, PromptState[A] | None, DiscoveredObject | None]] = deque(maxlen=MAX_UNDO)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tracker[A]:
        """Return a tracker that goes its own way from here, with the same engine and source."""
        for shared in (self.engine, self.source):
            memo.setdefault(id(shared), shared)
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied._attach(self.engine, copy.deepcopy(self._state, memo), self._view.objects_at_once)
        copied._owns_source, copied._owns_store = False, True  # the store is a copy, the source is shared
        copied._undo.extend(copy.deepcopy(list(self._undo), memo))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        raise TrackingError(
            "a tracker cannot be pickled, since its video is open: call save(path), and masklet.resume(path) in the "
            "other process"
        )

    def __repr__(self) -> str:
        if self._is_closed:
            return f"Tracker({self.engine.info.name!r}, closed)"
        video = "no video" if self.source is None else size_text(self.source.info.size_hw)
        frames = "" if self.num_frames is None else f", {self.num_frames} frames"
        return (
            f"Tracker({self.engine.info.name!r}, {video}{frames}, objects {list(self.object_ids)}, "
            f"tracked frames {self.tracked_frames}, {self.memory})"
        )

    @property
    def frame(self) -> Frame | None:
        """The frame whose masks came last, with its pixels, to draw an overlay on. None before the first."""
        return self._view.frame

    @property
    def answers(self) -> Mapping[int, Decoded[A]]:
        """The decoder's answers by object id, on the frame whose masks came last, as handles of the engine."""
        return self._stepper.answers

    # Prompting.

    def prompt(
        self,
        object_id: int = 1,
        frame_index: int = 0,
        prompt: Prompt | None = None,
        *,
        clear: bool = False,
        **fields: Unpack[PromptFields],
    ) -> None:
        """Prompt an object on one frame. It takes effect when the frame is reached, or in `preview`.

        Several prompts of one object on one frame add up: points join earlier points, and correct an earlier box,
        mask or preview. A box or mask replaces the earlier prompt.

        A prompt on a frame on which the object has been tracked corrects that frame with its memory in view; `retrack`
        takes the correction to the frames that it can change. A prompt on the frame that `run` has just yielded is
        remembered before the next frame; the frame is not yielded again (`preview` shows it).

        An object that was discovered is the user's from its first prompt on: shown, followed, and changed by prompts
        only. It leaves `discovered`, and keeps its id and class.

        Args:
            object_id: any whole number; a new one begins a new object.
            frame_index: the frame, from 0.
            prompt: what the object is; or give its fields, as in `Prompt.create`.
            clear: remove the earlier prompt of this object on this frame.
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 on the object, 0 not on it; all 1 when left out.
            box_xyxy: (4,) source pixels around the object; or (B, 4) around its parts, whose masks are joined.
            mask: (H, W) the object itself; with points, these correct it.
            previous_logits: (h, w) low-res logits that points or a box correct, in place of the last answer here.

        Raises:
            PromptError: see `Prompt.create`.
            TrackingError: the frame does not exist, has been accepted, or a source that runs once has passed it.
        """
        object_id = check_object_id(object_id)
        frame_index = check_frame_index(self._state, frame_index)
        check_not_accepted(self._state, object_id, frame_index)
        parts = self._parts(frame_index, prompt, fields)
        before = self._state.prompt_state(object_id, frame_index)
        item = self._state.claim(object_id)
        for row, part in enumerate(parts):
            self._add_prompt(object_id, frame_index, part, clear and row == 0)
        self._undo.append((object_id, frame_index, before, item))
        self._state.outdate(object_id, frame_index)

    def unprompt(self, object_id: int, frame_index: int, *, keep_memory: bool = False) -> None:
        """Remove an object's prompt on one frame; an object without any other prompt is removed, too.

        As with a prompt, `retrack` tracks what this changes.

        Args:
            object_id: the object.
            frame_index: the frame of the prompt.
            keep_memory: as the official code does: the frame stays in memory as a tracked one, and so do the object
                and all masks.

        Raises:
            TrackingError: the object has not been prompted on this frame, or the frame has been accepted.
        """
        object_id, frame_index = check_object_id(object_id), check_frame_number(frame_index)
        track = self._state.track(object_id)
        if frame_index not in track.prompts:
            raise TrackingError(f"object {object_id} has not been prompted on frame {frame_index}")
        check_not_accepted(self._state, object_id, frame_index)
        self._undo.append((object_id, frame_index, track.prompts[frame_index], None))
        if keep_memory:
            track.count_as_tracked(frame_index)
        else:
            self._replace_prompt(object_id, frame_index, None)

    def restore_prompt(self, object_id: int, frame_index: int, prompt: Prompt, *, initial: bool) -> None:
        """Add a prompt that was given in another process, whose masks are in the store; they stay as they are.

        Args:
            object_id: the object.
            frame_index: the frame.
            prompt: the prompt, as `prompts` had it.
            initial: the object had not been tracked on this frame when the prompt was given.
        """
        object_id, frame_index = check_object_id(object_id), check_frame_number(frame_index)
        state: PromptState[A] = PromptState(prompt, check_flag("initial", initial))
        self._state.track_or_new(object_id).prompts[frame_index] = state

    def choose(self, object_id: int, frame_index: int, candidate: int) -> None:
        """Select another of the candidates shown by `preview`: tracking then starts from it.

        Args:
            object_id: the object.
            frame_index: the frame of the prompt.
            candidate: 0 is the one of the highest IoU prediction, which `preview` selects by itself.

        Raises:
            TrackingError: the prompt has not been answered by `preview`, or with fewer candidates.
        """
        object_id, frame_index = check_object_id(object_id), check_frame_number(frame_index)
        prompt = self._state.track(object_id).prompts.get(frame_index)
        if prompt is None or prompt.answer is None or not prompt.is_answered:
            raise TrackingError(f"object {object_id} has no candidates on frame {frame_index}: call preview first")
        prompt.choose(check_whole("candidate", candidate, error=TrackingError))

    def undo(self) -> tuple[int, int] | None:
        """Undo the last `prompt` or `unprompt`, up to 64 of them.

        Returns:
            The object id and the frame index of what was undone; None when there is nothing to undo.
        """
        while self._undo:
            object_id, frame_index, before, item = self._undo.pop()
            if object_id not in self._state.tracks and before is None:
                continue  # the object has been removed since
            if item is not None and object_id in self._state.tracks:
                self._state.disclaim(item)
            self._replace_prompt(object_id, frame_index, before)
            return object_id, frame_index
        return None

    def preview(self, frame_index: int = 0) -> FrameMasks:
        """Return the masks that the prompts on one frame give, for the objects prompted there. Memory stays as it is.

        Tracking then starts from what is shown, and further points correct it.

        Raises:
            TrackingError: no object is prompted on this frame.
            VideoError: the frame cannot be read, or a source that runs once has passed it.
        """
        frame_index = check_frame_number(frame_index)
        prompted = [object_id for object_id, track in self._state.tracks.items() if frame_index in track.prompts]
        if not prompted:
            raise TrackingError(f"no object is prompted on frame {frame_index}: call prompt(...) first")
        return self._stepper.preview(frame_index, self._state.direction, prompted)

    def decode_prompt(self, object_id: int, frame_index: int) -> Selection[A]:
        """Return the decoder's answer to one object's prompt on a frame. As `preview`, but no mask is rendered.

        Raises:
            TrackingError: the object is not prompted on this frame.
            VideoError: as `preview`.
        """
        object_id, frame_index = check_object_id(object_id), check_frame_number(frame_index)
        if frame_index not in self._state.track(object_id).prompts:
            raise TrackingError(f"object {object_id} is not prompted on frame {frame_index}: call prompt(...) first")
        return self._stepper.decode_prompts(frame_index, self._state.direction, [object_id])[object_id]

    # Tracking.

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None, *, direction: int = 1) -> FrameMasks:
        """Track all objects on one frame.

        Args:
            frame: the next frame, in the direction of tracking; gaps are allowed.
            prompts: by object id, in addition to those given by `prompt`.
            direction: 1 forward, -1 backward.

        Returns:
            The masks of all objects known at this frame; empty if no object has been prompted here or earlier.

        Raises:
            PromptError: a prompt does not fit the frame.
        """
        if check_whole("direction", direction, error=TrackingError) not in (1, -1):
            raise TrackingError(f"direction must be 1 (forward) or -1 (backward), got {direction!r}")
        for object_id, prompt in (prompts or {}).items():
            checked_id, fitted = check_object_id(object_id), prompt.fitted(frame.size_hw)
            self._state.claim(checked_id)
            self._add_prompt(checked_id, frame.index, fitted, clear=False)
        return self._walker.track_frame(frame, int(direction), self._state.tracks).masks()

    def run(
        self,
        direction: Direction = "forward",
        *,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> Iterator[FrameMasks]:
        """Track through the source, frame by frame, as the results are consumed.

        `forward` goes from the earliest prompted frame to the end, `backward` from the latest one to frame 0.
        `both` goes outwards from each object's first prompt: first the earlier frames, descending, then all from the
        earliest prompt on, ascending; every frame comes once, with all of its objects.

        Accepted masks are shown and remembered as they are. So are the stored masks of objects that are not tracked
        here. Close the generator to stop, or call `cancel` from another thread.

        Args:
            direction: 'forward', 'backward' or 'both'.
            start: first frame of the run: the highest when going backward, the lowest when going both ways. Prompts
                that lie before it are remembered first, unless they have been already.
            stop: the run ends before this frame, as in `range`.
            object_ids: objects to track. All when left out, those included that are added meanwhile.

        Yields:
            The masks of each frame. If the source breaks off, its `VideoError` comes after the frames before it.

        Raises:
            TrackingError: no object is prompted, the frames do not exist, or a live source is to go backward or to
                start elsewhere than it is.
        """
        return _masks(self._start(direction, start, stop, object_ids))

    def run_rows(
        self,
        direction: Direction = "forward",
        *,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> Iterator[tuple[int, list[MaskRow]]]:
        """Track as `run` does, and yield each frame's index and all its rows as they are stored.

        It saves time where nobody looks at pixels: masks of objects that are not tracked are not decoded. Rows of
        hidden objects and outdated rows (`MaskRow.stale`) are among them.
        """
        return _rows(self._start(direction, start, stop, object_ids))

    def _start(
        self, direction: Direction, start: int | None, stop: int | None, object_ids: Iterable[int] | None
    ) -> Iterator[TrackedFrame]:
        state = self._state
        ids = None if object_ids is None else tuple(check_object_id(object_id) for object_id in object_ids)
        start = None if start is None else check_frame_number(start, "start")
        stop = None if stop is None else check_whole("stop", stop, error=TrackingError)
        tracks = {object_id: state.track(object_id) for object_id in (state.not_ended() if ids is None else ids)}
        source = check_run(state, direction, start, stop, tracks)
        if state.is_forward_only and state.position is not None:
            start = max(min(track.first_trackable for track in tracks.values()), state.position + 1)
        state.passes = passes_of_run(
            direction, list(tracks.values()), state.num_frames, start=start, stop=stop, object_ids=ids
        )
        return self._walker.run(source)

    def proceed(self) -> Iterator[FrameMasks]:
        """Continue the last `run` where it was interrupted: closed, cancelled, broken off, or saved and resumed.

        Yields nothing when that run had come to its end.

        Raises:
            TrackingError: there is no source.
        """
        return _masks(self._walker.run(check_source(self._state)))

    def discover(
        self,
        detector: Detector | DetectFunction | None = None,
        *,
        config: DiscoveryConfig | None = None,
        direction: Direction | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[FrameMasks]:
        """Find objects and track them, with ids that last, frame by frame as the results are consumed.

        An object is shown once it is confirmed: it was detected on several key frames. Its earlier masks are in
        `masks_at` then. What is known of each object is in `discovered`. Objects that were prompted are tracked as
        well. A discovery that was interrupted, or whose session was resumed, continues where it was, with its ids,
        also in the middle of following objects back.

        Args:
            detector: finds objects on key frames: a function from (H, W, 3) RGB to boxes or masks, scores and labels
                (see `masklet.discovery.DetectFunction`), or a `Detector`. When left out, the model itself is asked
                with a grid of clicks, where nothing is tracked.
            config: the rules; those of the session that is continued, or the defaults, when left out.
            direction: 'forward', or 'both': objects that come in later are then followed back from there. The
                frames before them come a second time, descending. When left out: that of the discovery that is
                continued, or else 'forward'. An explicit 'forward' no longer follows objects back.
            start: first frame; 0, or the frame after the last one of an earlier discovery, when left out. An earlier
                frame searches again, by other rules for example; objects that were found before keep their ids.
            stop: the run ends before this frame, as in `range`. When left out: the end of the video, or that of a
                discovery that is continued before it has reached its `stop`.

        Yields:
            The masks of each frame, confirmed objects only.

        Raises:
            TrackingError: there is no source, the frames do not exist, or a live source is to go back.
            DataError: the detector's answer cannot be read; the frame is named.
        """
        return _masks(self._discover(detector, config, direction, start, stop))

    def discover_rows(
        self,
        detector: Detector | DetectFunction | None = None,
        *,
        config: DiscoveryConfig | None = None,
        direction: Direction | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[tuple[int, list[MaskRow]]]:
        """Discover as `discover` does, and yield each frame's index and all its rows, those of hidden objects too."""
        return _rows(self._discover(detector, config, direction, start, stop))

    def _discover(
        self,
        detector: Detector | DetectFunction | None,
        config: DiscoveryConfig | None,
        direction: Direction | None,
        start: int | None,
        stop: int | None,
    ) -> Iterator[TrackedFrame]:
        state = self._state
        direction = continued_direction(state) if direction is None else direction
        start = None if start is None else check_frame_number(start, "start")
        stop = None if stop is None else check_whole("stop", stop, error=TrackingError)
        source = check_discovery(state, direction, start, stop)
        asked = GridDetector(self._view) if detector is None else as_detector(detector)
        return discover(state, self._walker, asked, source, config=config, direction=direction, start=start, stop=stop)

    def retrack(self) -> Iterator[FrameMasks]:
        """Track again what prompts that were given or undone since can change, and only that.

        a) Of each object whose prompts on a frame have changed: that frame, and outwards from it the frames that were
           tracked from its side, up to the next one that is prompted or accepted. From there on that frame says what
           the object is. Frames that were tracked from the other side do not depend on the correction and stay.
        b) An object that is new is tracked from its first prompt on as far as others have been.
        Other objects' masks are kept. Going back, recent memories are rebuilt from the stored masks.

        Yields:
            The masks of each frame on which some object was tracked again, with all objects; forward, then backward.

        Raises:
            TrackingError: there is no source, or a live one, which cannot go back.
        """
        return _masks(self._start_again())

    def retrack_rows(self) -> Iterator[tuple[int, list[MaskRow]]]:
        """Track again as `retrack` does, and yield each frame's index and its rows, as in `run_rows`."""
        return _rows(self._start_again())

    def _start_again(self) -> Iterator[TrackedFrame]:
        source, store = check_source(self._state), self._state.store
        if store is None:
            raise TrackingError("this source cannot go back, so nothing can be tracked again: continue with run()")
        return self._walker.retrack(source, store)

    def cancel(self) -> None:
        """Stop `run` or `retrack` after the current frame. Can be called from any thread."""
        self._walker.cancel()

    # Objects, sessions.

    def adopt(self, other: Tracker[A] | str | Path, object_id: int, *, new_id: int | None = None) -> int:
        """Inherit another tracker's memory of an object, its name and class: the same product or animal, filmed again.

        The object is known from the first frame on, in either direction, by its appearance on the other video's
        prompted frames. Prompts given here come before those.

        Args:
            other: a tracker with the same model, or a session file.
            object_id: id of the object there.
            new_id: its id here; the same when left out.

        Returns:
            Its id here.

        Raises:
            TrackingError: the object is unknown there, or its id is taken here.
            SessionError: the file is damaged, or of another model.
        """
        object_id = check_object_id(object_id)
        inherited = self._inheritance_of(other, object_id)
        own_id = object_id if new_id is None else check_object_id(new_id, "new_id")
        if own_id in self._state.tracks:
            raise TrackingError(f"object {own_id} exists here already: give the adopted one another new_id")
        track = self._state.track_or_new(own_id)
        track.name, track.class_name, track.bank.inherited = inherited.name, inherited.class_name, inherited.memories
        return own_id

    def reset(self) -> None:
        """Forget all objects. The source stays open; a live one continues from where it is."""
        self._undo.clear()
        self._state.clear()

    def close(self) -> None:
        """Close the video that this tracker opened, and its temporary file of masks; it cannot be used afterwards.

        A source or a store that the caller gave stays open. A tracker may be closed twice.
        """
        self._is_closed = True
        if self._owns_source and self._state.source is not None:
            self._state.source.close()
        if self._owns_store and self._state.store is not None:
            self._state.store.close()

    def __enter__(self) -> Tracker[A]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write everything into one file, from which `masklet.resume` continues in another process.

        Raises:
            OutputError: it cannot be written; a file that was there before stays.
        """
        return save_session(self.engine, self._state, Path(check_path("path", path, error=OutputError)))

    # Helpers.

    def _parts(self, frame_index: int, prompt: Prompt | None, fields: PromptFields) -> list[Prompt]:
        """Return the prompts that one call of `prompt` consists of, to be added one after the other."""
        source = self.source
        size_hw = None if source is None else source.info.size_hw
        if source is None and self.frame is not None and self.frame.index == frame_index:
            size_hw = self.frame.size_hw
        boxes = _several_boxes(fields.get("box_xyxy"))
        if boxes is None:
            return Prompt.of(prompt, fields, size_hw=size_hw).in_order()
        joined = Prompt.create(mask=self._stepper.joined_boxes(frame_index, boxes), size_hw=size_hw)
        rest: PromptFields = {**fields, "box_xyxy": None}
        if all(value is None for value in rest.values()):
            return [joined]
        return [joined, *Prompt.of(prompt, rest, size_hw=size_hw).in_order()]

    def _add_prompt(self, object_id: int, frame_index: int, prompt: Prompt, clear: bool) -> None:
        track = self._state.track_or_new(object_id)
        earlier = track.prompts.get(frame_index)
        if earlier is None or clear or prompt.box_xyxy is not None or prompt.mask is not None:
            initial = not self._state.was_tracked(object_id, frame_index) if earlier is None else earlier.initial
            track.prompts[frame_index] = PromptState(prompt, initial)
        else:
            track.prompts[frame_index] = earlier.with_points(prompt, self.engine.info.low_res_size)

    def _replace_prompt(self, object_id: int, frame_index: int, prompt: PromptState[A] | None) -> None:
        """Put an earlier prompt, or none, in the place of an object's prompt on a frame."""
        track = self._state.track_or_new(object_id)
        track.restore_prompt(frame_index, prompt)
        if track.can_be_tracked or object_id not in self._state.not_ended():
            self._state.outdate(object_id, frame_index)
        else:
            self._state.remove(object_id)

    def _inheritance_of(self, other: Tracker[A] | str | Path, object_id: int) -> Inheritance[A]:
        """Return what another tracker or a session file remembers of an object, as handles of this engine."""
        if not isinstance(other, Tracker):
            return load_state(other, self.engine).inheritance(object_id)
        if other.engine.info.name != self.engine.info.name:
            raise TrackingError(
                f"the other tracker runs {other.engine.info.name}, this one {self.engine.info.name}: memories of one "
                "model mean nothing to another"
            )
        inherited = other._state.inheritance(object_id)
        if other.engine is not self.engine:
            move: Callable[[A], A] = lambda handle: self.engine.from_numpy(other.engine.to_numpy(handle))  # noqa: E731
            moved = (FrameMemory(move(memory.spatial), move(memory.pointer)) for memory in inherited.memories)
            inherited = replace(inherited, memories=tuple(moved))
        return inherited


def _several_boxes(box_xyxy: ArrayLike | None) -> FloatArray | None:
    """Return (B, 4) boxes if there is more than one; None for one box, or none."""
    if box_xyxy is None:
        return None
    boxes = check_numbers("box_xyxy", box_xyxy, "(4,) or (B, 4) numbers", error=PromptError)
    return np.asarray(boxes, np.float32) if boxes.ndim == 2 and len(boxes) > 1 else None


def _masks(outputs: Iterator[TrackedFrame]) -> Iterator[FrameMasks]:
    for output in outputs:
        yield output.masks()


def _rows(outputs: Iterator[TrackedFrame]) -> Iterator[tuple[int, list[MaskRow]]]:
    for output in outputs:
        yield output.tracked.frame_index, output.rows()
