"""Two common ways to follow everything in a video, to compare `Tracker.discover` with.

`everything-per-frame` segments each frame from nothing and links masks that overlap, as detector-based trackers do.
`first-frame` segments the first frame and tracks what it shows, as the data engine of SAM 2 makes its automatic
masklets; an object that comes later is never found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from masklet.engine.protocol import Engine
from masklet.masks.rle import CocoRle, rle_ious
from masklet.media.base import FrameSource
from masklet.memory.bank import MemoryConfig
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, segment_everything
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.tracker import Tracker

LINK_IOU = 0.2
"""Least IoU of a mask with the last mask of its track. Source: ultralytics 8.4, bytetrack.yaml, match_thresh 0.8, which
is the largest 1 - IoU."""
LOST_FRAMES = 30
"""Frames after which a track without a mask ends. Source: ultralytics 8.4, bytetrack.yaml, track_buffer."""

Shown = tuple[int, Sequence[int]]
"""A frame index, and the ids of the tracks that are shown on it."""


@dataclass(frozen=True, slots=True)
class EverythingPerFrame:
    """Everything on each frame, linked by mask overlap."""

    automatic: AutomaticConfig
    max_objects: int
    """Masks per frame, those of the highest predicted IoU."""

    def __call__(self, engine: Engine[Any], source: FrameSource, store: MaskStore, num_frames: int) -> Iterator[Shown]:
        """Track, write the masks to the store, and yield each frame when it is done."""
        linker = OverlapLinker()
        for frame in source.frames(0, num_frames):
            masks = best_masks(engine, frame.rgb, self.automatic, self.max_objects)
            track_ids = linker.link(frame.index, [mask.rle for mask in masks])
            store.write(
                given_row(
                    frame.index,
                    track_id,
                    mask.rle,
                    time_s=frame.time_s,
                    iou_prediction=mask.iou_prediction,
                    prompted=False,
                )
                for track_id, mask in zip(track_ids, masks, strict=True)
            )
            yield frame.index, track_ids


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """Everything on the first frame, tracked from there."""

    automatic: AutomaticConfig
    max_objects: int
    """Tracked masks, those of the highest predicted IoU."""
    memory: MemoryConfig | None

    def __call__(self, engine: Engine[Any], source: FrameSource, store: MaskStore, num_frames: int) -> Iterator[Shown]:
        """Track, write the masks to the store, and yield each frame when it is done."""
        masks = best_masks(engine, source.frame(0).rgb, self.automatic, self.max_objects)
        if not masks:
            yield from ((frame_index, ()) for frame_index in range(num_frames))
            return
        with Tracker(engine, source, memory=self.memory, store=store) as tracker:
            for object_id, mask in enumerate(masks, start=1):
                tracker.prompt(object_id, 0, mask=mask.mask)
            for frame_index, rows in tracker.run_rows(stop=num_frames):
                yield frame_index, [row.object_id for row in rows]


class OverlapLinker:
    """Gives the masks of one frame the ids of the tracks that they overlap; ids are never used twice."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, CocoRle]] = {}
        """Frame and mask of each track that has not ended."""
        self._next_id = 1

    def link(self, frame_index: int, masks: Sequence[CocoRle]) -> list[int]:
        """Return the track id of each mask: pairs are matched by falling IoU, masks without one start a track."""
        self._last = {track_id: last for track_id, last in self._last.items() if frame_index - last[0] <= LOST_FRAMES}
        track_ids = list(self._last)
        ious = rle_ious(masks, [self._last[track_id][1] for track_id in track_ids])
        linked: dict[int, int] = {}
        for pair in np.argsort(-ious, axis=None, kind="stable").tolist():
            mask_number, column = divmod(pair, len(track_ids))
            if ious[mask_number, column] < LINK_IOU:
                break
            if mask_number not in linked and track_ids[column] not in linked.values():
                linked[mask_number] = track_ids[column]
        for number, mask in enumerate(masks):
            if number not in linked:
                linked[number] = self._next_id
                self._next_id += 1
            self._last[linked[number]] = frame_index, mask
        return [linked[number] for number in range(len(masks))]


def best_masks(engine: Engine[Any], rgb: Any, config: AutomaticConfig, count: int) -> list[AutomaticMask]:
    """Return the automatic masks of the highest predicted IoU."""
    masks = segment_everything(engine, rgb, config)
    return sorted(masks, key=lambda mask: -mask.iou_prediction)[:count]
