from __future__ import annotations

import numpy as np
import pytest

from masklet.train.augment import (
    CUTOUT_MARGIN_PX,
    VOID,
    Cutout,
    Degradation,
    LabelledImage,
    apply_colour,
    cut_out,
    object_ids,
    paste,
    random_colour,
    random_degradation,
    random_window,
    resize_coverage,
    scale_cutout,
)

from .tiny_data import COLOURS, scene


def test_merging_parts_keeps_background_and_void() -> None:
    ids = np.array([[0, 1, 2, 254, VOID]], np.uint8)
    merged = LabelledImage(np.zeros((1, 5, 3), np.uint8), ids).merge_objects()
    assert merged.ids.tolist() == [[0, 1, 1, 1, VOID]]
    assert ids.tolist() == [[0, 1, 2, 254, VOID]]


def test_object_ids_are_those_of_a_fit_area_without_background_and_void() -> None:
    ids = np.zeros((10, 10), np.uint8)
    ids[0, 0], ids[1, :5], ids[2:9], ids[9] = 1, 2, 3, VOID
    assert object_ids(ids, 0.0, 1.0) == [1, 2, 3]
    assert object_ids(ids, 0.02, 0.5) == [2]


def test_windows_lie_inside_hold_an_object_and_respect_their_bounds() -> None:
    _, ids = scene([(70, 50, 78, 58)])
    rng = np.random.default_rng(0)
    for _ in range(200):
        window = random_window(ids, rng, min_area=0.1, min_side_px=20)
        assert 0 <= window.top <= 60 - window.height
        assert 0 <= window.left <= 80 - window.width
        assert min(window.height, window.width) >= 20
        assert LabelledImage(ids, ids).crop(window).ids.any()


def test_a_window_of_an_image_without_objects_is_anywhere() -> None:
    ids = np.zeros((30, 40), np.uint8)
    windows = {random_window(ids, np.random.default_rng(seed), min_area=0.2, min_side_px=8) for seed in range(20)}
    assert len(windows) > 10


@pytest.mark.parametrize("scale", [0.37, 0.5, 0.8, 2.0])
def test_coverage_keeps_areas(scale: float) -> None:
    region = np.zeros((64, 64), bool)
    region[11:40, 20:51] = True
    size = round(64 * scale)
    mask = resize_coverage(region, size) > 127
    assert mask.mean() == pytest.approx(region.mean(), rel=0.08)


def test_colour_of_no_strength_changes_nothing() -> None:
    rgb, _ = scene([(5, 5, 35, 35)])
    assert np.array_equal(apply_colour(rgb, random_colour(np.random.default_rng(0), 0.0)), rgb)


def test_colour_clips_instead_of_wrapping_around() -> None:
    bright = np.full((4, 4, 3), 250, np.uint8)
    matrix = np.column_stack([np.eye(3) * 1.3, np.full(3, 20.0)]).astype(np.float32)
    assert (apply_colour(bright, matrix) == 255).all()
    assert (apply_colour(bright, -matrix) == 0).all()


def test_degradation_keeps_shape_and_type_and_can_be_none() -> None:
    rng = np.random.default_rng(0)
    rgb, _ = scene([(5, 5, 35, 35)])
    assert np.array_equal(random_degradation(rng, 0.0).apply(rgb, rng), rgb)
    worse = random_degradation(rng, 1.0)
    assert worse.blur_sigma_px > 0
    assert worse.noise_sigma > 0
    assert worse.jpeg_quality < 100
    for degradation in (worse, Degradation(jpeg_quality=30), Degradation(noise_sigma=5.0)):
        spoilt = degradation.apply(rgb, rng)
        assert spoilt.shape == rgb.shape
        assert spoilt.dtype == np.uint8
        assert not np.array_equal(spoilt, rgb)


def test_a_cutout_is_the_object_with_a_margin() -> None:
    cutout = cut_out(LabelledImage(*scene([(5, 6, 35, 26)])), 1)
    assert cutout.alpha.shape == (20 + 2 * CUTOUT_MARGIN_PX, 30 + 2 * CUTOUT_MARGIN_PX)
    assert (cutout.alpha == 255).sum() == 20 * 30
    assert (cutout.rgb[cutout.alpha == 255] == COLOURS[0]).all()
    assert cutout.borders_touched == 0


@pytest.mark.parametrize(
    ("box_xyxy", "expected"), [((0, 6, 35, 26), 1), ((0, 0, 35, 26), 2), ((50, 6, 80, 60), 2), ((0, 0, 80, 60), 4)]
)
def test_a_cutout_counts_the_borders_that_cut_it_off(box_xyxy: tuple[int, int, int, int], expected: int) -> None:
    assert cut_out(LabelledImage(*scene([box_xyxy])), 1).borders_touched == expected


def test_a_scaled_cutout_is_soft_at_its_outline_and_solid_inside() -> None:
    cutout = scale_cutout(cut_out(LabelledImage(*scene([(5, 6, 45, 46)])), 1), 22.0)
    assert cutout.alpha.shape == (22, 22)
    assert cutout.alpha[11, 11] == 255
    assert cutout.alpha[0].max() < 128
    assert ((cutout.alpha > 0) & (cutout.alpha < 255)).any()


def test_a_pasted_object_is_where_its_alpha_says() -> None:
    cutout = Cutout(np.full((10, 12, 3), 200, np.uint8), np.full((10, 12), 255, np.uint8), 0)
    below = np.zeros((40, 50, 3), np.uint8)
    pasted, alpha = paste(below, cutout, (20, 15))
    assert np.array_equal(pasted[:, :, 0] == 200, alpha == 255)
    assert (alpha[10:20, 14:26] == 255).all()
    assert (alpha == 255).sum() == 120
    assert not below.any()


@pytest.mark.parametrize(("centre_xy", "visible"), [((0, 0), 30), ((50, 40), 30), ((-40, 20), 0), ((20, 400), 0)])
def test_parts_pasted_beyond_the_image_are_lost(centre_xy: tuple[int, int], visible: int) -> None:
    cutout = Cutout(np.full((10, 12, 3), 200, np.uint8), np.full((10, 12), 255, np.uint8), 0)
    _, alpha = paste(np.zeros((40, 50, 3), np.uint8), cutout, centre_xy)
    assert (alpha == 255).sum() == visible
