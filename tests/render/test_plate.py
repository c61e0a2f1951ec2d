from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from masklet.media.images import read_image
from masklet.media.source import ArraySource
from masklet.render import render_frame, render_video
from masklet.render.plate import _median_of
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


def test_what_a_mask_misses_is_not_pasted_into_other_frames(tmp_path: Path) -> None:
    """The object carries a white ear, which its mask misses on every frame."""
    medium = moving_clip(8)
    frames = np.stack([medium.source.frame(index).rgb for index in range(8)])
    ears = np.zeros((8, *SIZE), np.bool_)
    for index in range(8):
        ears[index, 24:30, 14 + 12 * index : 20 + 12 * index] = True
    frames[ears] = 255
    with_ears = replace(medium, source=ArraySource(frames, fps=10))
    render_video(with_ears, look("none", {"effect": "remove", "grow": 0}), tmp_path / "out", container="png")
    for index in range(8):
        done = read_image(tmp_path / "out" / f"{index:05d}.png")
        assert not ((done > 235).all(axis=2) & ~ears[index]).any(), index


def test_of_frames_that_disagree_the_median_counts() -> None:
    votes = [(np.full((2, 2, 3), value, np.uint8), np.ones((2, 2), np.bool_)) for value in (100, 255, 104, 102, 98)]
    votes[0][1][0, 0] = votes[1][1][0, 0] = False  # three votes
    votes[4][1][0, 0] = False  # two
    for _, usable in votes[1:]:
        usable[1, 1] = False  # one
    for _, usable in votes:
        usable[0, 1] = False  # none
    filled, shown = _median_of(votes, np.zeros((2, 2, 3), np.uint8))
    np.testing.assert_array_equal(filled[..., 0], [[104, 0], [102, 100]])
    np.testing.assert_array_equal(shown, [[True, False], [True, True]])


def test_a_removed_object_of_an_image_is_filled_from_its_surroundings() -> None:
    rgb = np.full((*SIZE, 3), 90, np.uint8)
    rgb[square()] = (250, 0, 0)
    done = render_frame(rgb, {1: square()}, look("none", "remove"))
    assert np.abs(done.astype(int) - 90).max() < 8


def test_an_object_that_fills_the_picture_can_be_removed() -> None:
    done = render_frame(picture(), {1: np.ones(SIZE, np.bool_)}, look("color", "remove"))
    assert done.shape == (*SIZE, 3)
