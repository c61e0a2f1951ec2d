"""SA-V: JSON with the masklets of a video, one mask per object on every fourth frame, or on every frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from masklet.datasets.sav import LABEL_STEP
from masklet.formats.base import ExportJob, Format, is_seen
from masklet.masks.rle import CocoRle, encode_rle
from masklet.output import atomic_path, naming_errors
from masklet.schema import Options, integer_field


@dataclass(frozen=True, kw_only=True, slots=True)
class SavOptions(Options):
    label = "sa-v"
    step: int = integer_field(LABEL_STEP, 1, 1000, "Every n-th frame; SA-V has 4")


def _write(job: ExportJob[SavOptions]) -> None:
    with naming_errors(job.path), atomic_path(job.path) as temporary:
        temporary.write_text(json.dumps(_document(job)), encoding="utf-8")


def _document(job: ExportJob[SavOptions]) -> dict[str, Any]:
    medium, step = job.media[0], job.options.step
    video, objects = medium.source.info, medium.masklets.objects
    height, width = video.size_hw
    column = {info.object_id: number for number, info in enumerate(objects)}
    empty = encode_rle(np.zeros((height, width), np.bool_))
    count = video.num_frames or medium.masklets.span().stop
    num_labelled = len(range(0, count, step))
    masklet: list[list[CocoRle]] = [[empty] * len(objects) for _ in range(num_labelled)]
    statuses: list[list[str | None]] = [[None] * len(objects) for _ in range(num_labelled)]
    to_review: list[list[int]] = []
    first_seen: dict[int, int] = {}
    tracked = set()
    for frame in job.frames():
        if frame.frame_index % step:
            continue
        label_index = frame.frame_index // step
        tracked.add(label_index)
        for row in frame.rows:
            statuses[label_index][column[row.object_id]] = row.status
            if row.review:
                to_review.append([label_index, column[row.object_id]])
            if is_seen(row):
                masklet[label_index][column[row.object_id]] = row.rle
                first_seen.setdefault(row.object_id, label_index)
                job.num_masks += 1
    if untracked := num_labelled - len(tracked):
        job.note(f"{untracked} frames that were not tracked are empty: SA-V cannot mark frames as unknown")
    return {
        "video_id": medium.name,
        "video_duration": video.duration_s or count / video.fps,
        "video_frame_count": float(count),
        "video_height": float(height),
        "video_width": float(width),
        "video_resolution": float(height * width),
        "masklet_id": [info.object_id - 1 for info in objects],
        "masklet_num": len(objects),
        "masklet_frame_count": [num_labelled] * len(objects),
        "masklet_first_appeared_frame": [float(first_seen.get(info.object_id, -1)) for info in objects],
        "masklet_type": "manual",
        # Beyond SA-V's own fields. A status is null where the frame was not tracked; `masklet_review` lists
        # [row, column] of masks that a user should review.
        "masklet_names": [info.name for info in objects],
        "masklet_classes": [info.class_name for info in objects],
        "masklet_status": statuses,
        "masklet_review": to_review,
        "label_step": step,
        "masklet": masklet,
    }


SAV = Format(
    id="sa-v",
    name="SA-V JSON",
    description="The masklets of a video as in SA-V: an RLE for each object on every fourth frame (or on every one). "
    "Overlaps are kept. Save it as <video>_manual.json next to the video.",
    kinds=("video",),
    suffixes=(".json",),
    options=SavOptions,
    write=_write,
    many_media=False,
)
