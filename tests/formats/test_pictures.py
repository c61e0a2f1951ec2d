from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from masklet.formats import (
    export_masks,
)
from masklet.formats.pictures import CutoutOptions, cut_out
from tests.formats.material import SIZE, clip_masks, medium_of


def test_an_animated_gif_and_a_cut_out(tmp_path: Path) -> None:
    export_masks("gif", [medium_of(clip_masks(overlap=True))], tmp_path / "a.gif", {"width": 40})
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.size == (40, 29)
        assert getattr(picture, "n_frames", 1) == 6
    mask = np.zeros(SIZE, np.bool_)
    mask[10:30, 10:40] = True
    export_masks("cutout", [medium_of({0: {1: mask}}, is_image=True)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        alpha = np.asarray(picture)[:, :, 3]
    assert (alpha[15:25, 15:35] == 255).all()
    assert not alpha[:5].any()


def test_a_cut_out_has_a_soft_edge_and_black_where_it_is_transparent() -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    mask = np.zeros((240, 320), np.bool_)
    mask[80:140, 100:160] = True
    rgba = cut_out(grey, {1: mask})
    assert rgba.shape == (240, 320, 4)
    assert rgba[110, 130].tolist() == [128, 128, 128, 255]
    assert rgba[10, 10].tolist() == [0, 0, 0, 0]
    assert 0 < rgba[110, 100, 3] < 255
    assert cut_out(grey, {1: mask}, CutoutOptions(crop=True)).shape[:2] < (70, 70)
