"""Records and report of objects that were found without prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from masklet.evaluation.association import AssociationCounts, association_scores
from masklet.evaluation.records import Scores, WorstFrame, mean_scores
from masklet.evaluation.report import EvaluationReport

FOUND_IOUS = (0.5, 0.75)
"""Mean IoUs of a track from which an object counts as found."""
TRACK_COUNTS = (1, 2, 3, 5, 10, 15, 20, 30, 50, 100)
"""Numbers of tracks for which the recall is reported."""


@dataclass(frozen=True, slots=True)
class ObjectDiscovery:
    """What was found of one true object. Its frames are the labelled frames that show it."""

    object_id: int
    first_frame: int
    """The first of its frames."""
    num_frames: int
    track_id: int | None
    """The track of the highest J&F; None if no track ever touches the object."""
    region: float
    """J of that track, mean over the object's frames."""
    boundary: float
    """F of that track."""
    best_iou: float
    """The highest J of any track."""
    ranks: tuple[int | None, ...]
    """For each of `FOUND_IOUS`: the best rank of a track whose mean IoU reaches it, counted from 1; None if none does.
    Tracks are ranked by the sum of their reliabilities over the frames."""
    worst: WorstFrame
    """The frame on which the best track is worst; the first one, with an empty mask, where there is no track."""
    latency: int | None
    """Frames from the first of its frames until a track that was shown matched it; None if none ever did."""

    @property
    def scores(self) -> Scores:
        """`recall@50`, `recall@75` (0 or 1), `best_track_J&F` and, if it was found, `latency_frames`."""
        scores = {
            f"recall@{iou * 100:.0f}": float(rank is not None) for iou, rank in zip(FOUND_IOUS, self.ranks, strict=True)
        }
        scores["best_track_J&F"] = (self.region + self.boundary) / 2
        if self.latency is not None:
            scores["latency_frames"] = float(self.latency)
        return scores

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.scores,
            "best_track_J": self.region,
            "best_track_F": self.boundary,
            "best_iou": self.best_iou,
            "track_id": self.track_id,
            "first_frame": self.first_frame,
            "num_frames": self.num_frames,
            "worst_frame": self.worst.frame_index,
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of the frames on which the same number of objects was shown."""

    num_objects: int
    num_frames: int
    seconds: float
    """Sum over the frames."""


@dataclass(frozen=True, slots=True)
class ClipDiscovery:
    """Result of one clip."""

    clip: str
    num_frames: int
    """Tracked frames."""
    num_tracks: int
    """Tracks that have a mask on some frame."""
    objects: tuple[ObjectDiscovery, ...]
    association: AssociationCounts
    timings: tuple[Timing, ...]

    @property
    def scores(self) -> Scores:
        """The metrics of `DiscoveryReport.overall`. A clip without objects has only `tracks` and `ms_per_frame`."""
        scores: Scores = {}
        if self.objects:
            means = mean_scores([found.scores for found in self.objects])
            latency = {name: means.pop(name) for name in ("latency_frames",) if name in means}
            association = association_scores([self.association])
            scores = {
                **{name: value for name, value in means.items() if name.startswith("recall")},
                **association,
                "best_track_J&F": means["best_track_J&F"],
                **latency,
            }
        scores["tracks"] = float(self.num_tracks)
        scores["ms_per_frame"] = 1000 * sum(timing.seconds for timing in self.timings) / max(1, self.num_frames)
        return {name: scores[name] for name in METRICS if name in scores}


METRICS = (
    *("recall@50", "recall@75", "tracks", "best_track_J&F"),
    *("hota", "deta", "assa", "idf1", "id_switches"),
    *("id_switches_per_100", "owta", "latency_frames", "ms_per_frame"),
)
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class DiscoveryReport(EvaluationReport):
    """Objects found without prompts. Rows are clips, `overall` is the mean over clips."""

    method: str
    clips: tuple[ClipDiscovery, ...]

    @property
    def task(self) -> str:
        return "discovery"

    @property
    def rows(self) -> dict[str, Scores]:
        """Those of `METRICS` that a clip has."""
        return {clip.clip: clip.scores for clip in self.clips}

    @property
    def overall(self) -> Scores:
        means = mean_scores(list(self.rows.values()))
        return {name: means[name] for name in METRICS if name in means}

    @property
    def combined(self) -> Scores:
        """All clips as one: recall, J&F and latency over all objects, the others over all masks, tracks summed."""
        objects = mean_scores([found.scores for clip in self.clips for found in clip.objects])
        association = association_scores([clip.association for clip in self.clips])
        scores = {**objects, **association, "tracks": float(sum(clip.num_tracks for clip in self.clips))}
        return {name: scores[name] for name in METRICS if name in scores}

    @property
    def counts(self) -> Mapping[str, int]:
        return {clip.clip: len(clip.objects) for clip in self.clips}

    def recall_curve(self) -> list[dict[str, float]]:
        """Return the recall over all objects of the best ranked 1, 2, 3, 5, ... tracks of each clip."""
        most = max((clip.num_tracks for clip in self.clips), default=0)
        counts = [count for count in TRACK_COUNTS if count < most] + [most]
        ranks = [found.ranks for clip in self.clips for found in clip.objects]
        return [
            {
                "tracks": count,
                **{
                    f"recall@{iou * 100:.0f}": _share_within([row[column] for row in ranks], count)
                    for column, iou in enumerate(FOUND_IOUS)
                },
            }
            for count in counts
        ]

    def body(self) -> dict[str, Any]:
        rows = self.rows
        return {
            "method": self.method,
            "clips": {
                clip.clip: {
                    **rows[clip.clip],
                    "num_frames": clip.num_frames,
                    "num_objects": len(clip.objects),
                    "objects": {str(found.object_id): found.to_dict() for found in clip.objects},
                }
                for clip in self.clips
            },
            "overall": self.overall,
            "combined": self.combined,
            "recall_by_tracks": self.recall_curve(),
            "ms_by_objects": [
                {"objects": timing.num_objects, "frames": timing.num_frames, "ms_per_frame": mean_ms(timing)}
                for timing in sum_timings([timing for clip in self.clips for timing in clip.timings])
            ],
        }


def sum_timings(timings: Sequence[Timing]) -> list[Timing]:
    """Add up the frames with the same number of objects; by ascending number."""
    sums: dict[int, tuple[int, float]] = {}
    for timing in timings:
        frames, seconds = sums.get(timing.num_objects, (0, 0.0))
        sums[timing.num_objects] = frames + timing.num_frames, seconds + timing.seconds
    return [Timing(count, *sums[count]) for count in sorted(sums)]


def mean_ms(timing: Timing) -> float:
    """Return the milliseconds per frame."""
    return 1000 * timing.seconds / timing.num_frames


def _share_within(ranks: Sequence[int | None], count: int) -> float:
    return fmean(rank is not None and rank <= count for rank in ranks) if ranks else 0.0
