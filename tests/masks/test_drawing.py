from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from masklet.masks.drawing import (
    NEGATIVE,
    PALETTE,
    POSITIVE,
    color_of,
    draw_overlay,
    draw_regions,
    neighbor_colors,
)
from masklet.prompts import Prompt

GREY = np.full((240, 320, 3), 128, np.uint8)


def square(left: int, top: int, side: int) -> NDArray[np.bool_]:
    mask = np.zeros(GREY.shape[:2], np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def distance(color: NDArray[np.uint8], other: tuple[int, int, int]) -> float:
    return float(np.abs(color.astype(int) - other).max())


def test_an_id_always_has_the_same_color() -> None:
    assert color_of(3) == color_of(3) == color_of(3 + len(PALETTE))
    assert len({color_of(object_id) for object_id in range(5, 5 + len(PALETTE))}) == len(PALETTE)
    assert min(np.abs(np.subtract(a, b)).sum() for a, b in itertools.combinations(PALETTE, 2)) > 80


def test_only_the_object_and_its_line_change() -> None:
    mask = square(100, 80, 60)
    before = GREY.copy()
    overlay = draw_overlay(GREY, mask[None], [1], labels=False)
    assert (before == GREY).all()
    tint = (0.6 * 128 + 0.4 * np.array(color_of(1))).round()
    assert distance(overlay[110, 130], tuple(tint)) <= 2
    assert (overlay[70:150, 85] == 128).all()  # well outside
    line = overlay[110, 100]
    assert distance(line, color_of(1)) < distance(overlay[110, 130], color_of(1))  # the line is the color itself
    assert overlay[110, 98].max() < 128  # with a dark halo


def test_no_line_along_the_border_of_the_image() -> None:
    mask = np.ones(GREY.shape[:2], np.bool_)
    overlay = draw_overlay(GREY, mask[None], [2], labels=False)
    assert (overlay == overlay[0, 0]).all()


def test_small_objects_are_on_top() -> None:
    masks = np.stack([square(120, 100, 20), square(80, 60, 120)])
    overlay = draw_overlay(GREY, masks, [1, 2], labels=False)
    assert overlay[110, 130, 2] > overlay[80, 100, 2]  # blue of object 1


def test_clicks_and_boxes_are_drawn() -> None:
    prompt = Prompt.create(points_xy=[(50, 60), (200, 100)], labels=[1, 0], box_xyxy=(20, 30, 300, 200))
    overlay = draw_overlay(GREY, np.zeros((0, *GREY.shape[:2]), np.bool_), [], prompts={1: prompt})
    assert distance(overlay[64, 54], POSITIVE) < 30
    assert distance(overlay[60, 50], (255, 255, 255)) < 30  # the plus
    assert distance(overlay[104, 200], NEGATIVE) < 30
    assert distance(overlay[30, 21], color_of(1)) < 60


def changed(overlay: NDArray[np.uint8], plain: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of what differs."""
    rows, columns = np.nonzero((overlay != plain).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(("left", "top"), [(0, 0), (260, 0), (0, 180), (260, 180), (130, 90)])
def test_a_label_is_next_to_its_object_and_inside_the_image(left: int, top: int) -> None:
    mask = square(left, top, 60)[None]
    plain = draw_overlay(GREY, mask, [1], labels=False)
    x0, y0, x1, y1 = changed(draw_overlay(GREY, mask, [1], [0.94]), plain)
    assert x1 - x0 > 30
    assert y1 - y0 > 12
    covered = max(0, min(x1, left + 60) - max(x0, left)) * max(0, min(y1, top + 60) - max(y0, top))
    assert covered < 0.3 * (x1 - x0) * (y1 - y0)
    assert x0 < left + 90
    assert x1 > left - 30


def test_labels_keep_off_their_neighbours() -> None:
    masks = np.stack([square(100, 100, 60), square(100, 60, 36)])  # a neighbour where the label would go
    plain = draw_overlay(GREY, masks, [1, 2], labels=False)
    labelled = draw_overlay(GREY, masks, [1, 2], [0.9, 0.8])
    assert (labelled != plain).any()
    assert (labelled[64:92, 104:132] == plain[64:92, 104:132]).all()


def test_an_absent_object_is_named_only_when_it_has_a_status() -> None:
    empty = np.zeros((1, *GREY.shape[:2]), np.bool_)
    assert (draw_overlay(GREY, empty, [1], [0.5]) == GREY).all()
    assert (draw_overlay(GREY, empty, [1], [0.5], statuses={1: "lost"}) != GREY).any()


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (20, 300), (2160, 3840)])
def test_any_size(size: tuple[int, int]) -> None:
    rgb = np.zeros((*size, 3), np.uint8)
    prompt = Prompt.create(points_xy=[(0, 0)], box_xyxy=(0, 0, size[1], size[0]))
    overlay = draw_overlay(rgb, np.ones((1, *size), np.bool_), [1], [1.0], prompts={1: prompt})
    assert overlay.shape == rgb.shape


def test_masks_and_ids_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        draw_overlay(GREY, square(0, 0, 5)[None], [1, 2])


def test_regions_of_a_map_differ_from_their_neighbours() -> None:
    labels = np.kron(np.arange(1, 37).reshape(6, 6), np.ones((20, 20), int)).astype(np.int32)
    colors = neighbor_colors(labels)
    assert len(colors) == 36
    for y, x in np.ndindex(6, 6):
        for other in ((y, x + 1), (y + 1, x)):
            if max(other) < 6:
                assert colors[y * 6 + x] != colors[other[0] * 6 + other[1]]
    assert neighbor_colors(np.zeros((5, 5), np.int32)) == []


def test_regions_are_tinted_once_and_the_rest_stays() -> None:
    rgb = np.full((120, 160, 3), 100, np.uint8)
    labels = np.zeros((120, 160), np.int32)
    labels[20:100, 20:140] = 1
    labels[40:80, 60:100] = 2
    drawn = draw_regions(rgb, labels, [(200, 0, 0), (0, 0, 200)])
    assert drawn[60, 40].tolist() == pytest.approx([140, 60, 60], abs=1)
    assert drawn[60, 80].tolist() == pytest.approx([60, 60, 140], abs=1)
    assert (drawn[:10] == 100).all()
    assert (rgb == 100).all()
