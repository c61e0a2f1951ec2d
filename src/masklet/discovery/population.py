"""The objects that discovery follows: born, confirmed, absent, found again, ended.

One call of `observe` per key frame takes what is tracked and what was detected, and says what is to be done. An id
never changes and is never used again. It knows no model and no video, so that tests drive it with drawn masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Detection
from masklet.discovery.overlap import MaskSetOverlap, best_pairs, box_iou, box_within_smaller, reduced
from masklet.errors import DataError
from masklet.foreign.documents import Json
from masklet.masks.operations import mask_box_xyxy
from masklet.records import BoolArray, FloatArray

State = Literal["tentative", "confirmed", "absent", "ended"]

INSIDE = 0.85
"""A mask lies within another one if this fraction of it does. Source: AutoSeg-SAM2, `inner overlap`."""
BACKGROUND = 0.25
"""A mask of at least this fraction of the frame may be a floor or a wall: what lies within it is not a part of it."""
MADE_UP = 0.7
"""A mask is made up of parts if they cover this fraction of it."""
LEAST_HITS = 2
"""Detections of a tentative object that counts though it left, or the video ended, before it was confirmed."""
SEPARATE_IOU = 0.7
"""Detections with a higher IoU are one object. Source: box NMS of Segment Anything, at the same number."""
RETURN_CONFIDENCE = 0.5
"""An absent object is back if its mask is at least this reliable, in [0, 1]."""
LOOSE_IOU = 0.25
"""A detected box may be that of a mask which has grown or shrunk since, if they still overlap by this much..."""
LOOSE_INSIDE = 0.8
"""...and this fraction of the smaller one lies within the other."""
WHOLE_BOX = (0.0, 0.0, 1.0, 1.0)
MAX_ID = 2**31
"""Largest object id or frame number in a session file."""


@dataclass(slots=True)
class DiscoveredObject:
    """One object that was found."""

    object_id: int
    first_frame: int
    last_frame: int
    """The last frame on which it was present."""
    since: int
    """The frame of its birth or of its last return."""
    score: float
    """The best score of its detections, 0 to 1."""
    state: State = "tentative"
    """`tentative`: not shown yet; `confirmed`: shown and tracked; `absent`: looked for on key frames; `ended`."""
    label_scores: dict[str, float] = field(default_factory=dict)
    """Sum of the scores of its detections, by label."""
    hits: list[bool] = field(default_factory=list)
    """Whether it was detected, on its last key frames while it was tentative."""
    misses: int = 0
    """Key frames in a row on which it was in doubt and not detected."""
    overlaps: dict[int, int] = field(default_factory=dict)
    """Key frames in a row on which it overlapped an older object, by the other's id."""
    relative_box: tuple[float, float, float, float] = WHOLE_BOX
    """The last detected box (x0, y0, x1, y1), where the bounding box of the mask is the unit square.

    Detectors draw boxes of another extent than the mask's: faces without hair, people whose hidden legs are guessed.
    """

    @property
    def label(self) -> str:
        """The label that its detections gave most often; empty where they have none."""
        return max(self.label_scores, key=self.label_scores.__getitem__, default="")

    @property
    def is_followed(self) -> bool:
        """True if it is tracked on every frame."""
        return self.state in ("tentative", "confirmed")

    def note_box(self, mask: BoolArray, detection: Detection) -> None:
        """Record where a detected box lies relative to an (H, W) mask; nothing where there is no mask or no box."""
        tight = mask_box_xyxy(mask)
        if detection.rle is None and tight is not None:
            corner, side = np.tile(tight[:2], 2), np.tile(np.maximum(tight[2:] - tight[:2], 1), 2)
            relative = (np.asarray(detection.box_xyxy, np.float64) - corner) / side
            self.relative_box = (float(relative[0]), float(relative[1]), float(relative[2]), float(relative[3]))


@dataclass(frozen=True, slots=True)
class TrackedMask:
    """A mask that the tracker has on a key frame."""

    object_id: int
    mask: BoolArray
    """(H, W); empty where the object is absent."""
    confidence: float
    """Expected IoU of the mask, 0 to 1."""
    is_sure: bool
    """False if the tracker is in doubt about the mask."""

    @property
    def is_present(self) -> bool:
        """True if the mask is not empty."""
        return bool(self.mask.any())


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a key frame changes."""

    born: tuple[tuple[int, Detection], ...] = ()
    """New objects, and the detections to prompt them with."""
    corrected: tuple[tuple[int, Detection], ...] = ()
    """Objects to be prompted again with a detection."""
    confirmed: tuple[int, ...] = ()
    """Objects to be shown from now on, and on the frames before."""
    removed: tuple[int, ...] = ()
    """Objects that were none, or another one's double: they and their masks go."""
    ended: tuple[int, ...] = ()
    """Objects that will not be looked for again; their masks stay."""


@dataclass(slots=True)
class Population:
    """All objects that were found in one video.

    Args:
        config: the rules.
        next_id: the first id to be given; later ones ascend.
    """

    config: DiscoveryConfig
    next_id: int = 1
    objects: dict[int, DiscoveredObject] = field(default_factory=dict)
    """By object id. Objects that were removed are not among them."""
    first_frame: int | None = None
    """The first frame on which objects were looked for."""
    last_frame: int | None = None
    """The last frame that was reached going forward."""
    key_frame: int | None = None
    """The last key frame."""
    num_key_frames: int = 0
    """Key frames so far on which the detector was asked."""
    uncovered: float = 1.0
    """Fraction of the frame without a track, after the last key frame."""
    num_refused: int = 0
    """Detections that started no track because `max_objects` were tracked."""

    # Between key frames.

    def followed(self) -> list[int]:
        """Return the ids of the objects that are tracked on every frame."""
        return [item.object_id for item in self.objects.values() if item.is_followed]

    def absent(self) -> list[int]:
        """Return the ids of the objects that are looked for on key frames."""
        return [item.object_id for item in self.objects.values() if item.state == "absent"]

    def is_key_frame(self, frame_index: int, uncovered: float | None = None) -> bool:
        """Return True if the detector is to be asked on a frame.

        Args:
            frame_index: the frame.
            uncovered: fraction of the frame without a track, where it is known.
        """
        if self.key_frame is None or abs(frame_index - self.key_frame) >= self.config.every:
            return True
        early = max(1, self.config.every // 3)
        if uncovered is None or abs(frame_index - self.key_frame) < early:
            return False
        return uncovered - self.uncovered >= self.config.growth

    def has_single_detections(self) -> bool:
        """Return True if an object would be removed at the end because it was detected only once."""
        return any(item.state == "tentative" and sum(item.hits) < LEAST_HITS for item in self.objects.values())

    def note_prompted(self, object_id: int, mask: BoolArray, detection: Detection) -> None:
        """Record which mask a detection has led to: it is recognised by this later."""
        if (item := self.objects.get(object_id)) is not None:
            item.note_box(mask, detection)

    def note_present(self, frame_index: int, object_ids: Iterable[int]) -> None:
        """Record that a frame was reached going forward, and which objects are present on it."""
        self.last_frame = frame_index
        for object_id in object_ids:
            if (item := self.objects.get(object_id)) is not None and item.state != "ended":
                item.last_frame = frame_index

    def rest(self, frame_index: int) -> list[int]:
        """Let confirmed objects rest that have been absent for `max_absence` frames, and return their ids."""
        gone = [
            item
            for item in self.objects.values()
            if item.state == "confirmed" and self._is_out_of_sight(item, frame_index)
        ]
        for item in gone:
            item.state = "absent"
        return [item.object_id for item in gone]

    # On key frames.

    def observe(
        self,
        frame_index: int,
        tracked: Sequence[TrackedMask],
        detections: Sequence[Detection] | None,
        size_hw: tuple[int, int],
    ) -> Decisions:
        """Decide what a key frame changes.

        Args:
            frame_index: the frame.
            tracked: masks of followed and absent objects, and of any others, which are never changed.
            detections: of the frame; None if the detector was not asked, so that nothing counts as missed.
            size_hw: of the frame.
        """
        self.key_frame = frame_index
        was_asked = detections is not None
        self.num_key_frames += was_asked
        detections = [detection for detection in detections or () if detection.score >= self.config.min_score]
        scene = _Scene(tracked, detections, size_hw, self.objects)
        pairs = scene.pairs(self.config.match_iou)
        drifted = scene.loose_pairs(pairs, self.objects)
        pairs |= drifted
        self._wake(frame_index, scene, pairs)
        removed = self._without_doubles(scene)
        corrected, ended = [], []
        for row, mask in enumerate(scene.tracked):
            item = self.objects.get(mask.object_id)
            if item is None or item.object_id in removed or not item.is_followed:
                continue
            detection = None if row not in pairs else detections[pairs[row]]
            in_doubt = not mask.is_sure or row in drifted
            if was_asked and self._take_in(item, mask, detection, in_doubt=in_doubt) and detection is not None:
                corrected.append((item.object_id, detection))
        removed |= {item.object_id for item in self.objects.values() if self._has_failed(item)}
        confirmed = self._confirm(removed)
        left = [item for item in self.objects.values() if self._is_out_of_sight(item, frame_index)]
        kept, lost = self._settle(item for item in left if item.object_id not in removed)
        confirmed, removed = confirmed + kept, removed | set(lost)
        for object_id in kept:
            self.objects[object_id].state = "absent"
        for item in self.objects.values():
            if item.state == "absent" and abs(frame_index - item.last_frame) >= self.config.forget_after:
                item.state = "ended"
                ended.append(item.object_id)
        for object_id in removed:
            del self.objects[object_id]
        born = self._births(frame_index, scene, pairs, removed)
        ended += self._make_room()
        return Decisions(tuple(born), tuple(corrected), tuple(confirmed), tuple(sorted(removed)), tuple(ended))

    def finish(self) -> Decisions:
        """Decide at the end of the video: tentative objects that were mostly detected are confirmed, others removed."""
        confirmed, removed = self._settle(self.objects.values())
        for object_id in removed:
            del self.objects[object_id]
        return Decisions(confirmed=tuple(confirmed), removed=tuple(removed))

    def _settle(self, items: Iterable[DiscoveredObject]) -> tuple[list[int], list[int]]:
        """Confirm tentative objects that were mostly detected, and more than once; return these and the others."""
        share = self.config.confirm_hits / self.config.confirm_window
        least = min(LEAST_HITS, self.num_key_frames, self.config.confirm_hits)
        confirmed, failed = [], []
        for item in items:
            if item.state != "tentative":
                continue
            if sum(item.hits) >= max(least, share * len(item.hits)):
                item.state = "confirmed"
                confirmed.append(item.object_id)
            else:
                failed.append(item.object_id)
        return confirmed, failed

    def _is_out_of_sight(self, item: DiscoveredObject, frame_index: int) -> bool:
        return abs(frame_index - item.last_frame) >= self.config.max_absence

    def _wake(self, frame_index: int, scene: _Scene, pairs: Mapping[int, int]) -> None:
        """Follow absent objects again that are there: reliable, and not the mask of another object."""
        for row, mask in enumerate(scene.tracked):
            item = self.objects.get(mask.object_id)
            if item is None or item.state != "absent" or not mask.is_present:
                continue
            is_detected = row in pairs
            others = [
                scene.overlap.iou[row, other]
                for other, rival in enumerate(scene.tracked)
                if other != row and self._is_followed(rival.object_id)
            ]
            if max(others, default=0.0) < self.config.match_iou and (
                is_detected or (mask.is_sure and mask.confidence >= RETURN_CONFIDENCE)
            ):
                item.state, item.misses = "confirmed", 0
                item.last_frame = item.since = frame_index

    def _is_followed(self, object_id: int) -> bool:
        item = self.objects.get(object_id)
        return item is None or item.is_followed

    def _without_doubles(self, scene: _Scene) -> set[int]:
        """End the younger ones of tracks that overlap too much: return tentative ones, let confirmed ones rest.

        An object that has just returned is younger than one that was there all the time: it has returned as the other.
        """
        removed: set[int] = set()
        rows = [row for row, mask in enumerate(scene.tracked) if mask.is_present and self._is_followed(mask.object_id)]
        for young in rows:
            item = self.objects.get(scene.tracked[young].object_id)
            if item is None:
                continue
            overlaps: dict[int, int] = {}
            for old in rows:
                other_id = scene.tracked[old].object_id
                iou = float(scene.overlap.iou[young, old])
                if not self._is_older(other_id, item) or other_id in removed or iou < self.config.overlap_iou:
                    continue
                overlaps[other_id] = item.overlaps.get(other_id, 0) + 1
                if iou < self.config.duplicate_iou and overlaps[other_id] < self.config.confirm_hits:
                    continue
                if item.state == "tentative":
                    removed.add(item.object_id)
                else:
                    item.state = "absent"
            item.overlaps = overlaps
        return removed

    def _is_older(self, object_id: int, item: DiscoveredObject) -> bool:
        """Return True if an object was there before the item; those that a user prompted always were."""
        other = self.objects.get(object_id)
        return other is None or (other.since, other.object_id) < (item.since, item.object_id)

    def _take_in(
        self, item: DiscoveredObject, mask: TrackedMask, detection: Detection | None, *, in_doubt: bool
    ) -> bool:
        """Record whether an object was detected; return whether it is to be prompted with the detection."""
        if detection is not None:
            item.score = max(item.score, detection.score)
            item.note_box(mask.mask, detection)
            if detection.label:
                item.label_scores[detection.label] = item.label_scores.get(detection.label, 0.0) + detection.score
        if item.state == "tentative" and mask.is_present:  # what cannot be seen cannot be detected
            item.hits = [*item.hits, detection is not None][-self.config.confirm_window :]
        item.misses = item.misses + 1 if in_doubt and detection is None else 0
        if item.state == "confirmed" and item.misses > self.config.max_misses:
            item.state = "absent"
        return in_doubt and detection is not None and detection.score >= self.config.reprompt_score

    def _has_failed(self, item: DiscoveredObject) -> bool:
        """Return True if a tentative object cannot be confirmed any more within its window."""
        if item.state != "tentative":
            return False
        missed = item.hits.count(False)
        return missed > self.config.confirm_window - self.config.confirm_hits

    def _confirm(self, removed: set[int]) -> list[int]:
        confirmed = [
            item
            for item in self.objects.values()
            if item.state == "tentative"
            and item.object_id not in removed
            and sum(item.hits) >= self.config.confirm_hits
        ]
        for item in confirmed:
            item.state = "confirmed"
        return [item.object_id for item in confirmed]

    def _births(
        self, frame_index: int, scene: _Scene, pairs: Mapping[int, int], removed: set[int]
    ) -> list[tuple[int, Detection]]:
        """Return new objects with their detections, as far as there is place."""
        active = [row for row, mask in enumerate(scene.tracked) if self._is_followed(mask.object_id)]
        active = [row for row in active if scene.tracked[row].object_id not in removed]
        chosen = scene.new_objects(self.config, active, set(pairs.values()))
        places = max(0, self.config.max_objects - len(self.followed()))
        born = []
        for column in chosen[:places]:
            detection = scene.detections[column]
            item = DiscoveredObject(
                object_id=self.next_id,
                first_frame=frame_index,
                last_frame=frame_index,
                since=frame_index,
                score=detection.score,
                label_scores={detection.label: detection.score} if detection.label else {},
                hits=[True],
            )
            self.objects[item.object_id] = item
            self.next_id += 1
            born.append((item.object_id, detection))
        self.uncovered = scene.uncovered(active, chosen[:places])
        self.num_refused += len(chosen) - len(born)
        return born

    def _make_room(self) -> list[int]:
        """End the objects that have been absent longest while there are more than `max_objects`; return their ids."""
        absent = sorted((self.objects[i] for i in self.absent()), key=lambda item: (item.last_frame, item.object_id))
        excess = max(0, len(self.followed()) + len(absent) - self.config.max_objects)
        for item in absent[:excess]:
            item.state = "ended"
        return [item.object_id for item in absent[:excess]]

    # Session files.

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "config": self.config.to_dict(),
            "next_id": self.next_id,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "key_frame": self.key_frame,
            "num_key_frames": self.num_key_frames,
            "uncovered": self.uncovered,
            "num_refused": self.num_refused,
            "objects": [asdict(item) | {"overlaps": list(item.overlaps.items())} for item in self.objects.values()],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Population:
        """Return the population of `to_dict`.

        Raises:
            DataError: something is missing or of another kind.
        """
        root = Json(document, "the record of discovered objects", DataError)
        objects = [_object(entry) for entry in root.field("objects").entries()]
        frames = {
            name: None if (value := root.get(name)) is None else value.whole(0, MAX_ID)
            for name in ("first_frame", "last_frame", "key_frame")
        }
        return cls(
            config=DiscoveryConfig.from_dict({name: value.value for name, value in root.field("config").items()}),
            next_id=root.field("next_id").whole(0, MAX_ID),
            objects={item.object_id: item for item in objects},
            **frames,
            num_key_frames=root.field("num_key_frames").whole(0),
            uncovered=root.field("uncovered").number(),
            num_refused=root.field("num_refused").whole(0),
        )


def _object(entry: Json) -> DiscoveredObject:
    state = entry.field("state")
    if state.value not in get_args(State):
        state.refuse(f"one of {', '.join(get_args(State))}")
    whole = {
        name: entry.field(name).whole(0, MAX_ID)
        for name in ("object_id", "first_frame", "last_frame", "since", "misses")
    }
    return DiscoveredObject(
        **whole,
        score=entry.field("score").number(),
        state=state.value,
        label_scores={label: score.number() for label, score in entry.field("label_scores").items()},
        hits=[bool(hit.value) for hit in entry.field("hits").entries()],
        overlaps=dict(_pair(pair) for pair in entry.field("overlaps").entries()),
        relative_box=_box(entry.field("relative_box")),
    )


def _box(entry: Json) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (side.number() for side in entry.entries())
    return x0, y0, x1, y1


def _pair(entry: Json) -> tuple[int, int]:
    first, second = (part.whole(0, MAX_ID) for part in entry.entries())
    return first, second


class _Scene:
    """Masks and detections of a key frame, and how they overlap."""

    def __init__(
        self,
        tracked: Sequence[TrackedMask],
        detections: Sequence[Detection],
        size_hw: tuple[int, int],
        objects: Mapping[int, DiscoveredObject],
    ) -> None:
        self.tracked = tracked
        self.detections = detections
        self._masks = [reduced(mask.mask) for mask in tracked]
        self._found = [reduced(detection.mask(size_hw)) for detection in detections]
        self._num_pixels = reduced(np.zeros(size_hw, np.bool_)).size
        self.overlap = MaskSetOverlap(self._masks, self._masks)
        self._between = MaskSetOverlap(self._masks, self._found)
        self._boxes = _boxes([detection.box_xyxy for detection in detections])
        self._is_box = np.array([detection.rle is None for detection in detections], np.bool_)
        self._has_boxes = bool(self._is_box.any()) and bool(tracked)
        tight = [mask_box_xyxy(mask.mask) if self._has_boxes else None for mask in tracked]
        self._tight = _boxes([(0.0, 0.0, 0.0, 0.0) if box is None else tuple(box.tolist()) for box in tight])
        self._box_iou = self._box_overlap(objects) if self._has_boxes else None

    def _box_overlap(self, objects: Mapping[int, DiscoveredObject]) -> FloatArray:
        """Return the (N, M) IoUs of the boxes of tracked masks and of detections.

        A mask's box is its bounding box, or the one that its detector would draw around it by
        `DiscoveredObject.relative_box`, whichever fits better.
        """
        found = (objects.get(mask.object_id) for mask in self.tracked)
        relative = _boxes([WHOLE_BOX if item is None else item.relative_box for item in found])
        sides = np.tile(self._tight[:, 2:] - self._tight[:, :2], 2)
        expected = np.tile(self._tight[:, :2], 2) + relative * sides
        return np.maximum(box_iou(self._tight, self._boxes), box_iou(expected, self._boxes))

    def pairs(self, least_iou: float) -> dict[int, int]:
        """Return the detection of each tracked mask that has one, as indices: of boxes where there is no mask."""
        scores = self._between.iou if self.detections and self.tracked else np.zeros((0, 0), np.float32)
        if self._box_iou is not None:
            scores = np.where(self._is_box, self._box_iou, scores)
        return dict(best_pairs(scores, least_iou))

    def loose_pairs(self, pairs: Mapping[int, int], objects: Mapping[int, DiscoveredObject]) -> dict[int, int]:
        """Return pairs of what is left: boxes around a part of a mask, or a mask within a part of a box, of one label.

        A track has drifted there: from a face to the head, or from a car to its door.
        """
        if not self._has_boxes:
            return {}
        scores = box_iou(self._tight, self._boxes)
        scores[box_within_smaller(self._tight, self._boxes) < LOOSE_INSIDE] = 0
        scores[:, ~self._is_box] = 0
        scores[list(pairs), :] = scores[:, list(pairs.values())] = 0
        for row, column in zip(*np.nonzero(scores), strict=True):
            item = objects.get(self.tracked[row].object_id)
            if item is None or self.detections[column].label != item.label:
                scores[row, column] = 0
        return dict(best_pairs(scores, LOOSE_IOU))

    def uncovered(self, active: Sequence[int], chosen: Sequence[int]) -> float:
        """Return the fraction of the frame outside some tracked masks and detections."""
        covered = [self._masks[row] for row in active] + [self._found[column] for column in chosen]
        return 1.0 - float(np.any(covered, axis=0).mean()) if covered else 1.0

    def new_objects(self, config: DiscoveryConfig, active: Sequence[int], matched: set[int]) -> list[int]:
        """Return the detections that start a track, the surest first."""
        areas = self._between.second_areas / self._num_pixels
        largest = config.max_area if config.level == "objects" else 1.0
        able = [
            column
            for column, detection in enumerate(self.detections)
            if column not in matched
            and detection.score >= config.birth_score
            and config.min_area <= areas[column]
            and (areas[column] <= largest or self._is_named(column))
            and self._is_new(column, active, config)
        ]
        if config.level == "objects":
            able = [column for column in able if self._is_named(column) or not _is_background(self._found[column])]
        able.sort(key=lambda column: -self.detections[column].score)
        among = MaskSetOverlap(self._found, self._found)
        distinct: list[int] = []
        for column in able:
            if all(among.iou[column, other] <= SEPARATE_IOU for other in distinct):
                distinct.append(column)
        if config.level == "both":
            return distinct
        rule = _is_whole if config.level == "objects" else _is_part
        masks = [column for column in distinct if not self._is_box[column]]  # boxes of neighbours overlap
        return [column for column in distinct if self._is_box[column] or rule(column, masks, among, self._num_pixels)]

    def _is_named(self, column: int) -> bool:
        """Return True for a box, or a mask with a label: a detector that names what it sees sees no background."""
        return bool(self._is_box[column]) or bool(self.detections[column].label)

    def _is_new(self, column: int, active: Sequence[int], config: DiscoveryConfig) -> bool:
        """Return True if no track has the detection's pixels."""
        if not active:
            return True
        # Boxes of neighbours overlap, and parts lie within wholes: only the same extent is the same object.
        if self._is_box[column] and self._box_iou is not None:
            return bool(self._box_iou[active, column].max() < config.match_iou)
        if config.level == "both":
            return bool(self._between.iou[active, column].max() < config.match_iou)
        covered = np.any([self._masks[row] for row in active], axis=0) & self._found[column]
        area = max(1.0, float(self._between.second_areas[column]))
        return 1.0 - float(covered.sum()) / area >= config.min_uncovered


def _is_background(mask: BoolArray) -> bool:
    """Return True if a mask surrounds the scene: large, and cut off by two sides of the frame, or by three."""
    sides = sum(bool(side.any()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    return sides >= 3 or (sides == 2 and float(mask.mean()) >= BACKGROUND)


def _is_whole(column: int, others: Sequence[int], among: MaskSetOverlap, num_pixels: int) -> bool:
    """Return True if a detection does not lie within a larger one, other than the background."""
    areas = among.first_areas
    return not any(
        among.first_within[column, other] >= INSIDE and areas[column] < areas[other] < BACKGROUND * num_pixels
        for other in others
        if other != column
    )


def _is_part(column: int, others: Sequence[int], among: MaskSetOverlap, num_pixels: int) -> bool:
    """Return True if smaller detections do not make up a detection."""
    inside = [
        float(among.shared[column, other])
        for other in others
        if other != column
        and among.first_within[other, column] >= INSIDE
        and among.first_areas[other] < among.first_areas[column]
    ]
    return sum(inside) < MADE_UP * float(among.first_areas[column])


def _boxes(boxes: Sequence[tuple[float, ...]]) -> FloatArray:
    return np.array(boxes, np.float32).reshape(-1, 4)
