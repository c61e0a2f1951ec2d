"""What an evaluation found: records, and what is made of them (JSON, tables, pictures, a comparison of two runs).

A report holds one record an object, so that every mean can be taken again from it. Scores are fractions, 0 to 1.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from rich.markup import escape
from rich.table import Table

from masklet._version import __version__
from masklet.errors import DataError
from masklet.evaluation.metrics import Click
from masklet.masks import CocoRle

Scores = dict[str, float]
"""Metric name to value, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class ObjectClicks:
    """How one object of one image was segmented."""

    source: str
    image_path: str
    mask_path: str
    object_id: int
    area_fraction: float
    """Of the image."""
    ious: tuple[float, ...]
    """IoU after 1, 2, ... clicks; the first is of the candidate with the highest IoU prediction."""
    best_iou: float
    """IoU of the best of the candidates after the first click."""
    box_iou: float | None
    """IoU for the tight box alone; None when boxes were not asked for."""
    clicks: tuple[Click, ...]
    """Fewer than `ious` when the mask became perfect on the way."""
    predicted: CocoRle
    """After the last click."""

    def clicks_to_reach(self, iou: float) -> int | None:
        """How many clicks it took (NoC); None when it never got there."""
        return next((count for count, value in enumerate(self.ious, start=1) if value >= iou), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "image": self.image_path,
            "object_id": self.object_id,
            "area_fraction": round(self.area_fraction, 6),
            "ious": [round(iou, 6) for iou in self.ious],
            "best_iou": round(self.best_iou, 6),
            "box_iou": None if self.box_iou is None else round(self.box_iou, 6),
            "clicks": [list(click) for click in self.clicks],
        }


@dataclass(frozen=True, slots=True)
class ClicksReport:
    """Clicks and boxes on images. `sources` are means over objects, `overall` the mean over sources."""

    model: str
    backend: str
    num_clicks: int
    objects: tuple[ObjectClicks, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, so that the run can be repeated."""

    @property
    def sources(self) -> dict[str, Scores]:
        """`miou@1` (chosen by IoU prediction), `miou@1_best` (best of three), `miou@3`, `miou@5`, `miou@box`."""
        grouped: dict[str, list[ObjectClicks]] = {}
        for record in self.objects:
            grouped.setdefault(record.source, []).append(record)
        return {name: self._means(records) for name, records in grouped.items()}

    @property
    def overall(self) -> Scores:
        return _mean_scores(self.sources.values())

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
        return scores

    def to_dict(self, command: str | None = None) -> dict[str, Any]:
        """The JSON document: `sources`, `overall`, how it was made, and one row an object."""
        sources = self.sources
        counts = Counter(record.source for record in self.objects)
        return {
            **_header("clicks", self.model, self.backend, command, self.settings),
            "num_objects": len(self.objects),
            "sources": {name: {**scores, "num_objects": counts[name]} for name, scores in sources.items()},
            "overall": self.overall,
            "objects": [record.to_dict() for record in self.objects],
        }

    def table(self) -> Table:
        """Rows are sources, columns metrics, in per cent."""
        counts = Counter(record.source for record in self.objects)
        return _score_table("source", self.sources, self.overall, counts)


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The frame on which an object was tracked worst: kept for its picture."""

    frame_index: int
    image_path: str
    mask_path: str
    score: float
    """Mean of J and F on this frame."""
    predicted: CocoRle


@dataclass(frozen=True, slots=True)
class ObjectTrack:
    """How one object of one clip was tracked; the rows of the tuples belong together."""

    clip: str
    object_id: int
    prompted_frame: int
    frame_indices: tuple[int, ...]
    """The judged frames, ascending."""
    region: tuple[float, ...]
    """J on each."""
    boundary: tuple[float, ...]
    """F on each."""
    worst: WorstFrame

    @property
    def scores(self) -> Scores:
        """`J`, `F` and `J&F`, means over the judged frames."""
        region, boundary = fmean(self.region), fmean(self.boundary)
        return {"J": region, "F": boundary, "J&F": (region + boundary) / 2}

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.scores,
            "prompted_frame": self.prompted_frame,
            "num_frames": len(self.frame_indices),
            "worst_frame": self.worst.frame_index,
        }


@dataclass(frozen=True, slots=True)
class VosReport:
    """Objects followed through clips. `clips` are means over objects, `overall` the mean over clips."""

    model: str
    backend: str
    prompt: str
    """'mask', 'click' or 'box'."""
    tracks: tuple[ObjectTrack, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def clips(self) -> dict[str, Scores]:
        """`J`, `F`, `J&F` of each clip: means over the frames of an object, then over objects."""
        return {name: _mean_scores(track.scores for track in tracks) for name, tracks in self._by_clip().items()}

    @property
    def overall(self) -> Scores:
        """Mean over clips."""
        return _mean_scores(self.clips.values())

    @property
    def over_objects(self) -> Scores:
        """Mean over the objects of all clips alike: the global score of the DAVIS toolkit."""
        return _mean_scores(track.scores for track in self.tracks)

    def _by_clip(self) -> dict[str, list[ObjectTrack]]:
        grouped: dict[str, list[ObjectTrack]] = {}
        for track in self.tracks:
            grouped.setdefault(track.clip, []).append(track)
        return grouped

    def to_dict(self, command: str | None = None) -> dict[str, Any]:
        """The JSON document: `clips` with their objects, `overall`, and how it was made."""
        clips = self.clips
        return {
            **_header(f"vos {self.prompt}", self.model, self.backend, command, self.settings),
            "num_objects": len(self.tracks),
            "clips": {
                name: {
                    **clips[name],
                    "num_objects": len(tracks),
                    "objects": {str(track.object_id): track.to_dict() for track in tracks},
                }
                for name, tracks in self._by_clip().items()
            },
            "overall": self.overall,
            "over_objects": self.over_objects,
        }

    def table(self) -> Table:
        """Rows are clips, columns J, F, J&F, in per cent."""
        counts = {name: len(tracks) for name, tracks in self._by_clip().items()}
        return _score_table("clip", self.clips, self.overall, counts)


@dataclass(frozen=True, slots=True)
class Change:
    """One number of two runs."""

    name: str
    """Source or clip, or 'overall'."""
    metric: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one run to another, over what both have measured."""

    before_model: str
    after_model: str
    changes: tuple[Change, ...]
    unmatched: tuple[str, ...]
    """Sources or clips that only one of the two has: `overall` then compares different things."""

    def to_dict(self) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {}
        for change in self.changes:
            row = {"before": change.before, "after": change.after, "difference": change.difference}
            rows.setdefault(change.name, {})[change.metric] = row
        return {
            "before": self.before_model,
            "after": self.after_model,
            "changes": rows,
            "unmatched": list(self.unmatched),
        }

    def table(self) -> Table:
        """Rows as in the reports; each cell the new value and the change, in per cent."""
        metrics = list(dict.fromkeys(change.metric for change in self.changes))
        cells: dict[str, dict[str, str]] = {}
        for change in self.changes:
            style = "green" if change.difference > 0 else "red" if change.difference < 0 else "dim"
            text = f"{change.after * 100:.1f} [{style}]{change.difference * 100:+.1f}[/]"
            cells.setdefault(change.name, {})[change.metric] = text
        table = Table(show_edge=False)
        table.add_column("")
        for metric in metrics:
            table.add_column(metric, justify="right")
        for name, row in cells.items():
            if name == "overall":
                table.add_section()
            style = "bold" if name == "overall" else ""
            table.add_row(escape(name), *(row.get(metric, "") for metric in metrics), style=style)
        return table


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two report documents (`to_dict`, or read back from JSON).

    Raises:
        DataError: a document is no report, or the two measured different tasks.
    """
    for document in (before, after):
        if not {"task", "model", "overall"} <= document.keys() or _rows(document) is None:
            raise DataError(
                "this is not a report of `masklet evaluate`: it has no task, model, overall, and sources or clips"
            )
    if before["task"] != after["task"]:
        raise DataError(f"the reports measured different tasks: {before['task']!r} and {after['task']!r}")
    rows_before, rows_after = _rows(before) or {}, _rows(after) or {}
    rows = [(name, rows_before[name], rows_after[name]) for name in rows_before if name in rows_after]
    rows.append(("overall", before["overall"], after["overall"]))
    changes = tuple(
        Change(name, metric, float(old[metric]), float(new[metric]))
        for name, old, new in rows
        for metric in before["overall"]
        if metric in old and metric in new
    )
    return Comparison(before["model"], after["model"], changes, tuple(sorted(rows_before.keys() ^ rows_after.keys())))


def _rows(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
    rows = document.get("sources", document.get("clips"))
    return rows if isinstance(rows, Mapping) else None


def _mean_scores(rows: Iterable[Scores]) -> Scores:
    rows = list(rows)
    return {name: fmean(row[name] for row in rows) for name in rows[0]} if rows else {}


def _header(task: str, model: str, backend: str, command: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": task,
        "command": command,
        "model": model,
        "settings": dict(settings),
        "versions": {"masklet": __version__, "python": platform.python_version(), "backend": backend},
    }


def _score_table(first_column: str, rows: Mapping[str, Scores], overall: Scores, counts: Mapping[str, int]) -> Table:
    table = Table(show_edge=False)
    table.add_column(first_column, no_wrap=True)
    table.add_column("objects", justify="right")
    for name in overall:
        table.add_column(name, justify="right")
    for name, scores in rows.items():
        table.add_row(escape(name), str(counts[name]), *(f"{scores[metric] * 100:.1f}" for metric in overall))
    table.add_section()
    table.add_row(
        "overall", str(sum(counts.values())), *(f"{value * 100:.1f}" for value in overall.values()), style="bold"
    )
    return table
