"""Confidence: the expected IoU of a mask, from a model's own IoU prediction and object score.

A network's IoU prediction ranks masks well, but its values are not IoUs. `masklet evaluate calibration` measures, on
data that the model was not trained on, which IoU each prediction stands for, and keeps one curve per stage in the model
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
"""The origin of a mask, since each has its own relation of IoU prediction to IoU: a single click, several clicks or a
correction, a box (with or without clicks), a given mask, memory alone; or no mask, because the object is absent."""

FITTED_STAGES: tuple[Stage, ...] = ("click", "clicks", "box", "tracked", "absent")
"""Stages with a curve. A given mask is what the user wants, whatever the model thinks of it."""

Curves = Mapping[str, Mapping[str, Any]]
"""Curves by stage: `inputs`, ascending, and `outputs` in [0, 1]. Values in between are interpolated, values outside
take the nearest end. The input is the IoU prediction, for `absent` the negated object score (a logit, at least 0)."""


def stage_of(prompt: Prompt | None) -> Stage:
    """Return what a mask was decoded from: a prompt, or, if there was none, memory alone."""
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
        info: the model. Without a curve for a stage its IoU prediction counts as it is.
        stage: what the mask was decoded from.
    """
    if stage == "mask":
        return 1.0
    return _on_curve(info.calibration.get(stage), iou_prediction, min(1.0, max(0.0, iou_prediction)))


def confidence_in_absence(object_score: float, info: EngineInfo) -> float:
    """Return the probability that an object which the model calls absent is indeed not visible, in [0, 1].

    It is the expected IoU of the empty mask, which is either exactly or not at all right.

    Args:
        object_score: logit, not above 0.
        info: the model.
    """
    return _on_curve(info.calibration.get("absent"), -object_score, 1 / (1 + math.exp(object_score)))


def _on_curve(curve: Mapping[str, Any] | None, value: float, uncalibrated: float) -> float:
    return uncalibrated if curve is None else float(np.interp(value, curve["inputs"], curve["outputs"]))


def checked_curves(calibration: Any) -> Curves:
    """Return curves read from a file as they are.

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
