"""Caches of frames: one in memory, one on disk, each bounded in bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from masklet.records import Frame
from masklet.server.frames import FrameCache, PictureCache


def frame(index: int) -> Frame:
    """A frame of 300 bytes."""
    return Frame(index, np.full((10, 10, 3), index, np.uint8), index / 10)


def test_frames_of_all_media_together_are_bounded_in_bytes() -> None:
    cache = FrameCache(max_bytes=1000)
    for index in range(3):
        cache.keep("a", frame(index))
    assert cache.find("a", 0) is not None  # used last, so the next to go is frame 1
    cache.keep("b", frame(3))
    assert cache.num_bytes == 900
    assert cache.find("a", 1) is None
    kept = cache.find("b", 3)
    assert kept is not None
    assert kept.rgb[0, 0, 0] == 3
    cache.drop("a")
    assert cache.num_bytes == 300


def test_a_frame_larger_than_the_cache_is_not_kept() -> None:
    cache = FrameCache(max_bytes=299)
    cache.keep("a", frame(0))
    assert (cache.find("a", 0), cache.num_bytes) == (None, 0)


def test_pictures_on_disk_are_bounded_in_bytes(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, max_bytes=1000, is_gone=lambda media_id: False)
    for number in range(15):
        cache.keep("a", f"{number}.jpg", bytes(100))
        os.utime(tmp_path / "a" / f"{number}.jpg", (number, number))
    cache.sweep()
    left = sorted(int(path.stem) for path in (tmp_path / "a").iterdir())
    assert left == list(range(6, 15))  # nine tenths, the oldest are gone
    assert cache.find("a", "0.jpg") is None
    assert cache.find("a", "14.jpg") == bytes(100)
