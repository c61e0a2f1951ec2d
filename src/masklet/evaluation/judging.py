"""Judges the masks of one clip, frame by frame, by the rules of a benchmark: where they come from does not matter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from masklet.datasets import ClipExample, Labels
from masklet.evaluation.metrics import boundary_measure, region_similarity
from masklet.evaluation.records import ObjectTrack, WorstFrame
from masklet.evaluation.rules import VosRules
from masklet.evaluation.stability import StabilityMeter
from masklet.masks.rle import encode_rle
from masklet.records import BoolArray

MERGED_ID = 1
"""The one object of a clip whose objects are merged."""


class ClipJudge:
    """Judges one clip. Give it the frames of `frames` in order of time.

    Args:
        clip: the truth.
        rules: what is judged.
        mask_given: the prompt was each object's exact mask.
    """

    def __init__(self, clip: ClipExample, rules: VosRules, *, mask_given: bool) -> None:
        self.clip, self.rules = clip, rules
        first_seen, last_seen = _appearances(clip)
        if rules.merge and first_seen:
            first_seen = {MERGED_ID: min(first_seen.values())}
            last_seen = {MERGED_ID: max(last_seen.values())}
        self.first_seen = first_seen
        """The first labelled frame that shows each object, by object id."""
        labelled = clip.labelled_frames
        self._judges = [
            _ObjectJudge(
                clip.name,
                object_id,
                first,
                rules.frames(labelled, first, last_seen[object_id], mask_given=mask_given),
                waits=rules.since == "seen",
            )
            for object_id, first in first_seen.items()
        ]
        self.frames = frozenset(index for judge in self._judges for index in judge.frames)
        """Ids of the objects that are judged."""

    def judge(self, frame_index: int, predicted: Mapping[int, BoolArray]) -> None:
        """Judge one frame's (H, W) masks by object id; an object that is not among them is predicted absent.

        Raises:
            DataError: the true masks cannot be read, or are of another size.
        """
        judges = [judge for judge in self._judges if frame_index in judge.frames]
        if not judges:
            return
        labels = self.clip.read_labels(frame_index)
        void = labels.void
        for judge in judges:
            truth = self.truth(labels, judge.object_id)
            judge.judge(frame_index, self._of(predicted, judge.object_id, truth), truth, void)

    def truth(self, labels: Labels, object_id: int) -> BoolArray:
        """Return the (H, W) true mask of one object under the rules."""
        return _merged(labels) if self.rules.merge else labels.mask(object_id)

    def tracks(self) -> list[ObjectTrack]:
        """Return one record per object; objects without a judged frame have none."""
        return [judge.track() for judge in self._judges if judge.frame_indices]

    def _of(self, predicted: Mapping[int, BoolArray], object_id: int, truth: BoolArray) -> BoolArray:
        if self.rules.merge and predicted:
            union: BoolArray = np.logical_or.reduce(list(predicted.values()))
            return union
        return predicted.get(object_id, np.zeros_like(truth))


class _ObjectJudge:
    """Scores one object, and keeps the worst frame."""

    def __init__(self, clip: str, object_id: int, first: int, frames: tuple[int, ...], *, waits: bool) -> None:
        self.clip, self.object_id, self.first = clip, object_id, first
        self.frames = frozenset(frames)
        self.frame_indices: list[int] = []
        self._waits = waits
        self._region: list[float] = []
        self._boundary: list[float] = []
        self._stability = StabilityMeter()
        self._worst: WorstFrame | None = None

    def judge(self, frame_index: int, predicted: BoolArray, truth: BoolArray, void: BoolArray | None) -> None:
        if self._waits and not predicted.any() and not truth.any():
            return
        self._waits = False
        region, boundary = region_similarity(predicted, truth, void), boundary_measure(predicted, truth, void)
        self.frame_indices.append(frame_index)
        self._region.append(region)
        self._boundary.append(boundary)
        self._stability.add(predicted if void is None else predicted & ~void, truth)
        score = (region + boundary) / 2
        if self._worst is None or score < self._worst.score:
            self._worst = WorstFrame(frame_index, score, encode_rle(predicted))

    def track(self) -> ObjectTrack:
        assert self._worst is not None  # asked for only where a frame was judged
        return ObjectTrack(
            clip=self.clip,
            object_id=self.object_id,
            prompted_frame=self.first,
            frame_indices=tuple(self.frame_indices),
            region=tuple(self._region),
            boundary=tuple(self._boundary),
            worst=self._worst,
            stability=self._stability.result(),
        )


def _appearances(clip: ClipExample) -> tuple[dict[int, int], dict[int, int]]:
    """Return the first and the last labelled frame of each object, by object id."""
    first_seen: dict[int, int] = {}
    last_seen: dict[int, int] = {}
    for frame_index in clip.labelled_frames:
        for object_id in clip.read_labels(frame_index).object_ids:
            first_seen.setdefault(object_id, frame_index)
            last_seen[object_id] = frame_index
    return first_seen, last_seen


def _merged(labels: Labels) -> BoolArray:
    merged = np.zeros(labels.size_hw, np.bool_)
    for object_id in labels.object_ids:
        merged |= labels.mask(object_id)
    return merged
