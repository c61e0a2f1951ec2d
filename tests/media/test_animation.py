"""Animated WebP and AVIF as sources of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import VideoError
from masklet.media.animation import AnimationSource
from masklet.media.source import open_source

COLORS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])


def animation(path: Path) -> Path:
    """Write 4 pictures at uneven times, the last of them transparent."""
    pictures = [Image.new("RGBA", (16, 12), (*color, 255)) for color in COLORS[:3].tolist()]
    pictures.append(Image.new("RGBA", (16, 12), (9, 9, 9, 0)))
    options = {"quality": 100} if path.suffix == ".avif" else {"lossless": True}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 300, 50, 50], **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.jpg"])
def test_every_picture_comes_at_its_time_in_any_order(name: str, tmp_path: Path) -> None:
    path = animation(tmp_path / name.replace("jpg", "webp")).rename(tmp_path / name)  # the name does not matter
    with open_source(path) as source:
        assert isinstance(source, AnimationSource)
        assert (source.info.num_frames, source.info.size_hw, source.info.duration_s) == (4, (12, 16), 0.5)
        frames = list(source.frames())
        assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.4, 0.45])
        assert np.abs([frame.rgb[5, 5].astype(int) for frame in frames] - COLORS).max() <= 3
        for index in (2, 0, 3, 1):
            assert (source.frame(index).rgb == frames[index].rgb).all()
        assert [frame.index for frame in source.frames(3, None, -2)] == [3, 1]
        with pytest.raises(VideoError, match="frame 4 does not exist"):
            source.frame(4)


def test_an_animation_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(VideoError, match=r"a\.webp"):
        list(open_source(path).frames())
