"""Reports of evaluations, as one JSON document and one table each. `records` are their rows, `compare` takes two.

Scores are fractions, 0 to 1, in the document and per cent in tables.
"""

from __future__ import annotations

import csv
import io
import platform
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeVar

from rich.markup import escape
from rich.table import Table

from masklet._version import __version__
from masklet.evaluation.records import (
    ImageMasks,
    ObjectClicks,
    ObjectRounds,
    ObjectTrack,
    Scores,
    mean_scores,
)

NOC_MAX = 20
"""Clicks an object gets at most when they are counted."""
NOC_LEVELS = (0.85, 0.90)
"""IoUs that are to be reached."""

EVERYTHING_METRICS = (
    *("AR@1000", "AR@1000_small", "AR@1000_medium", "AR@1000_large"),
    *("AR@100", "AP", "AP50", "AP75"),
)
"""In the order in which they are shown. A source without small objects has no number for them."""

TABLE_METRICS = 9
"""Columns of numbers in a table; the document has them all."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class EvaluationReport(ABC):
    """Base of all reports. `rows` are sources or clips, `overall` is the number to quote."""

    model: str
    backend: str
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """The settings of the run, so that it can be repeated."""

    @property
    @abstractmethod
    def task(self) -> str:
        """The name of the measurement: only reports of one task can be compared."""

    @property
    @abstractmethod
    def rows(self) -> dict[str, Scores]:
        """Scores by source or clip."""

    @property
    @abstractmethod
    def overall(self) -> Scores: ...

    @property
    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Objects of each row."""

    @abstractmethod
    def body(self) -> dict[str, Any]:
        """Return the rows and other content of the document."""

    def to_dict(self, command: str | None = None) -> dict[str, Any]:
        """Return the JSON document: settings, rows and `overall`."""
        return {
            "task": self.task,
            "command": command,
            "model": self.model,
            "settings": dict(self.settings),
            "versions": {"masklet": __version__, "python": platform.python_version(), "backend": self.backend},
            "num_objects": sum(self.counts.values()),
            **self.body(),
        }

    def table(self) -> Table:
        """Return rows and overall, in per cent."""
        names = list(self.overall)[:TABLE_METRICS]
        table = Table(show_edge=False)
        table.add_column(self.row_title, no_wrap=True)
        table.add_column("objects", justify="right")
        for name in names:
            table.add_column(name, justify="right")
        for row, scores in self.rows.items():
            table.add_row(escape(row), str(self.counts[row]), *(_shown(name, scores.get(name)) for name in names))
        table.add_section()
        total = str(sum(self.counts.values()))
        table.add_row("overall", total, *(_shown(name, self.overall[name]) for name in names), style="bold")
        return table

    def to_csv(self) -> str:
        """Return rows and overall, as fractions, for a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([self.row_title, "objects", *self.overall])
        for row, scores in {**self.rows, "overall": self.overall}.items():
            count = self.counts[row] if row in self.rows else sum(self.counts.values())
            writer.writerow([row, count, *(scores.get(name, "") for name in self.overall)])
        return text.getvalue()

    @property
    def row_title(self) -> str:
        """Title of the column of row names."""
        return "clip"


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if is_count(name) else f"{value * 100:.1f}"


def is_count(metric: str) -> bool:
    """Return True if a metric is a count or a time: less is better, and it is not a fraction."""
    return metric.startswith(("noc@", "jitter", "id_switches", "latency", "ms_per_frame")) or metric == "tracks"


@dataclass(frozen=True, slots=True)
class ClicksReport(EvaluationReport):
    """Clicks and boxes on images. Rows are means over the objects of a source, `overall` the mean over sources."""

    num_clicks: int
    objects: tuple[ObjectClicks, ...]
    with_noc: bool = False

    @property
    def task(self) -> str:
        return "clicks"

    @property
    def row_title(self) -> str:
        return "source"

    @property
    def rows(self) -> dict[str, Scores]:
        """`miou@1` (chosen by IoU prediction), `miou@1_best` (best of three), `miou@3`, `miou@5`, `miou@box`,
        `noc@85`, `noc@90` (clicks; `NOC_MAX` where it was not reached) and `failed@90` (the share of those)."""
        return {name: self._means(records) for name, records in _grouped(self.objects, "source").items()}

    @property
    def overall(self) -> Scores:
        return mean_scores(list(self.rows.values()))

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(record.source for record in self.objects)

    def body(self) -> dict[str, Any]:
        return {
            "sources": {name: {**scores, "num_objects": self.counts[name]} for name, scores in self.rows.items()},
            "overall": self.overall,
            "objects": [record.to_dict() for record in self.objects],
        }

    def _means(self, records: Sequence[ObjectClicks]) -> Scores:
        scores = {
            "miou@1": fmean(record.ious[0] for record in records),
            "miou@1_best": fmean(record.best_iou for record in records),
        }
        for count in sorted({3, 5, self.num_clicks} - {1}):
            if count <= self.num_clicks:
                scores[f"miou@{count}"] = fmean(record.ious[count - 1] for record in records)
        boxes = [record.box_iou for record in records if record.box_iou is not None]
        if boxes:
            scores["miou@box"] = fmean(boxes)
        if self.with_noc:
            scores.update(_noc_scores(records))
        return scores


def _noc_scores(records: Sequence[ObjectClicks]) -> Scores:
    reached = {level: [record.clicks_to_reach(level) for record in records] for level in NOC_LEVELS}
    scores = {
        f"noc@{level * 100:.0f}": fmean(NOC_MAX if count is None else min(count, NOC_MAX) for count in counts)
        for level, counts in reached.items()
    }
    highest = max(NOC_LEVELS)
    scores[f"failed@{highest * 100:.0f}"] = fmean(count is None for count in reached[highest])
    return scores


@dataclass(frozen=True, slots=True)
class VosReport(EvaluationReport):
    """Objects followed through clips. Rows are means over the objects of a clip."""

    task_name: str
    """'vos mask', 'vos click', 'vos box', or 'masks' for written ones."""
    tracks: tuple[ObjectTrack, ...]
    mean_over: str = "clips"
    """The rows that `overall` is the mean of: 'clips', or 'objects' as in most benchmarks."""
    groups: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """'seen' or 'unseen' by (clip, object id): `overall` is then the mean of the two."""

    @property
    def task(self) -> str:
        return self.task_name

    @property
    def rows(self) -> dict[str, Scores]:
        """`J`, `F`, `J&F` of each clip: means over the frames of an object, then over objects."""
        return {name: mean_scores([track.scores for track in tracks]) for name, tracks in self._by_clip().items()}

    @property
    def overall(self) -> Scores:
        if self.groups:
            return mean_scores(list(self.group_scores.values()))
        return mean_scores(list(self.rows.values())) if self.mean_over == "clips" else self.over_objects

    @property
    def over_objects(self) -> Scores:
        """Mean over the objects of all clips alike: the global score of the DAVIS toolkit."""
        return mean_scores([track.scores for track in self.tracks])

    @property
    def group_scores(self) -> dict[str, Scores]:
        """Scores of seen and of unseen objects; their mean J&F is YouTube-VOS's G."""
        grouped: dict[str, list[Scores]] = {}
        for track in self.tracks:
            if (group := self.groups.get((track.clip, track.object_id))) is not None:
                grouped.setdefault(group, []).append(track.scores)
        return {name: mean_scores(scores) for name, scores in sorted(grouped.items())}

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(track.clip for track in self.tracks)

    def body(self) -> dict[str, Any]:
        rows = self.rows
        return {
            "clips": {
                name: {
                    **rows[name],
                    "num_objects": len(tracks),
                    "objects": {str(track.object_id): track.to_dict() for track in tracks},
                }
                for name, tracks in self._by_clip().items()
            },
            "overall": self.overall,
            "over_objects": self.over_objects,
            "groups": self.group_scores,
            "statistics": mean_scores([track.statistics for track in self.tracks]),
            "stability": mean_scores([track.steadiness for track in self.tracks]),
        }

    def _by_clip(self) -> dict[str, list[ObjectTrack]]:
        return _grouped(self.tracks, "clip")


@dataclass(frozen=True, slots=True)
class InteractiveReport(EvaluationReport):
    """Objects corrected on more and more frames. Rows are means over the objects of a clip, `overall` over clips."""

    mode: str
    objects: tuple[ObjectRounds, ...]

    @property
    def task(self) -> str:
        return f"interactive {self.mode}"

    @property
    def rows(self) -> dict[str, Scores]:
        """`J&F@1`, `J&F@2`, ... after so many prompted frames, and `J&F`, their mean."""
        grouped = _grouped(self.objects, "clip")
        return {name: mean_scores([record.scores for record in objects]) for name, objects in grouped.items()}

    @property
    def overall(self) -> Scores:
        return mean_scores(list(self.rows.values()))

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(record.clip for record in self.objects)

    @property
    def efforts(self) -> list[dict[str, float]]:
        """Effort and score for each number of prompted frames, mean over objects: for a curve over time."""
        rounds = zip(*(record.rounds for record in self.objects), strict=True)
        return [
            {
                "frames": fmean(record.num_frames for record in row),
                "clicks": fmean(record.num_clicks for record in row),
                "seconds": fmean(record.seconds for record in row),
                "J&F": fmean(record.score for record in row),
            }
            for row in rounds
        ]

    def body(self) -> dict[str, Any]:
        rows = self.rows
        return {
            "clips": {
                name: {
                    **rows[name],
                    "num_objects": len(objects),
                    "objects": {str(record.object_id): record.to_dict() for record in objects},
                }
                for name, objects in _grouped(self.objects, "clip").items()
            },
            "overall": self.overall,
            "efforts": self.efforts,
        }


@dataclass(frozen=True, slots=True)
class EverythingReport(EvaluationReport):
    """Automatic masks of images. Rows are sources, as COCO measures each, `overall` is the mean over sources."""

    images: tuple[ImageMasks, ...]
    scores: Mapping[str, Scores]
    image_recalls: Mapping[str, float]
    """AR@1000 of each image alone."""

    @property
    def task(self) -> str:
        return "everything"

    @property
    def row_title(self) -> str:
        return "source"

    @property
    def rows(self) -> dict[str, Scores]:
        """Those of `EVERYTHING_METRICS` that the source's objects have."""
        return dict(self.scores)

    @property
    def overall(self) -> Scores:
        means = mean_scores(list(self.scores.values()))
        return {name: means[name] for name in EVERYTHING_METRICS if name in means}

    @property
    def counts(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for image in self.images:
            counts[image.source] += sum(not mask.ignored for mask in image.truth)
        return {name: count for name, count in counts.items() if name in self.scores}

    def body(self) -> dict[str, Any]:
        return {
            "sources": {name: {**scores, "num_objects": self.counts[name]} for name, scores in self.scores.items()},
            "overall": self.overall,
            "images": [
                {
                    "source": image.source,
                    "image": image.image,
                    "num_found": len(image.found),
                    "AR@1000": self.image_recalls.get(image.image),
                }
                for image in self.images
            ],
        }


def _grouped(records: Iterable[R], attribute: str) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = {}
    for record in records:
        groups.setdefault(getattr(record, attribute), []).append(record)
    return groups
