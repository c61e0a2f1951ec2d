"""Confidence: the expected IoU of a mask, from a model's own IoU prediction and object score.

A network's IoU prediction ranks masks well, but its values are not IoUs. `masklet evaluate calibration` measures, on
data that the model was not trained on, which IoU each prediction means, and keeps one curve per stage in the model
folder. This module knows neither frames, nor memory, nor how curves are fitted (`masklet.evaluation.calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from masklet.errors import CheckpointError
from masklet.prompts import Prompt
from masklet.records import EngineInfo

Stage = Literal["click", "clicks", "box", "mask", "tracked", "absent"]
"""The origin of a mask; the relation of IoU prediction to IoU depends on it. A single click, several clicks or a
correction, a box (with or without clicks), a mask prompt, memory alone; or no mask, because the object is absent."""

FITTED_STAGES: tuple[Stage, ...] = ("click", "clicks", "box", "tracked", "absent")
"""Stages with a curve. A mask prompt needs none: it is the user's own mask, whatever the model predicts for it."""

Curves = Mapping[str, Mapping[str, Any]]
"""Curves by stage: `inputs`, ascending, and `outputs` in [0, 1]. Values in between are interpolated, values outside
take the nearest end. The input is the IoU prediction, for `absent` the negated object score (a logit, at least 0)."""


def stage_of(prompt: Prompt | None) -> Stage:
    """Return the stage of a mask: the kind of its prompt, or memory alone if there was none."""
    if prompt is None:
        return "tracked"
    if prompt.mask is not None:
        return "mask"
    if prompt.box_xyxy is not None:
        return "box"
    return "click" if len(prompt.points_xy) == 1 and prompt.previous_logits is None else "clicks"


def confidence_of(iou_prediction: float, info: EngineInfo, stage: Stage) -> float:
    """Return the confidence in a mask: its expected IoU with the truth, in [0, 1].

    Args:
        iou_prediction: the model's own estimate; it may lie slightly outside [0, 1].
        info: the model. Without a curve for the stage, its IoU prediction is used unchanged.
        stage: the origin of the mask.
    """
    if stage == "mask":
        return 1.0
    return _on_curve(info.calibration.get(stage), iou_prediction, min(1.0, max(0.0, iou_prediction)))


def confidence_in_absence(object_score: float, info: EngineInfo) -> float:
    """Return the probability that an object which the model calls absent is indeed not visible, in [0, 1].

    It is the expected IoU of the empty mask, whose IoU is either 1 or 0.

    Args:
        object_score: logit, at most 0.
        info: the model.
    """
    return _on_curve(info.calibration.get("absent"), -object_score, 1 / (1 + math.exp(object_score)))


def _on_curve(curve: Mapping[str, Any] | None, value: float, uncalibrated: float) -> float:
    return uncalibrated if curve is None else float(np.interp(value, curve["inputs"], curve["outputs"]))


def checked_curves(calibration: Any) -> Curves:
    """Check curves that were read from a file, and return them.

    Raises:
        CheckpointError: a stage is unknown, or a curve is not two lists of one length as `Curves` says.
    """
    if not isinstance(calibration, Mapping):
        raise CheckpointError(f"calibration must be an object with one curve per stage, got {calibration!r}")
    for stage, curve in calibration.items():
        if stage not in FITTED_STAGES:
            raise CheckpointError(f"calibration: unknown stage {stage!r}, must be one of {', '.join(FITTED_STAGES)}")
        try:
            inputs, outputs = (np.asarray(curve[name], np.float64) for name in ("inputs", "outputs"))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"calibration of {stage} must have inputs and outputs, two lists of numbers: {error}"
            ) from error
        is_curve = inputs.ndim == 1 and inputs.shape == outputs.shape and inputs.size > 0
        if not is_curve or not (np.diff(inputs) > 0).all() or not ((outputs >= 0) & (outputs <= 1)).all():
            raise CheckpointError(
                f"calibration of {stage} must have ascending inputs and as many outputs in [0, 1], got "
                f"{inputs.tolist()} and {outputs.tolist()}"
            )
    return calibration
