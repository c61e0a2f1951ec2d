"""Masks of one frame put together: from what was stored, and from what has just been tracked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from masklet.masks.operations import tidied_logits, upsample_logits
from masklet.prompts import PointLabel, Prompt
from masklet.records import EngineInfo, FloatArray, FrameMasks
from masklet.tracking.mask_store import StoredMask


def shown_logits(
    low_res_logits: FloatArray, info: EngineInfo, prompt: Prompt | None, size_hw: tuple[int, int]
) -> FloatArray:
    """What is shown of an answer, at the frame's size: (h, w) to (H, W), tidied as the model wants it.

    Args:
        low_res_logits: of one candidate.
        info: of the model.
        prompt: that was answered; pieces that were clicked on stay. None on a tracked frame.
        size_hw: of the frame.
    """
    if info.max_hole or info.max_piece:
        clicked = None
        if prompt is not None:
            per_pixel = np.array(low_res_logits.shape[::-1]) / np.array(size_hw[::-1])
            clicked = prompt.points_xy[prompt.labels == PointLabel.FOREGROUND] * per_pixel
        low_res_logits = tidied_logits(
            low_res_logits, max_hole=info.max_hole, max_piece=info.max_piece, kept_xy=clicked
        )
    return upsample_logits(low_res_logits, size_hw)


def of_stored(frame_index: int, time_s: float, rows: Sequence[StoredMask], size_hw: tuple[int, int]) -> FrameMasks:
    """Stored masks of one frame, as they were shown."""
    return FrameMasks(
        frame_index=frame_index,
        time_s=time_s,
        object_ids=tuple(row.object_id for row in rows),
        masks=np.array([row.mask for row in rows], np.bool_).reshape(-1, *size_hw),
        iou_predictions=np.array([row.iou_prediction for row in rows], np.float32),
        object_scores=np.array([row.object_score for row in rows], np.float32),
        prompted=np.array([row.prompted for row in rows], np.bool_),
        statuses=tuple(row.status for row in rows),
        review=np.array([row.review for row in rows], np.bool_),
    )


def rows_of(masks: FrameMasks, rows: Sequence[int]) -> FrameMasks:
    """Some objects of a frame, in this order."""
    chosen = list(rows)
    return replace(
        masks,
        object_ids=tuple(masks.object_ids[row] for row in chosen),
        masks=masks.masks[chosen],
        iou_predictions=masks.iou_predictions[chosen],
        object_scores=masks.object_scores[chosen],
        prompted=masks.prompted[chosen],
        statuses=tuple(masks.statuses[row] for row in chosen),
        review=None if masks.review is None else masks.review[chosen],
    )


def joined(masks: FrameMasks, stored: Sequence[StoredMask], *, keep_apart: bool) -> FrameMasks:
    """What has just been tracked with what was known of other objects, which has precedence where they overlap."""
    if not stored:
        return masks
    known = of_stored(masks.frame_index, masks.time_s, stored, (masks.masks.shape[1], masks.masks.shape[2]))
    tracked = masks.masks & ~known.masks.any(axis=0) if keep_apart else masks.masks
    assert known.review is not None
    assert masks.review is not None
    both = replace(
        masks,
        object_ids=known.object_ids + masks.object_ids,
        masks=np.concatenate([known.masks, tracked]),
        iou_predictions=np.concatenate([known.iou_predictions, masks.iou_predictions]),
        object_scores=np.concatenate([known.object_scores, masks.object_scores]),
        prompted=np.concatenate([known.prompted, masks.prompted]),
        statuses=known.statuses + masks.statuses,
        review=np.concatenate([known.review, masks.review]),
    )
    return rows_of(both, np.argsort(both.object_ids).tolist())
