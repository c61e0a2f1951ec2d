from __future__ import annotations

import cv2
import numpy as np
import pytest

from masklet.evaluation.stability import Stability, StabilityMeter, outline_distance

Array = np.ndarray
SIZE_HW = (120, 200)


def disc(x: float, y: float = 60, radius: float = 25) -> Array:
    columns, rows = np.meshgrid(np.arange(SIZE_HW[1]), np.arange(SIZE_HW[0]))
    mask: Array = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return mask


MOVING = [disc(40 + 6 * index, 60 + 2 * index) for index in range(8)]


def measured(predicted: list[Array], truth: list[Array] = MOVING) -> Stability:
    meter = StabilityMeter()
    for pair in zip(predicted, truth, strict=True):
        meter.add(*pair)
    result = meter.result()
    assert result is not None
    return result


def widened(mask: Array, pixels: int) -> Array:
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    wider: Array = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return wider


def test_an_object_that_only_moves_is_steady() -> None:
    assert measured(MOVING) == Stability(1.0, 1.0, 0.0, 0.0, 7)


def test_a_constant_error_is_not_flicker() -> None:
    found = measured([widened(mask, 4) for mask in MOVING])
    assert found.warped_iou == 1
    assert found.jitter == 0


@pytest.mark.parametrize(
    "unsteady",
    [
        [np.roll(mask, 3 * (-1) ** index, axis=1) for index, mask in enumerate(MOVING)],  # shaking
        [widened(mask, 3 * (index % 2)) for index, mask in enumerate(MOVING)],  # pulsing
    ],
    ids=["shaking", "pulsing"],
)
def test_a_jumping_mask_is_unsteady(unsteady: list[Array]) -> None:
    found = measured(unsteady)
    assert found.warped_iou < 0.9
    assert found.jitter > 5  # thousandths of the diagonal, 233 pixels
    assert found.warped_iou_truth == 1


def test_a_mask_that_goes_out_for_a_frame_costs_two_pairs() -> None:
    flashing = [*MOVING[:3], np.zeros_like(MOVING[0]), *MOVING[4:]]
    assert measured(flashing).warped_iou == pytest.approx(5 / 7)


def test_changes_of_the_object_itself_show_in_the_scores_of_the_truth() -> None:
    growing = [disc(100, radius=20 + 2 * index) for index in range(6)]
    found = measured(growing, growing)
    assert found.warped_iou == found.warped_iou_truth < 0.9
    assert found.jitter == found.jitter_truth > 0


def test_parts_outside_the_image_do_not_lower_the_score() -> None:
    leaving = [disc(150 + 10 * index) for index in range(4)]
    assert measured(leaving, leaving).warped_iou > 0.9


def test_frames_on_either_side_of_an_absence_are_not_compared() -> None:
    meter = StabilityMeter()
    nothing = np.zeros(SIZE_HW, bool)
    for mask in (MOVING[0], nothing, MOVING[2]):
        meter.add(mask, mask)
    assert meter.result() is None


def test_distance_of_outlines_is_in_pixels() -> None:
    left, right = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    left[:, :10], right[:, :14] = True, True
    assert outline_distance(left, right) == pytest.approx(4)
    assert outline_distance(left, np.ones_like(left)) is None
