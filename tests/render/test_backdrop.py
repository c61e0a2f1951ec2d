from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.media.source import ArraySource
from masklet.render import Composition, render_frame, render_video
from masklet.render.backdrop import fitted
from masklet.tracking.masklets import LabelledMedium, Masklets
from tests.render.material import OUTSIDE, look, moving_clip, picture, square


def test_a_background_image_covers_or_is_contained() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 20:] = 255
    assert fitted(wide, (20, 20), "cover").mean() == pytest.approx(127, abs=8)
    contained = fitted(wide, (20, 20), "contain", (9, 9, 9))
    assert (contained[0] == 9).all()
    assert contained[10, 19, 0] == 255
    composition = look({"effect": "image", "asset_id": "a", "fit": "stretch"})
    done = render_frame(picture(), {1: square()}, composition, assets={"a": np.full((5, 5, 3), 77, np.uint8)})
    assert (done[OUTSIDE] == 77).all()


def test_a_shorter_background_video_is_repeated(tmp_path: Path) -> None:
    frames = [np.full((20, 20, 3), 60 * index + 20, np.uint8) for index in range(3)]
    short = LabelledMedium("short", ArraySource(frames, fps=10), Masklets.of_masks({}))
    render_video(short, Composition(), tmp_path / "short.mkv")
    composition = look({"effect": "video", "asset_id": "a"})
    render_video(moving_clip(6), composition, tmp_path / "out", assets={"a": tmp_path / "short.mkv"}, container="png")
    corners = [np.asarray(Image.open(tmp_path / "out" / f"{index:05d}.png"))[80, 5, 0] for index in range(6)]
    assert corners == pytest.approx([20, 80, 140] * 2, abs=6)
