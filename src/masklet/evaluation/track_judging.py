"""Judges the tracks of a clip that nobody prompted: which true objects they are, and how early each was there.

Track ids mean nothing: each true object is compared with every track. A frame without labels is not judged. Void pixels
belong to no mask, and a mask that lies mostly in void is left out on that frame, as are masks in the ignored regions
of MOTS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from masklet.datasets import ClipExample, Labels
from masklet.datasets.records import size_error
from masklet.evaluation.association import MATCH_IOU, AssociationMeter
from masklet.evaluation.discovery_records import FOUND_IOUS, ClipDiscovery, ObjectDiscovery, Timing
from masklet.evaluation.metrics import boundary_measure, region_similarity
from masklet.evaluation.records import WorstFrame
from masklet.masks.rle import CocoRle, decode_rle, encode_rle, rle_area, rle_size
from masklet.records import BoolArray
from masklet.tracking.masklets import MaskRows

MAX_VOID = 0.5
"""Largest part of a mask that may lie in void. Source: trackeval, `MOTSChallenge.get_preprocessed_seq_data`."""


def judge_tracks(
    clip: ClipExample,
    rows: MaskRows,
    shown_from: Mapping[int, int],
    *,
    num_frames: int,
    timings: Sequence[Timing],
) -> ClipDiscovery:
    """Compare all tracks of a clip with its true objects.

    Args:
        clip: the truth.
        rows: the final masks, by track id.
        shown_from: the frame of the run on which each track was first shown; earlier masks were added afterwards. A
            track that is not among them was confirmed at the end.
        num_frames: frames that were tracked, from the first.
        timings: of the run.

    Raises:
        DataError: the true masks cannot be read, or are of another size.
        EngineError: trackeval is not installed.
    """
    judge = _TrackJudge(clip, rows, shown_from, num_frames)
    judge.compare()
    judge.measure_boundaries()
    strengths = _strengths(rows, num_frames)
    ranked = sorted(strengths, key=lambda track_id: -strengths[track_id])
    ranks = {track_id: rank for rank, track_id in enumerate(ranked, start=1)}
    return ClipDiscovery(
        clip=clip.name,
        num_frames=num_frames,
        num_tracks=len(ranks),
        objects=tuple(judged.record(ranks) for _, judged in sorted(judge.objects.items())),
        association=judge.meter.counts(),
        timings=tuple(timings),
    )


@dataclass(slots=True)
class _Scored:
    """J and F of one track on each frame of one object."""

    region: list[float] = field(default_factory=list)
    boundary: list[float] = field(default_factory=list)
    worst: WorstFrame | None = None

    @property
    def worst_frame(self) -> WorstFrame:
        """The frame of the lowest J&F; there is one as soon as a frame was scored."""
        assert self.worst is not None
        return self.worst

    @property
    def mean(self) -> float:
        """J&F."""
        return (fmean(self.region) + fmean(self.boundary)) / 2

    def add(self, frame_index: int, truth: BoolArray, void: BoolArray | None, rle: CocoRle | None) -> None:
        """Score the track's mask on a frame; None where the track has no mask."""
        predicted = np.zeros_like(truth) if rle is None else decode_rle(rle)
        region, boundary = region_similarity(predicted, truth, void), boundary_measure(predicted, truth, void)
        self.region.append(region)
        self.boundary.append(boundary)
        if self.worst is None or (region + boundary) / 2 < self.worst.score:
            self.worst = WorstFrame(frame_index, (region + boundary) / 2, encode_rle(predicted))


@dataclass(slots=True)
class _TrueObject:
    """One object, and the tracks that touch it."""

    object_id: int
    missed: _Scored
    """What it scores if no track touches it."""
    frames: list[int] = field(default_factory=list)
    """The labelled frames that show it."""
    ious: dict[int, float] = field(default_factory=dict)
    """Sum over these frames, by track id."""
    seen: int | None = None
    """The first frame on which a track that was shown matched it."""
    scored: dict[int, _Scored] = field(default_factory=dict)
    """Scores by track id, of the tracks that can have the highest J&F."""

    def mean_ious(self) -> dict[int, float]:
        """Return J by track id, the highest first."""
        ordered = sorted(self.ious.items(), key=lambda pair: -pair[1])
        return {track_id: total / len(self.frames) for track_id, total in ordered}

    def next_candidate(self) -> int | None:
        """Return the next track whose J&F can be the highest, given that F is at most 1; None at the end."""
        best = max((scored.mean for scored in self.scored.values()), default=0.0)
        for track_id, iou in self.mean_ious().items():
            if track_id not in self.scored:
                return track_id if (iou + 1) / 2 > best else None
        return None

    def record(self, ranks: Mapping[int, int]) -> ObjectDiscovery:
        """Return the record; `ranks` are those of all tracks."""
        ious = self.mean_ious()
        best = max(self.scored, key=lambda track_id: self.scored[track_id].mean, default=None)
        scored = self.scored[best] if best is not None else self.missed
        return ObjectDiscovery(
            object_id=self.object_id,
            first_frame=self.frames[0],
            num_frames=len(self.frames),
            track_id=best,
            region=fmean(scored.region),
            boundary=fmean(scored.boundary),
            worst=scored.worst_frame,
            best_iou=next(iter(ious.values()), 0.0),
            ranks=tuple(
                min((ranks[track_id] for track_id, iou in ious.items() if iou >= least), default=None)
                for least in FOUND_IOUS
            ),
            latency=None if self.seen is None else self.seen - self.frames[0],
        )


class _TrackJudge:
    """Compares every object with every track."""

    def __init__(self, clip: ClipExample, rows: MaskRows, shown_from: Mapping[int, int], num_frames: int) -> None:
        self.clip, self.rows, self.shown_from = clip, rows, shown_from
        self.meter = AssociationMeter()
        self.objects: dict[int, _TrueObject] = {}
        self._frames = [index for index in clip.labelled_frames if index < num_frames]

    def compare(self) -> None:
        """Measure all IoUs."""
        for frame_index in self._frames:
            labels = self.clip.read_labels(frame_index)
            truth = {object_id: encode_rle(labels.mask(object_id)) for object_id in labels.object_ids}
            tracks = self._tracks_at(frame_index, labels)
            ious = self.meter.add(truth, tracks)
            for object_id, row in zip(truth, ious.tolist(), strict=True):
                if object_id not in self.objects:
                    missed = _Scored()
                    missed.add(frame_index, labels.mask(object_id), labels.void, None)
                    self.objects[object_id] = _TrueObject(object_id, missed)
                judged = self.objects[object_id]
                judged.frames.append(frame_index)
                for track_id, iou in zip(tracks, row, strict=True):
                    if iou > 0:
                        judged.ious[track_id] = judged.ious.get(track_id, 0.0) + iou
                    if (
                        iou >= MATCH_IOU
                        and judged.seen is None
                        and self.shown_from.get(track_id, math.inf) <= frame_index
                    ):
                        judged.seen = frame_index

    def measure_boundaries(self) -> None:
        """Measure F of the tracks that can have an object's highest J&F: one per object in each pass over the clip."""
        while candidates := {
            object_id: track_id
            for object_id, judged in self.objects.items()
            if (track_id := judged.next_candidate()) is not None
        }:
            scored = {object_id: _Scored() for object_id in candidates}
            for frame_index in self._frames:
                labels = self.clip.read_labels(frame_index)
                tracks = self._tracks_at(frame_index, labels)
                for object_id, track_id in candidates.items():
                    if object_id in labels.object_ids:
                        scored[object_id].add(frame_index, labels.mask(object_id), labels.void, tracks.get(track_id))
            for object_id, track_id in candidates.items():
                self.objects[object_id].scored[track_id] = scored[object_id]

    def _tracks_at(self, frame_index: int, labels: Labels) -> dict[int, CocoRle]:
        """Return the masks of a frame by track id, without void pixels; empty ones are left out."""
        masks = {row.object_id: row.rle for row in self.rows.frame(frame_index) if rle_area(row.rle)}
        for rle in masks.values():
            if rle_size(rle) != labels.size_hw:
                raise size_error(self.clip.label_where(frame_index), labels.size_hw, rle_size(rle))
        if labels.void is None:
            return masks
        judged = {track_id: decode_rle(rle) & ~labels.void for track_id, rle in masks.items()}
        return {
            track_id: encode_rle(mask)
            for track_id, mask in judged.items()
            if mask.sum() >= MAX_VOID * rle_area(masks[track_id]) and mask.any()
        }


def _strengths(rows: MaskRows, num_frames: int) -> dict[int, float]:
    """Return the sum of the reliabilities over all frames, by track id; tracks that are always empty are left out."""
    sums: dict[int, float] = {}
    for frame_index in range(num_frames):
        for row in rows.frame(frame_index):
            if rle_area(row.rle):
                sums[row.object_id] = sums.get(row.object_id, 0.0) + row.reliability
    return sums
