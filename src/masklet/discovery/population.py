"""The objects that discovery follows: born, confirmed, absent, found again, ended.

One call of `observe` per key frame takes what is tracked and what was detected, and says what is to be done. An id
never changes and is never used again. It knows no model and no video, so that tests drive it with drawn masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Box, Detection
from masklet.discovery.key_frame import KeyFrame
from masklet.discovery.objects import MAX_ID, Decisions, DiscoveredObject, TrackedMask, read_object, read_pair
from masklet.errors import DataError
from masklet.foreign.documents import Json
from masklet.masks.overlap import box_iou
from masklet.records import BoolArray

LEAST_HITS = 2
"""Detections of a tentative object that counts though it left, or the video ended, before it was confirmed."""
RETURN_CONFIDENCE = 0.5
"""An absent object is back if its mask is at least this reliable, in [0, 1]."""
GONE = 0.5
"""A key frame comes early, too, when this fraction of the objects has gone since the last one: the view has changed."""
SAME_BOX_IOU = 0.9
"""Boxes of two key frames with at least this IoU are the same detection, of something that stays in its place."""


Misfit = tuple[int, Box]
"""A key frame, and the box of a detection in which the model found nothing there."""


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
    stop: int | None = None
    """The frame before which the last run going forward ends; None is the end of the video."""
    goes_back: bool = False
    """True if the last run also follows late objects back."""
    key_frame: int | None = None
    """The last key frame."""
    num_key_frames: int = 0
    """Key frames so far on which the detector was asked."""
    uncovered: float = 1.0
    """Fraction of the frame without a followed mask, after the last key frame."""
    num_refused: int = 0
    """Detections that started no track because `max_objects` were tracked. A new search starts from 0."""
    others: dict[int, int] = field(default_factory=dict)
    """Last frames on which objects that were prompted were present, by their ids: they take places, too."""
    misfits: list[Misfit] = field(default_factory=list)
    """Boxes in which the model has found nothing, as long as they are detected."""

    # Between key frames.

    def begin(self, frame_index: int, stop: int | None, *, goes_back: bool) -> None:
        """Record that a run going forward begins.

        Its first frame is a key frame unless the run continues where the last one ended.

        Args:
            frame_index: its first frame.
            stop: the frame before which it ends; None is the end of the video.
            goes_back: True if late objects are then followed back.
        """
        self.stop, self.goes_back = stop, goes_back
        self.first_frame = frame_index if self.first_frame is None else min(self.first_frame, frame_index)
        if self.last_frame is None or frame_index != self.last_frame + 1:
            self.key_frame = None
            self.misfits.clear()
            self.num_refused = 0

    def followed(self) -> list[int]:
        """Return the ids of the objects that are tracked on every frame."""
        return [item.object_id for item in self.objects.values() if item.is_followed]

    def absent(self) -> list[int]:
        """Return the ids of the objects that are looked for on key frames."""
        return [item.object_id for item in self.objects.values() if item.state == "absent"]

    def is_key_frame(self, frame_index: int, uncovered: Callable[[], float] | None = None) -> bool:
        """Return True if the detector is to be asked on a frame.

        Args:
            frame_index: the frame.
            uncovered: returns the fraction of the frame without a track; called only if it decides. None: not known.
        """
        if self.key_frame is None or frame_index - self.key_frame >= self.config.every:
            return True
        early = max(1, self.config.every // 3)
        if uncovered is None or frame_index - self.key_frame < early:
            return False
        return self._share_gone(frame_index) >= GONE or uncovered() - self.uncovered >= self.config.growth

    def _share_gone(self, frame_index: int) -> float:
        """Return the fraction of the objects that were there since the last key frame, but are absent on a frame."""
        there = [
            item for item in self.objects.values() if item.is_followed and item.last_frame >= (self.key_frame or 0)
        ]
        return sum(item.last_frame < frame_index for item in there) / max(1, len(there))

    def has_single_detections(self) -> bool:
        """Return True if an object would be removed at the end because it was detected only once."""
        return any(item.state == "tentative" and sum(item.hits) < LEAST_HITS for item in self.objects.values())

    def note_prompted(self, object_id: int, mask: BoolArray, detection: Detection) -> None:
        """Record which mask a detection has led to: it is recognised by this later."""
        if (item := self.objects.get(object_id)) is not None:
            item.note_box(mask, detection)

    def note_misfit(self, frame_index: int, detection: Detection) -> None:
        """Record that the model found nothing in a detected box: it starts no track while it stays the same.

        After `confirm_window` times `every` frames it may start one again, as what is there may have come into sight.
        """
        self.misfits.append((frame_index, detection.box_xyxy))

    def note_present(self, frame_index: int, object_ids: Iterable[int]) -> None:
        """Record that a frame was reached going forward, and which objects are present on it."""
        self.last_frame = frame_index
        for object_id in object_ids:
            if (item := self.objects.get(object_id)) is None:
                self.others[object_id] = frame_index
            elif item.state != "ended":
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
        scene = KeyFrame(tracked, detections, size_hw, self.objects)
        pairs = scene.pairs(self.config.match_iou)
        drifted = scene.loose_pairs(pairs, self.objects)
        pairs |= drifted
        self._wake(frame_index, scene, pairs)
        removed = self._remove_doubles(scene)
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
        gone = [item for item in self.objects.values() if self._is_out_of_sight(item, frame_index)]
        kept, lost = self._settle(item for item in gone if item.object_id not in removed)
        confirmed, removed = confirmed + kept, removed | set(lost)
        for object_id in kept:
            self.objects[object_id].state = "absent"
        for item in self.objects.values():
            if item.state == "absent" and frame_index - item.last_frame >= self.config.forget_after:
                item.state = "ended"
                ended.append(item.object_id)
        for object_id in removed:
            del self.objects[object_id]
        chosen = self._new_detections(frame_index, scene, pairs, removed, was_asked=was_asked)
        returned = self._return(frame_index, scene, chosen, set(pairs.values()))
        corrected += [(object_id, detections[column]) for column, object_id in returned.items()]
        born = self._births(frame_index, [detections[column] for column in chosen if column not in returned])
        ended += self._make_room(frame_index)
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
        """Return True if an object was last present `max_absence` frames ago, not on later frames of an earlier run."""
        return frame_index - item.last_frame >= self.config.max_absence

    def _wake(self, frame_index: int, scene: KeyFrame, pairs: Mapping[int, int]) -> None:
        """Follow absent objects again that are there: reliable, and not the mask of another object."""
        for row, mask in enumerate(scene.tracked):
            item = self.objects.get(mask.object_id)
            if item is None or item.state != "absent" or not mask.is_present:
                continue
            is_detected = row in pairs
            is_taken = any(
                scene.overlap.iou[row, other] >= self.config.match_iou or self._is_part(scene, row, other)
                for other, rival in enumerate(scene.tracked)
                if other != row and self._is_followed(rival.object_id)
            )
            if not is_taken and (is_detected or (mask.is_sure and mask.confidence >= RETURN_CONFIDENCE)):
                item.state, item.misses = "confirmed", 0
                item.last_frame = item.since = frame_index

    def _is_followed(self, object_id: int) -> bool:
        item = self.objects.get(object_id)
        return item is None or item.is_followed

    def _remove_doubles(self, scene: KeyFrame) -> set[int]:
        """Remove the younger ones of tracks that overlap too much, and parts of lasting wholes; return their ids.

        Confirmed ones become absent. An object that has just returned is younger than one that was there all the time:
        it has returned as the other.
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
                has_gone = other_id in removed or not self._is_followed(other_id)  # as a double itself
                if old == young or has_gone:
                    continue
                is_double = iou >= self.config.overlap_iou
                if not is_double and not scene.detections and other_id in item.overlaps:
                    overlaps[other_id] = item.overlaps[other_id]  # nothing was asked, so nothing is known
                    continue
                if not (self._is_older(other_id, item) if is_double else self._is_part(scene, young, old)):
                    continue
                overlaps[other_id] = item.overlaps.get(other_id, 0) + 1
                if not self._is_certain_double(item, other_id, iou) and overlaps[other_id] < self.config.confirm_hits:
                    continue
                if item.state == "tentative":
                    removed.add(item.object_id)
                else:
                    item.state = "absent"
            item.overlaps = overlaps
        return removed

    def _is_part(self, scene: KeyFrame, row: int, other: int) -> bool:
        """Return True if a track shows a part of another, confirmed one, and parts are not looked for."""
        item, whole = (self.objects.get(scene.tracked[index].object_id) for index in (row, other))
        if self.config.level != "objects" or not scene.tells_parts or (item is not None and item.label):
            return False
        is_lasting = (whole is None or whole.state == "confirmed") and scene.tracked[other].is_sure
        return is_lasting and scene.is_part(row, other)

    def _is_certain_double(self, item: DiscoveredObject, other_id: int, iou: float) -> bool:
        """Return True if an overlap need not last: the masks are the same, or only the other one is confirmed."""
        other = self.objects.get(other_id)
        is_unequal = item.state == "tentative" and (other is None or other.state == "confirmed")
        return iou >= (self.config.overlap_iou if is_unequal else self.config.duplicate_iou)

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

    def _new_detections(
        self, frame_index: int, scene: KeyFrame, pairs: Mapping[int, int], removed: set[int], *, was_asked: bool
    ) -> list[int]:
        """Return the positions of the detections of objects that are not tracked, the surest first."""
        active = [row for row, mask in enumerate(scene.tracked) if self._is_followed(mask.object_id)]
        active = [row for row in active if scene.tracked[row].object_id not in removed]
        misfits = self._repeated_misfits(frame_index, scene.detections) if was_asked else set()
        return scene.new_objects(self.config, active, set(pairs.values()) | misfits)

    def _return(self, frame_index: int, scene: KeyFrame, columns: Sequence[int], matched: set[int]) -> dict[int, int]:
        """Let absent objects return at detections where their memory expects them; return their ids by position.

        The tracker alone would not have found them: they look different, or are far from where they left.
        """
        items = [self.objects.get(mask.object_id) for mask in scene.tracked]
        rows = [row for row, item in enumerate(items) if item is not None and item.state != "ended"]
        returned = {}
        for row, column in scene.returns(rows, columns, matched, self.config.match_iou).items():
            item = items[row]
            assert item is not None
            if item.state == "tentative":
                item.hits = [*item.hits, True][-self.config.confirm_window :]
            else:
                item.state = "confirmed"
            item.misses, item.last_frame, item.since = 0, frame_index, frame_index
            item.score = max(item.score, scene.detections[column].score)
            returned[column] = item.object_id
        return returned

    def _births(self, frame_index: int, detections: Sequence[Detection]) -> list[tuple[int, Detection]]:
        """Return new objects with their detections, as far as there is place."""
        places = max(0, self._num_places(frame_index) - len(self.followed()))
        born = []
        for detection in detections[:places]:
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
        self.num_refused += len(detections) - len(born)
        return born

    def _repeated_misfits(self, frame_index: int, detections: Sequence[Detection]) -> set[int]:
        """Return the positions of detections that have led to nothing; forget those that have gone or are old."""
        span = self.config.confirm_window * self.config.every
        recent = [misfit for misfit in self.misfits if frame_index - misfit[0] < span]
        if not recent or not detections:
            self.misfits = []
            return set()
        earlier = np.array([box for _, box in recent], np.float32)
        boxes = np.array([detection.box_xyxy for detection in detections], np.float32)
        is_same = box_iou(earlier, boxes) >= SAME_BOX_IOU
        is_same &= [detection.rle is None for detection in detections]
        self.misfits = [recent[row] for row in np.flatnonzero(is_same.any(axis=1))]
        return set(np.flatnonzero(is_same.any(axis=0)).tolist())

    def _num_places(self, frame_index: int) -> int:
        """Return for how many discovered objects there is place besides the prompted ones that are not long absent."""
        taken = sum(
            object_id not in self.objects and frame_index - last_frame < self.config.max_absence
            for object_id, last_frame in self.others.items()
        )
        return max(0, self.config.max_objects - taken)

    def _make_room(self, frame_index: int) -> list[int]:
        """End the objects that have been absent longest while there is no place for all; return their ids."""
        absent = sorted((self.objects[i] for i in self.absent()), key=lambda item: (item.last_frame, item.object_id))
        excess = max(0, len(self.followed()) + len(absent) - self._num_places(frame_index))
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
            "stop": self.stop,
            "goes_back": self.goes_back,
            "key_frame": self.key_frame,
            "num_key_frames": self.num_key_frames,
            "uncovered": self.uncovered,
            "num_refused": self.num_refused,
            "others": list(self.others.items()),
            "misfits": [[frame_index, *box] for frame_index, box in self.misfits],
            "objects": [asdict(item) | {"overlaps": list(item.overlaps.items())} for item in self.objects.values()],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Population:
        """Return the population of `to_dict`.

        Raises:
            DataError: something is missing or of another kind.
        """
        root = Json(document, "the record of discovered objects", DataError)
        objects = [read_object(entry) for entry in root.field("objects").entries()]
        frames = {
            name: None if (value := root.get(name)) is None else value.whole(0, MAX_ID)
            for name in ("first_frame", "last_frame", "key_frame")
        }
        return cls(
            config=DiscoveryConfig.from_dict({name: value.value for name, value in root.field("config").items()}),
            next_id=root.field("next_id").whole(0, MAX_ID),
            objects={item.object_id: item for item in objects},
            **frames,
            stop=None if (stop := root.get("stop")) is None else stop.whole(),
            goes_back=root.field("goes_back").boolean(),
            num_key_frames=root.field("num_key_frames").whole(0),
            uncovered=root.field("uncovered").number(),
            num_refused=root.field("num_refused").whole(0),
            others=dict(read_pair(entry) for entry in root.field("others").entries()),
            misfits=[_misfit(entry) for entry in root.field("misfits").entries()],
        )


def _misfit(entry: Json) -> Misfit:
    parts = list(entry.entries())
    if len(parts) != 5:
        entry.refuse("a frame and a box")
    left, top, right, bottom = (part.number() for part in parts[1:])
    return parts[0].whole(0, MAX_ID), (left, top, right, bottom)
