"""A picture and a clip to measure on, for those who bring none: smooth shapes that drift."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from masklet.media.base import VideoInfo
from masklet.media.writer import VideoWriter, h264
from masklet.records import ByteArray


def picture(size_hw: tuple[int, int] = (480, 854), shift: int = 0) -> ByteArray:
    """(H, W, 3), always the same for a size and shift; `shift` moves it, in pixels."""
    coarse = np.random.default_rng(0).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    full = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.roll(np.asarray(full, np.uint8), shift, axis=1)


def write_clip(path: Path, num_frames: int, size_hw: tuple[int, int] = (480, 854)) -> Path:
    """H.264 at 25 frames/s."""
    with VideoWriter(path, VideoInfo(path.name, size_hw, 25.0, num_frames), h264()) as writer:
        for index in range(num_frames):
            writer.write(picture(size_hw, 3 * index), index / 25)
    return path
