"""A CSV with one row per object and frame: position, size, status and scores."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from masklet.formats.base import ExportJob, Format
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.operations import mask_box_xyxy
from masklet.output import atomic_path, check_writable, naming_errors, spreadsheet_text
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
    "iou_prediction",
    "confidence",
    "object_score",
    "prompted",
    "accepted",
    "review",
)


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
        position: list[object] = [""] * 6
        area = int(np.count_nonzero(mask))
        if box is not None:
            ys, xs = np.nonzero(mask)
            position = [int(edge) for edge in box] + [f"{xs.mean() + 0.5:.2f}", f"{ys.mean() + 0.5:.2f}"]
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


CSV = Format(
    id="csv",
    name="CSV table",
    description="One row per object and frame: area, box, centre, status, scores. For spreadsheets and statistics; no "
    "masks.",
    kinds=("image", "video"),
    suffixes=(".csv",),
    options=CsvOptions,
    open_stream=CsvStream,
    file_name="masks.csv",
)
