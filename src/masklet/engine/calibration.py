"""Confidence: a model's IoU prediction turned into an expected IoU. Knows nothing of frames, memory or engines."""

from __future__ import annotations

from typing import Literal

from masklet.prompts import Prompt
from masklet.records import EngineInfo

Stage = Literal["click", "box", "mask", "tracked"]
"""What a mask was decoded from, which decides how far its IoU prediction can be relied on."""


def stage_of(prompt: Prompt | None) -> Stage:
    """Return what a mask was decoded from: a prompt, or, if there was none, memory alone."""
    if prompt is None:
        return "tracked"
    if prompt.mask is not None:
        return "mask"
    return "click" if prompt.box_xyxy is None else "box"


def confidence_of(iou_prediction: float, info: EngineInfo, stage: Stage) -> float:
    """Estimate the quality of a mask: its expected IoU after calibration, in [0, 1].

    Args:
        iou_prediction: the model's own estimate; it may lie slightly outside [0, 1].
        info: the model.
        stage: what the mask was decoded from.

    No calibration is applied yet: the result is the IoU prediction, limited to [0, 1].
    """
    return min(1.0, max(0.0, iou_prediction))
