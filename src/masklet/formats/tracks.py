"""A CSV with one row per object: class, first and last frame, mean box, area and speed over the whole video."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from masklet.formats.base import ExportJob, Format
from masklet.formats.stream import BaseStream, FrameRows
from masklet.formats.table import Speedometer, mask_center_xy
from masklet.masks.rle import rle_area, rle_box_xyxy
from masklet.output import atomic_path, check_writable, naming_errors, spreadsheet_text
from masklet.schema import Options
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium

COLUMNS = (
    "medium",
    "object_id",
    "name",
    "class",
    "first_frame_index",
    "last_frame_index",
    "start_s",
    "end_s",
    "duration_s",
    "frames_visible",
    "mean_left",
    "mean_top",
    "mean_right",
    "mean_bottom",
    "mean_area_px",
    "least_area_px",
    "most_area_px",
    "path_px",
    "mean_speed_px_s",
    "most_speed_px_s",
    "mean_confidence",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TracksOptions(Options):
    label = "tracks"


@dataclass(slots=True)
class _TrackSummary:
    """What is known of one object so far."""

    medium: LabelledMedium
    object_id: int
    first: tuple[int, float]
    """Index and time of the first frame with the object."""
    last: tuple[int, float]
    count: int = 0
    box_sum: Any = field(default_factory=lambda: np.zeros(4))
    areas: tuple[int, int, int] = (0, 0, 0)
    """Sum, smallest and largest."""
    confidence_sum: float = 0.0
    motion: Speedometer = field(default_factory=Speedometer)

    def add(self, frame: FrameRows, row: MaskRow, box: Any) -> None:
        """Add a frame on which the object is visible."""
        area = rle_area(row.rle)
        total, least, most = self.areas
        self.areas = total + area, min(least, area) if self.count else area, max(most, area)
        self.last = frame.frame_index, frame.time_s
        self.count += 1
        self.box_sum += box
        self.confidence_sum += row.confidence
        self.motion.move(frame.time_s, mask_center_xy(row.mask))

    def cells(self) -> list[Any]:
        info = self.medium.masklets.info(self.object_id)
        duration_s = self.last[1] - self.first[1]
        total, least, most = self.areas
        return [
            spreadsheet_text(self.medium.name),
            self.object_id,
            spreadsheet_text(info.name),
            spreadsheet_text(info.class_name),
            self.first[0],
            self.last[0],
            f"{self.first[1]:.4f}",
            f"{self.last[1]:.4f}",
            f"{duration_s:.4f}",
            self.count,
            *(f"{edge:.2f}" for edge in self.box_sum / self.count),
            f"{total / self.count:.1f}",
            least,
            most,
            f"{self.motion.path_px:.2f}",
            f"{self.motion.path_px / duration_s:.3f}" if duration_s > 0 else "",
            f"{self.motion.most_px_s:.3f}" if duration_s > 0 else "",
            f"{self.confidence_sum / self.count:.4f}",
        ]


class TracksStream(BaseStream):
    """Collects what the rows need, a few numbers per object, and writes them when it is left."""

    def __init__(self, job: ExportJob[TracksOptions]) -> None:
        """Prepare.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(job.path))
        self._job = job
        self._tracks: dict[tuple[str, int], _TrackSummary] = {}

    def write(self, frame: FrameRows) -> None:
        if not self._tracks:
            self._stack.push(self._finish)
        for row in frame.rows:
            box = rle_box_xyxy(row.rle)
            if box is None:
                continue
            at = frame.frame_index, frame.time_s
            track = self._tracks.setdefault(
                (frame.medium.name, row.object_id), _TrackSummary(frame.medium, row.object_id, at, at)
            )
            track.add(frame, row, box)
            self._job.num_masks += 1

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the rows; after an error, those of a live output only."""
        if kind is not None and not self._job.is_live:
            return
        with (
            naming_errors(self.path),
            atomic_path(self.path) as temporary,
            temporary.open("w", encoding="utf-8-sig", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(track.cells() for track in self._tracks.values())


TRACKS = Format(
    id="tracks",
    name="Tracks (CSV)",
    description="One row per object: class, first and last frame, seconds, mean box, areas, path and speed. For counts "
    "and statistics; no masks. The csv format has a row per frame.",
    kinds=("video",),
    suffixes=(".csv",),
    options=TracksOptions,
    open_stream=TracksStream,
)
