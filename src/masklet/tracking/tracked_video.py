"""What is known of a video that is tracked: its objects, their prompts, masks and classes."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from masklet.checks import check_flag, check_whole
from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.objects import DiscoveredObject
from masklet.errors import TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import FrameSource
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import FrameMasks
from masklet.tracking.checks import check_frame_number, check_object_id
from masklet.tracking.mask_rows import from_rows
from masklet.tracking.state import TrackerState
from masklet.tracking.suggestions import Suggestion, suggest

A = TypeVar("A")


class TrackedVideo(Generic[A]):
    """The objects of one video with everything that is known of them; `Tracker` adds prompting and tracking.

    A tracker is made by `Model.tracker` or `masklet.resume`, and is one of these.
    """

    _state: TrackerState[A]

    @property
    def source(self) -> FrameSource | None:
        """The opened source; None when frames are given to `step`."""
        return self._state.source

    @property
    def memory(self) -> MemoryConfig:
        """Rules of remembering."""
        return self._state.memory

    @property
    def non_overlap(self) -> bool:
        """True if each pixel is assigned to at most one object."""
        return self._state.non_overlap

    @property
    def notes(self) -> dict[str, Any]:
        """Values that a program stores in the session file for itself, as JSON can hold them."""
        return self._state.notes

    @property
    def edges(self) -> EdgeConfig | None:
        """Settings of edge refinement, None for none; they can be changed between two frames."""
        return self._state.edges

    @edges.setter
    def edges(self, edges: EdgeConfig | None) -> None:
        self._state.edges = edges

    @property
    def num_frames(self) -> int | None:
        """Frames of the source; None where that is not known, as for a camera."""
        return self._state.num_frames

    # Objects.

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects that have been prompted, ascending."""
        return self._state.object_ids

    @property
    def names(self) -> dict[int, str]:
        """Names of the objects by id; objects without a name are left out."""
        tracks = self._state.tracks
        return {object_id: tracks[object_id].name for object_id in self.object_ids if tracks[object_id].name}

    @property
    def class_names(self) -> dict[int, str]:
        """Classes of the objects by id, such as "person"; objects without a class are left out."""
        tracks = self._state.tracks
        return {i: tracks[i].class_name for i in self.object_ids if tracks[i].class_name}

    @property
    def discovered(self) -> dict[int, DiscoveredObject]:
        """The objects that `discover` has found, by id, also tentative ones, but none that a user has prompted."""
        population = self._state.population
        return {} if population is None else dict(population.objects)

    @property
    def discovery_config(self) -> DiscoveryConfig | None:
        """The rules of `discover`; None before the first."""
        return None if self._state.population is None else self._state.population.config

    @property
    def discovered_frames(self) -> tuple[int, int] | None:
        """The first and the last frame on which `discover` has followed objects; None before the first."""
        population = self._state.population
        if population is None or population.first_frame is None or population.last_frame is None:
            return None
        return population.first_frame, population.last_frame

    @property
    def num_refused(self) -> int:
        """Detections that started no track because `DiscoveryConfig.max_objects` were tracked."""
        return 0 if self._state.population is None else self._state.population.num_refused

    @property
    def prompts(self) -> dict[int, dict[int, Prompt]]:
        """The prompts that count, by frame index and object id."""
        by_frame: dict[int, dict[int, Prompt]] = {}
        for object_id in self.object_ids:
            for frame_index, state in self._state.tracks[object_id].prompts.items():
                by_frame.setdefault(frame_index, {})[object_id] = state.prompt
        return by_frame

    def remove(self, object_id: int) -> None:
        """Remove an object with its prompts and masks; its id can be used again.

        Raises:
            TrackingError: the object is unknown.
        """
        object_id = check_object_id(object_id)
        self._state.track(object_id)
        self._state.remove(object_id)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name, for people and for exports.

        Raises:
            TrackingError: the object is unknown.
        """
        self._state.track(check_object_id(object_id)).name = str(name)

    def classify(self, object_id: int, class_name: str) -> None:
        """Give an object a class, such as "person", for people and for exports.

        Raises:
            TrackingError: the object is unknown.
        """
        self._state.track(check_object_id(object_id)).class_name = str(class_name)

    def hide(self, object_id: int, hidden: bool = True) -> None:
        """Leave an object out of the masks that are shown; it is tracked and stored all the same.

        Raises:
            TrackingError: the object is unknown.
        """
        self._state.track(check_object_id(object_id)).hidden = check_flag("hidden", hidden)

    # What has been tracked.

    def masks_at(self, frame_index: int) -> FrameMasks | None:
        """Return what has been tracked on a frame; None when nothing has, or when the source is live.

        Masks that a later prompt has outdated are left out until they have been tracked again.
        """
        state, frame_index = self._state, check_frame_number(frame_index)
        rows = [] if state.store is None else state.store.frame(frame_index)
        if state.source is None or not rows:
            return None
        return from_rows(frame_index, rows[0].time_s, state.visible(rows), state.source.info.size_hw)

    @property
    def tracked_frames(self) -> tuple[int, int] | None:
        """The first and the last frame of which masks are stored."""
        return None if self._state.store is None else self._state.store.frames()

    def accept(self, frame_index: int | range, object_id: int | None = None, *, accepted: bool = True) -> None:
        """Mark masks as good: tracking shows and remembers them as they are, and does not track them again.

        Args:
            frame_index: a frame, or a range of them.
            object_id: the object; all objects there when left out.
            accepted: False withdraws the mark.

        Raises:
            TrackingError: nothing has been tracked there, or a prompt has outdated it, or the source is live.
        """
        store = self._state.store
        accepted = check_flag("accepted", accepted)
        if object_id is not None:
            object_id = check_object_id(object_id)
            self._state.track(object_id)
        if store is None:
            raise TrackingError("this source keeps no masks, so none can be accepted: track a file")
        if not isinstance(frame_index, range):
            frame_index = check_frame_number(frame_index)
            frame_index = range(frame_index, frame_index + 1)
        frames = frame_index
        if not sum([store.accept(index, object_id, accepted) for index in frames]):
            where = f"frame {frames[0]}" if len(frames) == 1 else str(frames)
            raise TrackingError(f"nothing that is up to date on {where} can be accepted: track it first")

    def suggest_frames(self, count: int = 5) -> list[Suggestion]:
        """Return the tracked frames on which a click would help most, the most useful first, diverse in time.

        Frames that are prompted or accepted are not among them.
        """
        count = check_whole("count", count, least=0, error=TrackingError)
        return [] if self._state.store is None else suggest(self._state.store.scores(), count)

    @property
    def is_interrupted(self) -> bool:
        """True if the last `run` or `discover` has frames to come, which `proceed` or `discover` continues with."""
        return any(not planned.is_over(self._state.num_frames) for planned in self._state.passes)

    def is_to_come(self, frame_index: int) -> bool:
        """Return True if `proceed` would still show this frame."""
        frame_index = check_frame_number(frame_index)
        return any(planned.shows(frame_index) for planned in self._state.passes)
