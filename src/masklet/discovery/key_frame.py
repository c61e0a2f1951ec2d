"""Masks and detections of a key frame: which belong together, and which detections are new objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Detection
from masklet.discovery.objects import WHOLE_BOX, DiscoveredObject, TrackedMask
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.overlap import MaskSetOverlap, best_pairs, box_iou, box_within_smaller, reduced
from masklet.records import BoolArray, FloatArray

INSIDE = 0.85
"""A mask lies within another one if this fraction of it does. Source: AutoSeg-SAM2, `inner overlap`."""
BACKGROUND = 0.25
"""A mask of at least this fraction of the frame may be a floor or a wall: what lies within it is not a part of it."""
CUT_OFF = 1.5
"""A mask counts as background if the edges of the frame cut it along this length, in square roots of its area: a square
is cut along 1 at an edge and along 2 in a corner. So are 1 to 6 % of the labelled objects of images."""
MADE_UP = 0.7
"""A mask is made up of parts if they cover this fraction of it."""
SEPARATE_IOU = 0.7
"""Detections with a higher IoU are one object. Source: box NMS of Segment Anything, at the same number."""
LOOSE_IOU = 0.25
"""A detected box may be that of a mask which has grown or shrunk since, if they still overlap by this much..."""
LOOSE_INSIDE = 0.8
"""...and this fraction of the smaller one lies within the other."""


class KeyFrame:
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
        self.overlap = MaskSetOverlap(self._masks)
        self._between = MaskSetOverlap(self._masks, self._found)
        self._among = MaskSetOverlap(self._found)
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
        items = (objects.get(mask.object_id) for mask in self.tracked)
        relative = _boxes([WHOLE_BOX if item is None else item.relative_box for item in items])
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

    @property
    def tells_parts(self) -> bool:
        """True if there are detections, all with masks: boxes say nothing of what is a part of what."""
        return bool(self.detections) and not self._is_box.any()

    def is_part(self, row: int, other: int) -> bool:
        """Return True if one tracked mask lies within another, larger one, other than the background."""
        return _lies_within(row, other, self.overlap, self._num_pixels)

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
        among = self._among
        distinct: list[int] = []
        for column in able:
            if all(among.iou[column, other] <= SEPARATE_IOU for other in distinct):
                distinct.append(column)
        if config.level == "both":
            return distinct
        rule = _is_whole if config.level == "objects" else _is_part
        masks = [column for column in distinct if not self._is_box[column]]  # boxes of neighbours overlap
        return [column for column in distinct if self._is_box[column] or rule(column, masks, among, self._num_pixels)]

    def returns(
        self, rows: Sequence[int], columns: Sequence[int], matched: Collection[int], least_iou: float
    ) -> dict[int, int]:
        """Return the detection at which the memory of each absent object expects it, as indices.

        Detectors offer several extents of one thing. So the expected mask may agree with another detection as well, if
        that one agrees with the detection.

        Args:
            rows: the absent objects among the tracked masks.
            columns: the detections that they may be.
            matched: the detections of other objects.
            least_iou: from which two masks agree; of boxes where a detection has no mask.
        """
        expected = {row: mask for row in rows if (mask := self.tracked[row].expected) is not None}
        if not expected or not columns:
            return {}
        scores = MaskSetOverlap([mask.reduced for mask in expected.values()], self._found).iou
        boxes = np.stack([mask.box_xyxy for mask in expected.values()])
        scores = np.where(self._is_box, box_iou(boxes, self._boxes), scores)
        scores[:, list(matched)] = 0
        is_same = (self._among.iou[columns] >= least_iou) & ~self._is_box
        is_same[range(len(columns)), columns] = True
        best = np.where(is_same[None], scores[:, None], 0).max(axis=2)
        ids = list(expected)
        return {ids[row]: columns[column] for row, column in best_pairs(best, least_iou)}

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
    """Return True if a mask surrounds the scene: cut off by three sides of the frame, or by two and large, or along
    much of its outline. An object that is cut off so far can start a track when more of it has come in."""
    lengths = [int(side.sum()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    sides = sum(length > 0 for length in lengths)
    is_cut = sum(lengths) >= CUT_OFF * float(mask.sum()) ** 0.5
    return sides >= 3 or (sides == 2 and float(mask.mean()) >= BACKGROUND) or is_cut


def _is_whole(column: int, others: Sequence[int], among: MaskSetOverlap, num_pixels: int) -> bool:
    """Return True if a detection does not lie within a larger one, other than the background."""
    return not any(_lies_within(column, other, among, num_pixels) for other in others)


def _lies_within(row: int, other: int, among: MaskSetOverlap, num_pixels: int) -> bool:
    """Return True if a mask lies within a larger one, other than the background."""
    areas = among.first_areas
    return bool(among.first_within[row, other] >= INSIDE and areas[row] < areas[other] < BACKGROUND * num_pixels)


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
