from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from masklet.render import render_frame, render_video
from tests.render.material import SIZE, look, moving_clip, picture, square


def test_a_removed_object_is_filled_from_other_frames(tmp_path: Path) -> None:
    medium = moving_clip(8)
    composition = look("none", {"effect": "remove"})
    render_video(medium, composition, tmp_path / "out", container="png")
    clean = np.median([medium.source.frame(index).rgb for index in range(8)], axis=0)
    for index in range(1, 7):
        done = np.asarray(Image.open(tmp_path / "out" / f"{index:05d}.png")).astype(int)
        hole = medium.masklets.masks_at(index)[1]
        assert np.abs(done - clean)[hole].mean() < 12, index


def test_a_removed_object_of_an_image_is_filled_from_its_surroundings() -> None:
    rgb = np.full((*SIZE, 3), 90, np.uint8)
    rgb[square()] = (250, 0, 0)
    done = render_frame(rgb, {1: square()}, look("none", "remove"))
    assert np.abs(done.astype(int) - 90).max() < 8


def test_an_object_that_fills_the_picture_can_be_removed() -> None:
    done = render_frame(picture(), {1: np.ones(SIZE, np.bool_)}, look("color", "remove"))
    assert done.shape == (*SIZE, 3)
