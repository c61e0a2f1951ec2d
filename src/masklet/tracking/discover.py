"""Tracks what nobody prompted: asks a detector on key frames, and does what the rules of discovery decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Detection, Detector, RecordedDetector
from masklet.discovery.objects import Decisions, DiscoveredObject, ExpectedMask, TrackedMask
from masklet.discovery.population import Population
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.overlap import pair_iou, reduced
from masklet.media.source import FrameSource
from masklet.prompts import Prompt
from masklet.records import BoolArray, Frame, FrameMasks
from masklet.tracking.grid_detector import GridDetector
from masklet.tracking.mask_rows import take, to_rows
from masklet.tracking.passes import Direction, Pass
from masklet.tracking.state import TrackerState
from masklet.tracking.track import PromptState
from masklet.tracking.walker import TrackedFrame, Walker

A = TypeVar("A")

LEAST_BOX_IOU = 0.3
"""A box in which the model finds a mask of another extent shows no object that it can follow."""


def discover(
    state: TrackerState[A],
    walker: Walker[A],
    detector: Detector | GridDetector[A],
    source: FrameSource,
    *,
    config: DiscoveryConfig | None,
    direction: Direction,
    start: int | None,
    stop: int | None,
) -> Iterator[TrackedFrame]:
    """Find and track objects, as `Tracker.discover` explains."""
    population = state.population
    if population is None:
        population = state.population = Population(config or DiscoveryConfig())
    elif config is not None:
        population.config = config
    discoverer = Discoverer(state, walker, detector)
    goes_back = direction == "both"
    is_back_pass_left = any(planned.discovers and planned.direction < 0 for planned in state.passes)
    if start is not None or not (goes_back and is_back_pass_left):
        start, stop = _forward_range(state, population, start, stop)
        population.begin(start, stop, goes_back=goes_back)
        state.passes = [Pass(1, start, stop, discovers=True)]
        yield from discoverer.follow(walker.run(source, discoverer.active))
        if state.passes or not goes_back:
            return
        if (planned := backward_pass(state, population)) is not None:
            state.passes = [planned]
    yield from walker.run(source, discoverer.active_backward)


def continued_direction(state: TrackerState[Any]) -> Direction:
    """Return the direction of the discovery that a call without one continues; forward if there is none."""
    goes_back = state.population is not None and state.population.goes_back and not state.is_forward_only
    return "both" if goes_back else "forward"


def _forward_range(
    state: TrackerState[Any], population: Population, start: int | None, stop: int | None
) -> tuple[int, int | None]:
    """Return where the forward pass starts and stops: without a first frame, it continues up to the same end."""
    if start is not None:
        return start, stop
    start = 0 if population.last_frame is None else population.last_frame + 1
    if state.is_forward_only and state.position is not None:
        start = max(start, state.position + 1)
    if stop is None and population.stop is not None and start < population.stop:
        stop = population.stop
    return start, stop


class Discoverer(Generic[A]):
    """Finds objects while a walker tracks those that are there.

    Objects that a user prompted are tracked as well. Their pixels count as covered, and nothing else is done to them.

    Args:
        state: the tracker's state, with the population of discovered objects.
        walker: tracks objects on frames of the same state.
        detector: is asked on key frames. One that lists frames (`RecordedDetector`) is asked on these only.
    """

    def __init__(self, state: TrackerState[A], walker: Walker[A], detector: Detector | GridDetector[A]) -> None:
        assert state.population is not None
        self._state = state
        self._population: Population = state.population
        self._walker = walker
        self._detector = detector
        self._listed = detector.key_frames if isinstance(detector, RecordedDetector) else None
        self._present: set[int] = set()  # on the last key frame
        self._num_refused = 0  # up to the last key frame

    def active(self, frame_index: int) -> list[int]:
        """Return the ids of the objects to track on every frame."""
        objects = self._population.objects
        return [i for i in self._state.tracks if i not in objects or objects[i].is_followed]

    def active_backward(self, frame_index: int) -> list[int]:
        """Return the ids of the objects to follow back to a frame: born later, and not long out of sight on the way."""
        objects, planned = self._population.objects, self._state.passes[0].object_ids or ()
        return [
            object_id
            for object_id in self._state.known_ids(planned)
            if frame_index < _birth(self._state, object_id)
            and not (object_id in objects and self._is_out_of_sight(objects[object_id], frame_index))
        ]

    def _is_out_of_sight(self, item: DiscoveredObject, frame_index: int) -> bool:
        """Return True if an object that is followed back was absent for `max_absence` frames."""
        store = self._state.store
        later = range(frame_index + 1, frame_index + 1 + self._population.config.max_absence)
        if store is None or later.stop > item.first_frame:
            return False
        rows = [store.mask(item.object_id, index) for index in later]
        return all(row is None or row.object_score <= 0 for row in rows)

    def follow(self, outputs: Iterator[TrackedFrame]) -> Iterator[TrackedFrame]:
        """Yield the walker's outputs with what is discovered on their frames; at the end decide what is left open."""
        for output in outputs:
            yield self._on_frame(output)
        if not self._state.passes:
            self._apply(self._population.finish(), None)

    def _on_frame(self, output: TrackedFrame) -> TrackedFrame:
        population, tracked = self._population, output.tracked
        present = [i for row, i in enumerate(tracked.object_ids) if tracked.masks[row].any()]
        present += [row.object_id for row in output.others if row.accepted and row.mask.any()]
        population.note_present(tracked.frame_index, present)
        population.rest(tracked.frame_index)
        if not self._is_key_frame(tracked):
            return output
        frame = self._walker.frame
        assert frame is not None
        absent = self._state.known_ids(population.absent())
        masks = _tracked_masks(tracked, self._walker.expected_masks())
        if absent:
            masks += _tracked_masks(self._walker.look(frame, absent), self._walker.expected_masks())
        others = [row for row in self._state.visible(output.others) if row.object_id not in absent]
        masks += [TrackedMask(row.object_id, row.mask, 1.0, is_sure=True) for row in others]
        labels = {object_id: item.label for object_id, item in population.objects.items()}
        population.next_id = max([population.next_id, *(object_id + 1 for object_id in self._state.tracks)])
        decisions = population.observe(frame.index, masks, self._detect(frame, masks), frame.size_hw)
        prompted_ids = {object_id for object_id, _ in decisions.corrected}
        returned = [
            i for i in absent if i in population.objects and population.objects[i].is_followed and i not in prompted_ids
        ]
        parts = [self._walker.track_frame(frame, 1, returned).tracked] if returned else []
        if (prompted := self._apply(decisions, frame)) is not None:
            parts.append(prompted)
        self._classify(labels)
        population.uncovered = self._uncovered([output.tracked, *parts])
        return self._combined(output, parts)

    def _uncovered(self, parts: Sequence[FrameMasks]) -> float:
        """Return the fraction of the frame outside all masks of objects that are still tracked.

        Args:
            parts: masks of the frame; later ones replace earlier ones of the same object.
        """
        tracked = set(self.active(parts[0].frame_index))
        masks = {i: masks.masks[row] for masks in parts for row, i in enumerate(masks.object_ids) if i in tracked}
        return 1.0 - float(np.any([reduced(mask) for mask in masks.values()], axis=0).mean()) if masks else 1.0

    def _is_key_frame(self, tracked: FrameMasks) -> bool:
        population, listed = self._population, self._listed
        if listed is None and self._is_last(tracked.frame_index) and population.has_single_detections():
            return True  # the last chance to tell an object that has just come in from a mistake
        if listed is None or isinstance(listed, range):
            return population.is_key_frame(tracked.frame_index, lambda: self._uncovered([tracked]))
        return tracked.frame_index in listed or population.is_key_frame(tracked.frame_index)

    def _is_last(self, frame_index: int) -> bool:
        ends = [planned.stop for planned in self._state.passes[:1]] + [self._state.num_frames]
        return frame_index + 1 == min((end for end in ends if end is not None), default=None)

    def _classify(self, before: Mapping[int, str]) -> None:
        """Give the tracks the labels of their objects, unless a user has given them another class.

        Args:
            before: the labels before the key frame, by object id.
        """
        for object_id, item in self._population.objects.items():
            track = self._state.tracks.get(object_id)
            if track is not None and track.class_name == before.get(object_id, ""):
                track.class_name = item.label

    def _detect(self, frame: Frame, masks: Sequence[TrackedMask]) -> Sequence[Detection] | None:
        """Ask the detector, and return what it says; None on a frame on which it cannot say anything."""
        if self._listed is not None and frame.index not in self._listed:
            return None
        objects = self._population.objects
        doubtful: list[BoolArray] = []
        covered = np.zeros(frame.size_hw, np.bool_)
        for tracked in masks:
            item = objects.get(tracked.object_id)
            if item is not None and (item.state == "tentative" or not tracked.is_sure):
                doubtful.append(tracked.mask)
            if self._population.config.level == "objects":
                covered |= tracked.mask
        if isinstance(self._detector, GridDetector):
            present = {tracked.object_id for tracked in masks if tracked.mask.any()}
            if self._present - present or self._population.num_refused > self._num_refused:
                self._detector.ask_again()
            self._present, self._num_refused = present, self._population.num_refused
            return self._detector.detect(frame, covered, doubtful, is_tracking=bool(present))
        return self._detector.detect(frame, covered)

    def _apply(self, decisions: Decisions, frame: Frame | None) -> FrameMasks | None:
        """Change the tracks; return the masks of those that were prompted on the frame."""
        state = self._state
        for object_id in decisions.removed:
            if object_id in state.tracks:
                state.remove(object_id)
        for object_id in decisions.confirmed:
            state.track(object_id).hidden = False
        for object_id in decisions.ended:
            state.track(object_id).forget_memory()
        if frame is None:
            return None
        corrected = [pair for pair in decisions.corrected if not state.is_accepted(pair[0], frame.index)]
        prompted = [*decisions.born, *corrected]
        if not prompted:
            return None
        for object_id, detection in prompted:
            prompt = _prompt_of(detection, frame.size_hw)
            is_new = object_id not in state.tracks
            state.track_or_new(object_id).prompts[frame.index] = PromptState(prompt, initial=is_new)
        for object_id, _ in decisions.born:
            state.track(object_id).hidden = True
        masks = self._walker.track_frame(frame, 1, [object_id for object_id, _ in prompted]).tracked
        misfits = {i: detection for i, detection in decisions.born if _is_misfit(masks.mask(i), detection)}
        for object_id, detection in misfits.items():
            state.remove(object_id)
            self._population.note_misfit(frame.index, detection)
        for object_id, detection in prompted:
            self._population.note_prompted(object_id, masks.mask(object_id), detection)
        return take(masks, [row for row, i in enumerate(masks.object_ids) if i not in misfits])

    def _combined(self, output: TrackedFrame, more: Sequence[FrameMasks]) -> TrackedFrame:
        """Return the output with the masks that came later on the same frame, and without removed objects."""
        tracks = self._state.tracks
        later = {i for masks in more for i in masks.object_ids}
        kept = [row for row, i in enumerate(output.tracked.object_ids) if i in tracks and i not in later]
        rows = {row.object_id: row for masks in more for row in to_rows(masks) if row.object_id in tracks}
        others = [row for row in output.others if row.object_id not in rows]
        others = sorted([*others, *rows.values()], key=lambda row: row.object_id)
        return output._replace(tracked=take(output.tracked, kept), others=others)


def backward_pass(state: TrackerState[Any], population: Population) -> Pass | None:
    """Return the pass that follows objects back to the frames before their birth; None if there are no such frames.

    Objects that have been followed back before are left out.
    """
    first, objects = population.first_frame or 0, population.objects
    births = {
        object_id: _birth(state, object_id)
        for object_id, track in state.tracks.items()
        if track.prompts and (object_id not in objects or objects[object_id].state != "tentative")
    }
    late = [i for i, birth in births.items() if birth > first and state.stored(i, birth - 1) is None]
    if not late:
        return None
    latest = max(births[object_id] for object_id in late)
    return Pass(-1, latest - 1, None if first == 0 else first - 1, tuple(late), discovers=True)


def _birth(state: TrackerState[Any], object_id: int) -> int:
    """Return the frame from which an object is followed back: that of its discovery, or of a user's first prompt."""
    item = None if state.population is None else state.population.objects.get(object_id)
    return state.tracks[object_id].first_trackable if item is None else item.first_frame


def _tracked_masks(masks: FrameMasks, expected_masks: Iterable[tuple[int, BoolArray]]) -> list[TrackedMask]:
    expected = {object_id: ExpectedMask.of(mask) for object_id, mask in expected_masks}
    return [
        TrackedMask(
            object_id,
            masks.masks[row],
            float(masks.confidences[row]),
            is_sure=not masks.statuses or masks.statuses[row] == "present",
            expected=expected.get(object_id),
        )
        for row, object_id in enumerate(masks.object_ids)
    ]


def _prompt_of(detection: Detection, size_hw: tuple[int, int]) -> Prompt:
    if detection.rle is None:
        return Prompt.create(box_xyxy=detection.box_xyxy, size_hw=size_hw)
    return Prompt.create(mask=detection.mask(size_hw), size_hw=size_hw)


def _is_misfit(mask: BoolArray, detection: Detection) -> bool:
    """Return True if the mask that a detection's box has led to is empty or of another extent."""
    if detection.rle is not None:
        return False
    tight = mask_box_xyxy(mask)
    if tight is None:
        return True
    return pair_iou(tight, detection.box_xyxy) < LEAST_BOX_IOU
