"""A CSV with a row for each object and frame: where it is, how large, and how sure the tracker was."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from masklet.errors import OutputError
from masklet.formats.base import Format, Job, frame_time
from masklet.masks.operations import mask_box_xyxy
from masklet.output import atomic_path
from masklet.schema import Options, switch_field

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
    "object_score",
    "prompted",
    "accepted",
    "review",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions(Options):
    label = "csv"
    absent: bool = switch_field(True, "Rows for frames on which an object is absent")


def _write(job: Job[CsvOptions]) -> None:
    try:
        with (
            atomic_path(job.out) as temporary,
            temporary.open("w", encoding="utf-8-sig", newline="") as file,  # the mark tells spreadsheets the encoding
        ):
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for medium, frame_index, rows in job.frames():
                for row in rows:
                    mask = row.mask
                    box = mask_box_xyxy(mask)
                    job.num_masks += box is not None
                    if box is None and not job.options.absent:
                        continue
                    about = medium.masklets.info(row.object_id)
                    place: list[object] = [""] * 6
                    area = int(np.count_nonzero(mask))
                    if box is not None:
                        ys, xs = np.nonzero(mask)
                        place = [int(edge) for edge in box] + [f"{xs.mean() + 0.5:.2f}", f"{ys.mean() + 0.5:.2f}"]
                    table.writerow(
                        [
                            _cell(medium.name),
                            frame_index,
                            f"{frame_time(medium, row):.4f}",
                            row.object_id,
                            _cell(about.name),
                            _cell(about.class_name),
                            row.status,
                            area,
                            f"{area / mask.size:.6f}",
                            *place,
                            f"{row.iou_prediction:.4f}",
                            f"{row.object_score:.4f}",
                            int(row.prompted),
                            int(row.accepted),
                            int(row.review),
                        ]
                    )
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write {job.out}: {error.strerror or error}") from error


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


CSV = Format(
    "csv",
    "CSV table",
    "A row for each object and frame: area, box, centre, status, scores. For spreadsheets and statistics; no masks.",
    ("image", "video"),
    ".csv",
    CsvOptions,
    _write,
)
