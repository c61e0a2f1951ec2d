"""The state of a tracker: everything that prompts and tracking change, in one place.

`Tracker`, `Walker` and `Stepper` work on one `TrackerState`, and a session file is one that was written down. The state
knows no engine: it holds an engine's handles, and never looks inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from masklet.discovery.objects import DiscoveredObject
from masklet.discovery.population import Population
from masklet.errors import TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import FrameSource
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.records import FrameMemory
from masklet.tracking.collisions import CollisionGuard
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Pass
from masklet.tracking.shot_cuts import ShotCutDetector
from masklet.tracking.track import Hypothesis, PromptState, Track

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Inheritance(Generic[A]):
    """What a tracker takes over of an object of another one."""

    memories: tuple[FrameMemory[A], ...]
    """Those of its prompted frames."""
    name: str
    class_name: str


@dataclass(slots=True)
class TrackerState(Generic[A]):
    """Settings, objects, stored masks and position of one tracker."""

    source: FrameSource | None
    """The video; None when frames are given one by one."""
    memory: MemoryConfig
    store: MaskStore | None
    """Keeps the masks; None keeps none. See `keeps_masks`."""
    non_overlap: bool = False
    """Assign each pixel to at most one object, by logit."""
    edges: EdgeConfig | None = None
    """Settings of edge refinement for shown masks; None leaves the edges as the model has them."""

    tracks: dict[int, Track[A]] = field(default_factory=dict)
    """Tracks by object id, in the order in which the objects were added."""
    collisions: CollisionGuard = field(default_factory=CollisionGuard)
    shot_cuts: ShotCutDetector = field(default_factory=ShotCutDetector)
    passes: list[Pass] = field(default_factory=list)
    """Remaining passes of the last run, the current one first."""
    position: int | None = None
    """The last frame that was tracked."""
    direction: int = 1
    """Tracking direction of that frame: 1 forward, -1 backward."""
    population: Population | None = None
    """The objects that were discovered; None if nobody asked for any."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Values that a program stores in the session file for itself, as JSON can hold them."""

    @property
    def num_frames(self) -> int | None:
        """Frames of the source; None where that is not known, as for a camera."""
        return None if self.source is None else self.source.info.num_frames

    @property
    def is_forward_only(self) -> bool:
        """True for cameras, streams and iterators, which have no length and cannot go back."""
        return self.num_frames is None

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of all objects, ascending."""
        return tuple(sorted(self.tracks))

    # Objects.

    def track(self, object_id: int) -> Track[A]:
        """Return the track of an object.

        Raises:
            TrackingError: the object is unknown.
        """
        if object_id not in self.tracks:
            known_ids = ", ".join(map(str, self.object_ids)) or "none"
            raise TrackingError(f"object {object_id} is unknown: known are {known_ids}")
        return self.tracks[object_id]

    def track_or_new(self, object_id: int) -> Track[A]:
        """Return the track of an object, and start one if the object is new."""
        if object_id not in self.tracks:
            self.tracks[object_id] = Track([Hypothesis(MemoryBank(self.memory))])
        return self.tracks[object_id]

    def known_ids(self, object_ids: Iterable[int]) -> list[int]:
        """Return those of the ids that belong to an object, in their order."""
        return [object_id for object_id in object_ids if object_id in self.tracks]

    def not_ended(self) -> list[int]:
        """Return the ids of all objects but those whose track discovery has ended, in the order of the tracks."""
        objects = {} if self.population is None else self.population.objects
        return [i for i in self.tracks if i not in objects or objects[i].state != "ended"]

    def claim(self, object_id: int) -> DiscoveredObject | None:
        """Make a discovered object the user's: it is shown and followed, and discovery does not change it any more.

        Returns:
            What discovery knew of it; None if it was the user's already.
        """
        item = None if self.population is None else self.population.objects.pop(object_id, None)
        if item is not None and item.state == "tentative":
            self.tracks[object_id].hidden = False
        return item

    def disclaim(self, item: DiscoveredObject) -> None:
        """Hand an object back to discovery, as it was before `claim`."""
        assert self.population is not None
        self.population.objects[item.object_id] = item
        if item.state == "tentative":
            self.tracks[item.object_id].hidden = True

    def prompt_state(self, object_id: int, frame_index: int) -> PromptState[A] | None:
        """Return the prompt of an object on a frame; None if there is none."""
        track = self.tracks.get(object_id)
        return None if track is None else track.prompts.get(frame_index)

    def remove(self, object_id: int) -> None:
        """Forget an object and its masks."""
        del self.tracks[object_id]
        self.collisions.forget(object_id)
        if self.population is not None:
            self.population.objects.pop(object_id, None)
            self.population.others.pop(object_id, None)
        if self.store is not None:
            self.store.forget(object_id)

    def clear(self) -> None:
        """Forget all objects and masks."""
        self.tracks.clear()
        self.collisions.clear()
        self.population = None
        if self.store is not None:
            self.store.forget()

    def inheritance(self, object_id: int) -> Inheritance[A]:
        """Return what another tracker inherits of an object: prompted memories, name and class.

        Raises:
            TrackingError: the object is unknown, or nothing is remembered of it.
        """
        if object_id not in self.tracks:
            known_ids = ", ".join(map(str, self.object_ids)) or "none"
            raise TrackingError(f"object {object_id} is unknown there: known are {known_ids}")
        track = self.tracks[object_id]
        memories = track.bank.prompted_memories
        if not memories:
            raise TrackingError(f"nothing is remembered of object {object_id} yet: track it first")
        return Inheritance(memories, track.name, track.class_name)

    # Stored masks.

    def stored(self, object_id: int, frame_index: int) -> MaskRow | None:
        """Return the stored mask of an object on a frame; None if there is none."""
        return None if self.store is None else self.store.mask(object_id, frame_index)

    def is_accepted(self, object_id: int, frame_index: int) -> bool:
        """Return True if a user has accepted the stored mask of an object on a frame."""
        row = self.stored(object_id, frame_index)
        return row is not None and row.accepted

    def was_tracked(self, object_id: int, frame_index: int) -> bool:
        """Return True if an object has been tracked on a frame, as far as is remembered."""
        return self.stored(object_id, frame_index) is not None or self.tracks[object_id].has_tracked(frame_index)

    def visible(self, rows: Iterable[MaskRow]) -> list[MaskRow]:
        """Return the rows that are up to date and belong to an object that is known and not hidden."""
        return [
            row
            for row in rows
            if not row.stale and row.object_id in self.tracks and not self.tracks[row.object_id].hidden
        ]

    def outdate(self, object_id: int, frame_index: int) -> None:
        """Mark what was tracked with other prompts on this frame as outdated."""
        if self.store is None or not self.was_tracked(object_id, frame_index):
            return
        track = self.tracks[object_id]
        for stale in self.store.outdate(object_id, frame_index, track.prompts):
            if self.memory.corrections_stay:  # the official code still reads what a correction has outdated
                track.forget_tracked(stale.first, stale.last)


def keeps_masks(source: FrameSource | None, memory: MemoryConfig) -> bool:
    """Return True if a tracker needs a mask store: its source can go back, and its memory does not keep every frame."""
    return source is not None and source.info.num_frames is not None and memory.retention != "all"
