"""Records of measured objects and images. Every mean of a report can be computed again from these.

Scores are fractions, 0 to 1. Records are plain values, so that a journal can hold them as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from masklet.evaluation.metrics import Click
from masklet.evaluation.stability import Stability
from masklet.masks.rle import CocoRle

Scores = dict[str, float]
"""Metric name to value, in the order in which they are shown."""


def mean_scores(rows: list[Scores]) -> Scores:
    """Return each metric's mean over the rows that have it; empty without rows."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: fmean(row[name] for row in rows if name in row) for name in names}


@dataclass(frozen=True, slots=True)
class ObjectClicks:
    """Scores of one object of one image."""

    source: str
    image: str
    """Name in its data set."""
    object_id: int
    area_fraction: float
    """Area of the object as a fraction of the image."""
    ious: tuple[float, ...]
    """IoU after 1, 2, ... clicks; the first is of the candidate with the highest IoU prediction."""
    best_iou: float
    """IoU of the best of the candidates after the first click."""
    box_iou: float | None
    """IoU for the tight box alone; None when boxes were not asked for."""
    clicks: tuple[Click, ...]
    """Fewer than `ious` when the mask became perfect before the last click."""
    predicted: CocoRle
    """After the last click."""

    def clicks_to_reach(self, iou: float) -> int | None:
        """Return the number of clicks that it took; None if the IoU was never reached."""
        return next((count for count, value in enumerate(self.ious, start=1) if value >= iou), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "image": self.image,
            "object_id": self.object_id,
            "area_fraction": round(self.area_fraction, 6),
            "ious": [round(iou, 6) for iou in self.ious],
            "best_iou": round(self.best_iou, 6),
            "box_iou": None if self.box_iou is None else round(self.box_iou, 6),
            "clicks": [list(click) for click in self.clicks],
        }


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The frame on which an object was tracked worst: kept for its picture."""

    frame_index: int
    score: float
    """Mean of J and F on this frame."""
    predicted: CocoRle


@dataclass(frozen=True, slots=True)
class ObjectTrack:
    """Scores of one object of one clip; item i of every tuple is the same frame."""

    clip: str
    object_id: int
    prompted_frame: int
    """The first labelled frame that shows it."""
    frame_indices: tuple[int, ...]
    """The judged frames, ascending."""
    region: tuple[float, ...]
    """J on each."""
    boundary: tuple[float, ...]
    """F on each."""
    worst: WorstFrame
    stability: Stability | None = None

    @property
    def scores(self) -> Scores:
        """`J`, `F` and `J&F`, means over the judged frames."""
        region, boundary = fmean(self.region), fmean(self.boundary)
        return {"J": region, "F": boundary, "J&F": (region + boundary) / 2}

    @property
    def statistics(self) -> Scores:
        """DAVIS's recall (share of frames above 0.5) and decay (first quarter less last quarter) of J and F.

        Source: davis2017-evaluation, utils.py `db_statistics`.
        """
        return {
            "J_recall": fmean(value > 0.5 for value in self.region),
            "J_decay": _decay(self.region),
            "F_recall": fmean(value > 0.5 for value in self.boundary),
            "F_decay": _decay(self.boundary),
        }

    @property
    def steadiness(self) -> Scores:
        """The fields of `Stability`, as scores; empty where there is none."""
        if self.stability is None:
            return {}
        names = ("warped_iou", "warped_iou_truth", "jitter", "jitter_truth")
        return {name: getattr(self.stability, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.scores,
            **self.statistics,
            **self.steadiness,
            "prompted_frame": self.prompted_frame,
            "num_frames": len(self.frame_indices),
            "worst_frame": self.worst.frame_index,
        }


def _decay(values: tuple[float, ...]) -> float:
    """Neighbouring quarters share a frame, as in the source."""
    edges = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(int).tolist()
    quarters = [values[start : stop + 1] for start, stop in pairwise(edges)]
    return fmean(quarters[0]) - fmean(quarters[3])


@dataclass(frozen=True, slots=True)
class Round:
    """One object after a number of prompted frames."""

    num_frames: int
    """Frames prompted until now; fewer than asked for when nothing was left to correct."""
    num_clicks: int
    seconds: float
    """An annotator's time; see `interactive.annotation_time`."""
    region: float
    """J, mean over the labelled frames from the first one that shows the object."""
    boundary: float
    """F."""

    @property
    def score(self) -> float:
        """J&F."""
        return (self.region + self.boundary) / 2


@dataclass(frozen=True, slots=True)
class ObjectRounds:
    """Scores of one object of one clip as more and more frames are prompted."""

    clip: str
    object_id: int
    first_frame: int
    prompted_frames: tuple[int, ...]
    """In the order in which they were chosen, in the last round."""
    rounds: tuple[Round, ...]
    """One for each number of prompted frames, from 1."""
    worst: WorstFrame
    """After the last round."""

    @property
    def scores(self) -> Scores:
        """`J&F@1`, `J&F@2`, ... after so many prompted frames, and `J&F`, their mean."""
        after = {f"J&F@{count}": round_.score for count, round_ in enumerate(self.rounds, start=1)}
        return {**after, "J&F": fmean(round_.score for round_ in self.rounds)}

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.scores,
            "first_frame": self.first_frame,
            "prompted_frames": list(self.prompted_frames),
            "rounds": [
                {"J": round_.region, "F": round_.boundary, "clicks": round_.num_clicks, "seconds": round_.seconds}
                for round_ in self.rounds
            ],
            "worst_frame": self.worst.frame_index,
        }


@dataclass(frozen=True, slots=True)
class FoundMask:
    """One automatic mask, or one true one."""

    rle: CocoRle
    score: float = 1.0
    """The model's IoU prediction, by which masks are ranked."""
    ignored: bool = False
    """For true masks only: these pixels are unlabelled, so masks on them are neither right nor wrong."""


@dataclass(frozen=True, slots=True)
class ImageMasks:
    """Masks found in one image, and its true masks."""

    source: str
    image: str
    found: tuple[FoundMask, ...]
    truth: tuple[FoundMask, ...]
