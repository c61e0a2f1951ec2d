"""The model's square as the official code fills it; boxes: crops and duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from masklet.masks.geometry import box_nms, crop_boxes, to_square_antialias, to_square_bicubic

BOXES = np.array([(0, 0, 10, 10), (0, 0, 10, 8), (50, 0, 60, 10), (0, 0, 10, 10)], np.float32)


@pytest.mark.parametrize("size_hw", [(90, 160), (31, 20), (64, 64), (64, 200)])
def test_images_are_squared_as_by_torchvision(size_hw: tuple[int, int]) -> None:
    """Of a float tensor, with antialiasing: what the official image predictor does."""
    torch = pytest.importorskip("torch")
    rgb = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(pixels, (64, 64), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    np.testing.assert_allclose(to_square_antialias(rgb, 64), expected.numpy(), atol=1e-4)


def test_frames_are_squared_as_by_pillow() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_square_bicubic(rgb, 64), Image.fromarray(rgb).resize((64, 64)))


@pytest.mark.parametrize(
    ("scores", "max_iou", "kept"),
    [
        ((0.5, 0.9, 0.7, 0.6), 0.7, [1, 2]),  # IoU of the first two: 0.8
        ((0.5, 0.9, 0.7, 0.6), 0.8, [1, 2, 3]),  # exactly at the limit stays; of the equal boxes the better one
        ((0.5, 0.5, 0.5, 0.5), 0.7, [0, 2]),  # of equal scores the first
        ((0.1, 0.2, 0.3, 0.4), 1.0, [3, 2, 1, 0]),
        ((0.1, 0.2, 0.3, 0.4), 0.0, [3, 2]),
    ],
)
def test_of_overlapping_boxes_the_best_stays(scores: tuple[float, ...], max_iou: float, kept: list[int]) -> None:
    assert box_nms(BOXES, np.array(scores), max_iou).tolist() == kept


def test_equal_boxes_without_area_are_duplicates() -> None:
    boxes = np.array([(3, 3, 3, 9), (3, 3, 3, 9), (4, 3, 4, 9)], np.float32)
    assert box_nms(boxes, np.ones(3), 0.7).tolist() == [0, 2]


def test_no_boxes() -> None:
    assert box_nms(np.zeros((0, 4), np.float32), np.zeros(0), 0.7).tolist() == []


def test_crops_overlap_and_cover_the_image() -> None:
    assert crop_boxes((100, 200), 2, 0.34) == [
        (0, 0, 117, 67), (0, 33, 117, 100), (83, 0, 200, 67), (83, 33, 200, 100)
    ]  # fmt: skip


@pytest.mark.parametrize("size_hw", [(480, 641), (97, 33), (64, 64)])
@pytest.mark.parametrize("per_side", [1, 2, 4])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.4])
def test_every_pixel_is_in_a_crop(size_hw: tuple[int, int], per_side: int, overlap: float) -> None:
    seen = np.zeros(size_hw, int)
    boxes = crop_boxes(size_hw, per_side, overlap)
    for left, top, right, bottom in boxes:
        seen[top:bottom, left:right] += 1
    assert len(boxes) == per_side**2
    assert seen.min() >= 1
