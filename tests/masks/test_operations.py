from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from masklet.errors import DataError
from masklet.masks.operations import (
    fill_holes,
    largest_component,
    mask_box_xyxy,
    mask_iou,
    mask_logits,
    mask_polygons,
    outline,
    polygons_mask,
    remove_small_components,
    resize_mask_antialias,
    resolve_overlap,
    tidied_logits,
    upsample_logits,
    without_small_parts,
    without_stray_pieces,
)
from masklet.masks.rle import decode_rle
from masklet.records import BoolArray, FloatArray


def mask_of(*rows: str) -> NDArray[np.bool_]:
    return np.array([[character == "#" for character in row] for row in rows])


RANDOM = np.random.default_rng(0)
MASKS = {
    "noise": RANDOM.random((31, 47)) > 0.6,
    "blob": np.hypot(*np.mgrid[-50:50, -90:70]) < 40,
    "empty": np.zeros((5, 7), np.bool_),
    "full": np.ones((5, 7), np.bool_),
    "one pixel": np.ones((1, 1), np.bool_),
    "begins with foreground": mask_of("#.", ".#"),
}


def test_box_is_tight_and_ends_past_the_last_pixel() -> None:
    box = mask_box_xyxy(mask_of("....", ".##.", "..#."))
    assert box is not None
    assert box.tolist() == [1, 1, 3, 3]
    assert mask_box_xyxy(MASKS["empty"]) is None


def test_iou() -> None:
    first, second = mask_of("##..", "##.."), mask_of(".##.", ".##.")
    assert mask_iou(first, second) == pytest.approx(2 / 6)
    assert mask_iou(first, first) == 1
    assert mask_iou(first, ~first) == 0
    assert mask_iou(MASKS["empty"], MASKS["empty"]) == 1
    with pytest.raises(DataError, match="one size"):
        mask_iou(first, MASKS["empty"])


def weights(source: int, target: int, *, antialias: bool) -> NDArray[np.float64]:
    """(target, source) bilinear weights with pixel centres at one half, from the definition."""
    scale = source / target
    reach = max(scale, 1.0) if antialias else 1.0
    centers = (np.arange(target) + 0.5) * scale - 0.5
    if not antialias:
        centers = centers.clip(0, source - 1)
    triangle = np.maximum(0, 1 - np.abs(np.arange(source)[None] - centers[:, None]) / reach)
    return triangle / triangle.sum(axis=1, keepdims=True)


SIZES = [((8, 8), (30, 53)), ((32, 20), (9, 7)), ((5, 40), (11, 3)), ((1, 1), (4, 3)), ((6, 6), (6, 6))]


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_upsampling_is_torchs_bilinear(size: tuple[int, int], target: tuple[int, int]) -> None:
    logits = RANDOM.normal(0, 10, (2, *size)).astype(np.float32)
    rows, columns = (weights(size[axis], target[axis], antialias=False) for axis in (0, 1))
    expected = rows @ logits @ columns.T
    resized = upsample_logits(logits, target)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=2e-4)
    np.testing.assert_array_equal(upsample_logits(logits[1], target), resized[1])


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_mask_resizing_is_torchs_antialiased_bilinear(size: tuple[int, int], target: tuple[int, int]) -> None:
    mask = RANDOM.random(size) > 0.5
    rows, columns = (weights(size[axis], target[axis], antialias=True) for axis in (0, 1))
    resized = resize_mask_antialias(mask, target)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, rows @ mask @ columns.T, atol=1e-5)
    assert resized.min() >= 0
    assert resized.max() <= 1 + 1e-6


def test_a_pixel_belongs_to_the_highest_logit_above_0() -> None:
    logits = np.array([[[3, -1, 2, 0]], [[1, -2, 2, 5]], [[9, -3, 1, 0]]], np.float32)
    owned = resolve_overlap(logits, (1, 4))
    assert owned[:, 0].astype(int).tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert resolve_overlap(logits[:1], (1, 4)).tolist() == [[[True, False, True, False]]]
    assert resolve_overlap(logits[:0], (1, 4)).shape == (0, 1, 4)


def test_holes_and_specks() -> None:
    mask = mask_of("#####...", "#.###.#.", "#####...", "#...#...", "#####...")
    assert (fill_holes(mask, 1) == mask_of("#####...", "#####.#.", "#####...", "#...#...", "#####...")).all()
    assert (fill_holes(mask, 3) == mask_of("#####...", "#####.#.", "#####...", "#####...", "#####...")).all()
    assert (remove_small_components(mask, 1)[:, 5:] == 0).all()
    assert (remove_small_components(mask, 1)[:, :5] == mask[:, :5]).all()
    assert (fill_holes(mask, 0) == mask).all()
    assert (largest_component(mask) == remove_small_components(mask, 1)).all()
    assert not largest_component(MASKS["empty"]).any()


def pieces_up_to(mask: BoolArray, max_area: int) -> BoolArray:
    """Return the small pieces of a mask, looked for in the whole array."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(np.isin(labels, 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] <= max_area)))


@pytest.mark.parametrize("max_area", [1, 4, 9, 20, 50])
def test_pieces_and_holes_near_the_edges_of_the_image(max_area: int) -> None:
    rng = np.random.default_rng(max_area)
    for density in (0.02, 0.3, 0.6, 0.9):
        for _ in range(40):
            mask = np.zeros((12, 15), np.bool_)
            top, left = rng.integers(0, 8, 2)
            part = mask[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)]
            part[:] = rng.random(part.shape) < density
            assert (fill_holes(mask, max_area) == mask | pieces_up_to(~mask, max_area)).all()
            assert (remove_small_components(mask, max_area) == mask & ~pieces_up_to(mask, max_area)).all()
            if mask.any():
                largest = np.count_nonzero(largest_component(mask))
                assert (without_stray_pieces(mask, 1.0, 100.0) == mask & ~pieces_up_to(mask, largest - 1)).all()


@pytest.mark.parametrize(("reach", "is_kept"), [(1.9, False), (2.0, True)])
def test_a_distant_piece_is_left_out(reach: float, is_kept: bool) -> None:
    largest, piece = mask_of("###......", "###......"), mask_of("......##.", "......##.")  # of 2 by 2 pixels, 4 away
    kept = without_stray_pieces(largest | piece, 0.25, reach)
    assert (kept == (largest | piece if is_kept else largest)).all()


def test_a_chain_of_pieces_holds_together() -> None:
    chain = mask_of("####.##.##", "####.##.##")  # something behind two posts
    assert (without_stray_pieces(chain, 0.25, 1.0) == chain).all()


def test_outline_is_inside_and_not_along_the_border_of_the_image() -> None:
    mask = mask_of("....", ".###", ".###", ".###")
    assert (outline(mask) == mask_of("....", ".###", ".#..", ".#..")).all()
    assert not outline(MASKS["full"]).any()


@pytest.mark.parametrize("seed", range(6))
def test_polygons_are_the_mask_to_the_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.random((int(rng.integers(1, 40)), int(rng.integers(1, 40))))  # pieces, holes, pieces in holes
    mask = noise < (0.2, 0.5, 0.9)[seed % 3]
    polygons = [polygon.ravel().tolist() for polygon in mask_polygons(mask)]
    filled = coco_mask.merge(coco_mask.frPyObjects(polygons, *mask.shape))
    assert (decode_rle(filled) == mask).all()


def test_polygons_run_along_the_edges_of_pixels() -> None:
    mask = np.zeros((6, 8), bool)
    assert mask_polygons(mask) == []
    mask[2, 3] = True
    (polygon,) = mask_polygons(mask)
    assert sorted(polygon.tolist()) == [[3, 2], [3, 3], [4, 2], [4, 3]]
    mask[4:, 5:] = True
    assert len(mask_polygons(mask)) == 2


def test_polygons_within_a_tolerance_have_fewer_points() -> None:
    mask = np.hypot(*np.ogrid[-40:41, -40:41]) <= 30
    (exact,), (rough,) = mask_polygons(mask), mask_polygons(mask, 1.0)
    assert len(rough) < 0.3 * len(exact)
    filled = decode_rle(coco_mask.frPyObjects([rough.ravel().tolist()], 81, 81)[0])
    assert mask_iou(filled, mask) > 0.95


def test_upsampled_logits_can_be_written_into_a_buffer() -> None:
    logits = np.arange(12, dtype=np.float32).reshape(3, 4)
    for size_hw in ((7, 9), (3, 4), (2, 2)):
        buffer = np.empty(size_hw, np.float32)
        assert upsample_logits(logits, size_hw, out=buffer) is buffer
        assert (buffer == upsample_logits(logits, size_hw)).all()


def test_small_holes_and_pieces_of_logits_change_sides() -> None:
    mask = mask_of(
        "####....",
        "#.##..#.",
        "####....",
        "####..##",
        "......##",
    )
    logits = np.where(mask, np.float32(3), np.float32(-3))
    assert without_small_parts(logits, 0, 0) is logits
    cleaned = without_small_parts(logits, 1, 1)
    assert cleaned[1, 1] == 10
    assert cleaned[1, 6] == -10
    assert (cleaned != logits).sum() == 2
    assert (without_small_parts(logits, 0, 4) > 0).sum() == 15
    assert without_small_parts(logits, 1, 0, threshold=1.0, margin=0.5)[1, 1] == 1.5


def test_a_mask_as_logits_is_first_squared_and_cut() -> None:
    """So that no pixel is half in it: what is between -10 and 10 comes from the second step only."""
    mask = np.zeros((30, 50), np.bool_)
    mask[:, :25] = True
    logits = mask_logits(mask, 8)
    assert logits.shape == (8, 8)
    assert (logits[:, 0] == 10).all()
    assert (logits[:, -1] == -10).all()
    assert (logits[0] > 0).sum() == 4


@pytest.fixture
def speckled() -> FloatArray:
    """A square of 144 with a hole of one, and a piece of four beside it."""
    logits = np.full((20, 20), -5.0, np.float32)
    logits[2:14, 2:14] = 5.0
    logits[6, 6] = -5.0
    logits[17:19, 17:19] = 5.0
    return logits


def test_tidying_is_relative_to_the_mask(speckled: FloatArray) -> None:
    tidy = tidied_logits(speckled, max_hole=0.01, max_piece=0.1) > 0
    assert tidy.sum() == 144
    assert tidy[2:14, 2:14].all()
    assert tidied_logits(speckled, max_hole=0.001, max_piece=0.01) is speckled  # less than a pixel: nothing to do


def test_a_piece_that_was_clicked_on_stays(speckled: FloatArray) -> None:
    tidy = tidied_logits(speckled, max_hole=0.01, max_piece=0.1, kept_xy=np.array([[17.5, 18.9]], np.float32)) > 0
    assert tidy[17:19, 17:19].all()
    assert tidy[6, 6]
    outside = tidied_logits(speckled, max_hole=0.01, max_piece=0.1, kept_xy=np.array([[0.0, 25.0]], np.float32))
    assert (outside > 0).sum() == 144


def test_a_polygon_cannot_take_memory_without_limit() -> None:
    zigzag = [value for _ in range(100) for value in (0.0, 0.0, 1e6, 1e6)]
    with pytest.raises(DataError, match=r"outline has \d+ pixels, too many for an image of 20 x 10"):
        polygons_mask([zigzag], (10, 20))
    comb = [value for x in range(20) for value in (x, 0, x + 1, 10)]
    assert polygons_mask([comb], (10, 20)).any()
    outside = polygons_mask([[-500, -500, 900, -500, 900, 900, -500, 900]], (10, 20))
    assert outside.all()


@pytest.mark.parametrize(
    "polygons",
    [
        None,
        "0123",
        5,
        {"a": 1},
        [5],
        [None],
        ["0,1,2,3,4,5"],
        [[0, 1, 2, 3]],
        [[0, 1, 2, 3, 4]],
        [[0, 1, 2, 3, 4, "x"]],
        [[0, 1, 2, 3, 4, None]],
        [[0, 1, 2, 3, 4, float("nan")]],
        [[0, 1, 2, 3, 4, 10**400]],
        [[[0, 1], [2, 3], [4, 5]]],
        [{"0": 1, "2": 3, "4": 5}],
    ],
)
def test_what_is_not_a_polygon_is_refused(polygons: object) -> None:
    with pytest.raises(DataError, match="polygon"):
        polygons_mask(polygons, (10, 20))
