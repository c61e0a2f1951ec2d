"""Confidence: curves per stage turn IoU predictions into expected IoUs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from masklet.engine.calibration import checked_curves, confidence_in_absence, confidence_of, stage_of
from masklet.errors import CheckpointError
from masklet.prompts import Prompt
from masklet.records import EngineInfo
from tests.fake_engine import FakeEngine

CURVE = {"inputs": [0.2, 0.6, 0.9], "outputs": [0.1, 0.5, 0.95]}


def info(**calibration: Any) -> EngineInfo:
    return dataclasses.replace(FakeEngine().info, calibration=calibration)


@pytest.mark.parametrize(
    ("prompt", "stage"),
    [
        (None, "tracked"),
        (Prompt.create(mask=np.ones((4, 4), np.bool_)), "mask"),
        (Prompt.create(points_xy=[(1, 1)]), "click"),
        (Prompt.create(points_xy=[(1, 1), (2, 2)]), "clicks"),
        (Prompt.create(points_xy=[(1, 1)], previous_logits=np.zeros((4, 4))), "clicks"),
        (Prompt.create(box_xyxy=(0, 0, 2, 2), points_xy=[(1, 1)]), "box"),
    ],
)
def test_a_stage_is_what_the_mask_was_decoded_from(prompt: Prompt | None, stage: str) -> None:
    assert stage_of(prompt) == stage


@pytest.mark.parametrize(("prediction", "expected"), [(0.0, 0.1), (0.2, 0.1), (0.4, 0.3), (0.75, 0.725), (1.2, 0.95)])
def test_values_between_knots_are_interpolated(prediction: float, expected: float) -> None:
    assert confidence_of(prediction, info(click=CURVE), "click") == pytest.approx(expected)


def test_without_a_curve_predictions_count_as_they_are() -> None:
    assert confidence_of(0.7, info(box=CURVE), "click") == 0.7
    assert confidence_of(1.2, info(), "tracked") == 1.0
    assert confidence_of(-0.1, info(), "tracked") == 0.0
    assert confidence_in_absence(-2.0, info()) == pytest.approx(0.8808, abs=1e-4)


def test_a_given_mask_is_certain_and_absence_has_its_own_curve() -> None:
    assert confidence_of(0.2, info(click=CURVE), "mask") == 1.0
    assert confidence_in_absence(-1.0, info(absent={"inputs": [0, 2], "outputs": [0.5, 1.0]})) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([CURVE], "must be an object with one curve per stage"),
        ({"swipe": CURVE}, "unknown stage 'swipe', must be one of click, clicks, box, tracked, absent"),
        ({"click": {"inputs": [0.1]}}, "calibration of click must have inputs and outputs"),
        ({"click": {"inputs": [0.1, 0.1], "outputs": [0.1, 0.2]}}, "ascending inputs"),
        ({"click": {"inputs": [0.1, 0.2], "outputs": [0.1]}}, "ascending inputs"),
        ({"click": {"inputs": [0.1, 0.2], "outputs": [0.1, 1.2]}}, "as many outputs in"),
        ({"click": {"inputs": [], "outputs": []}}, "ascending inputs"),
        ({"click": 3}, "calibration of click must have inputs and outputs"),
    ],
)
def test_damaged_curves_are_refused(calibration: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        checked_curves(calibration)


def test_valid_curves_are_returned_unchanged() -> None:
    assert checked_curves({"click": CURVE}) == {"click": CURVE}
    assert checked_curves({}) == {}
