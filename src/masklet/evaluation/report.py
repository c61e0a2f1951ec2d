"""What an evaluation found: records, and what is made of them (JSON, tables, pictures, a comparison of two runs).

A report holds one record an object, so that every mean can be taken again from it. Scores are fractions, 0 to 1.
"""

from __future__ import annotations

import math
import platform
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from masklet._version import __version__
from masklet.evaluation.metrics import Click
from masklet.records import BoolArray

Scores = dict[str, float]
"""Metric name to value, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask kept for a picture later, in a few hundred bytes."""

    size_hw: tuple[int, int]
    packed: bytes
    """One bit a pixel, deflated."""

    @classmethod
    def pack(cls, mask: BoolArray) -> PackedMask:
        """Of a (H, W) mask."""
        return cls((mask.shape[0], mask.shape[1]), zlib.compress(np.packbits(mask).tobytes(), level=1))

    def unpack(self) -> BoolArray:
        """The (H, W) mask."""
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        return np.unpackbits(bits, count=math.prod(self.size_hw)).astype(bool).reshape(self.size_hw)


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
    predicted: PackedMask
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
        counts = {name: sum(record.source == name for record in self.objects) for name in self.sources}
        return {
            **_header("clicks", self.model, self.backend, command, self.settings),
            "num_objects": len(self.objects),
            "sources": {name: {**scores, "num_objects": counts[name]} for name, scores in self.sources.items()},
            "overall": self.overall,
            "objects": [record.to_dict() for record in self.objects],
        }

    def table(self) -> Table:
        """Rows are sources, columns metrics, in per cent."""
        counts = {name: sum(record.source == name for record in self.objects) for name in self.sources}
        return _table("source", self.sources, self.overall, counts)


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


def _table(first_column: str, rows: Mapping[str, Scores], overall: Scores, counts: Mapping[str, int]) -> Table:
    table = Table(show_edge=False)
    table.add_column(first_column, no_wrap=True)
    table.add_column("objects", justify="right")
    for name in overall:
        table.add_column(name, justify="right")
    for name, scores in rows.items():
        table.add_row(name, str(counts[name]), *(f"{scores[metric] * 100:.1f}" for metric in overall))
    table.add_section()
    table.add_row(
        "overall", str(sum(counts.values())), *(f"{value * 100:.1f}" for value in overall.values()), style="bold"
    )
    return table
