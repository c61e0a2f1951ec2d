"""A CSV with one row per object and frame: position, size, status and scores."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from masklet.formats.base import ExportJob, Format
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.operations import mask_box_xyxy
from masklet.output import atomic_path, check_writable, naming_errors, spreadsheet_text
from masklet.records import BoolArray
from masklet.schema import Options, switch_field
from masklet.tracking.mask_rows import MaskRow

COLUMNS = (
    "medium",
    "frame_index",
    "time_s",
    "object_id",
    "name",
    "class",
    "status",
    "area_px",
    "area_share",
    "box_left",
    "box_top",
    "box_right",
    "box_bottom",
    "center_x",
    "center_y",
    "speed_px_s",
    "iou_prediction",
    "confidence",
    "object_score",
    "prompted",
    "accepted",
    "review",
)


@dataclass(slots=True)
class Speedometer:
    """The path of an object's centre; frames without the object are crossed in a straight line."""

    path_px: float = 0.0
    most_px_s: float = 0.0
    _last: tuple[float, float, float] | None = None
    """Time, x and y of the last centre."""

    def move(self, time_s: float, center_xy: tuple[float, float]) -> float | None:
        """Move to the centre on a frame, and return the speed in pixels per second; None on the first."""
        last, self._last = self._last, (time_s, *center_xy)
        if last is None or time_s <= last[0]:
            return None
        distance = math.hypot(center_xy[0] - last[1], center_xy[1] - last[2])
        speed = distance / (time_s - last[0])
        self.path_px += distance
        self.most_px_s = max(self.most_px_s, speed)
        return speed


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions(Options):
    label = "csv"
    absent: bool = switch_field(True, "Add rows for frames without the object", only_for="video")


class CsvStream(BaseStream):
    """Writes one CSV file in UTF-8, with a byte order mark for spreadsheets."""

    def __init__(self, job: ExportJob[CsvOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(job.path))
        self._job = job
        self._file: IO[str] | None = None
        self._motion: dict[tuple[str, int], Speedometer] = {}

    def write(self, frame: FrameRows) -> None:
        cells = [cells for row in frame.rows if (cells := self._cells(frame, row)) is not None]
        with naming_errors(self.path):
            self.check_space(keeps_frames=self._job.is_live)
            file = self._file or self._open()
            csv.writer(file).writerows(cells)

    def _open(self) -> IO[str]:
        temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._job.is_live))
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8-sig", newline=""))
        csv.writer(self._file).writerow(COLUMNS)
        return self._file

    def _cells(self, frame: FrameRows, row: MaskRow) -> Sequence[Any] | None:
        mask = row.mask
        box = mask_box_xyxy(mask)
        self._job.num_masks += box is not None
        if box is None and not self._job.options.absent:
            return None
        info = frame.medium.masklets.info(row.object_id)
        position: list[object] = [""] * 7
        area = int(np.count_nonzero(mask))
        if box is not None:
            center_x, center_y = mask_center_xy(mask)
            track = self._motion.setdefault((frame.medium.name, row.object_id), Speedometer())
            speed = track.move(frame.time_s, (center_x, center_y))
            position = [
                *(int(edge) for edge in box),
                f"{center_x:.2f}",
                f"{center_y:.2f}",
                "" if speed is None else f"{speed:.3f}",
            ]
        return [
            spreadsheet_text(frame.medium.name),
            frame.frame_index,
            f"{frame.time_s:.4f}",
            row.object_id,
            spreadsheet_text(info.name),
            spreadsheet_text(info.class_name),
            row.status,
            area,
            f"{area / mask.size:.6f}",
            *position,
            f"{row.iou_prediction:.4f}",
            f"{row.confidence:.4f}",
            f"{row.object_score:.4f}",
            int(row.prompted),
            int(row.accepted),
            int(row.review),
        ]


def mask_center_xy(mask: BoolArray) -> tuple[float, float]:
    """Return the mean x and y of the pixels of an (H, W) mask that is not empty."""
    ys, xs = np.nonzero(mask)
    return float(xs.mean()) + 0.5, float(ys.mean()) + 0.5


CSV = Format(
    id="csv",
    name="CSV table",
    description="One row per object and frame: area, box, centre, speed, status, scores. For spreadsheets and "
    "statistics; no masks.",
    kinds=("image", "video"),
    suffixes=(".csv",),
    options=CsvOptions,
    open_stream=CsvStream,
    file_name="masks.csv",
)
