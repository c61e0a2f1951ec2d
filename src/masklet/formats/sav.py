"""SA-V: a JSON of masklets for a video, a mask for each object on every fourth frame, or on every one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from masklet.datasets.sav import LABEL_STEP
from masklet.errors import OutputError
from masklet.formats.base import Format, Job
from masklet.masks.operations import CocoRle, encode_rle
from masklet.output import atomic_path
from masklet.schema import Options, integer_field


@dataclass(frozen=True, kw_only=True, slots=True)
class SavOptions(Options):
    label = "sa-v"
    step: int = integer_field(LABEL_STEP, 1, 1000, "Every n-th frame; SA-V has 4")


def _write(job: Job[SavOptions]) -> None:
    medium, step = job.media[0], job.options.step
    info = medium.source.info
    height, width = info.size_hw
    object_ids = [one.object_id for one in medium.masklets.objects]
    column = {object_id: place for place, object_id in enumerate(object_ids)}
    nothing = encode_rle(np.zeros((height, width), np.bool_))
    count = info.num_frames or medium.masklets.span().stop
    masklet: list[list[CocoRle]] = [[nothing] * len(object_ids) for _ in range(0, count, step)]
    first_seen: dict[int, int] = {}
    known = set()
    for _, frame_index, rows in job.frames():
        if frame_index % step:
            continue
        known.add(frame_index)
        for row in rows:
            if int(coco_mask.area(row.rle)):
                masklet[frame_index // step][column[row.object_id]] = row.rle
                first_seen.setdefault(row.object_id, frame_index // step)
                job.num_masks += 1
    if unknown := len(masklet) - len(known):
        job.note(f"{unknown} frames that were not tracked are empty: SA-V cannot say that nothing is known of them")
    document: dict[str, Any] = {
        "video_id": medium.name,
        "video_duration": info.duration_s or count / info.fps,
        "video_frame_count": float(count),
        "video_height": float(height),
        "video_width": float(width),
        "video_resolution": float(height * width),
        "masklet_id": [object_id - 1 for object_id in object_ids],
        "masklet_num": len(object_ids),
        "masklet_frame_count": [len(masklet)] * len(object_ids),
        "masklet_first_appeared_frame": [float(first_seen.get(object_id, -1)) for object_id in object_ids],
        "masklet_type": "manual",
        # beyond SA-V's own fields
        "masklet_names": [one.name for one in medium.masklets.objects],
        "masklet_classes": [one.class_name for one in medium.masklets.objects],
        "label_step": step,
        "masklet": masklet,
    }
    try:
        with atomic_path(job.out) as temporary:
            temporary.write_text(json.dumps(document), encoding="utf-8")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write {job.out}: {error.strerror or error}") from error


SAV = Format(
    "sa-v",
    "SA-V JSON",
    "The masklets of a video as in SA-V: an RLE for each object on every fourth frame (or on every one). Overlaps are "
    "kept. Save it as <video>_manual.json beside the video.",
    ("video",),
    ".json",
    SavOptions,
    _write,
    many_media=False,
)
