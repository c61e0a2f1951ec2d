"""A picture and a clip to measure on, for those who bring none: smooth shapes that drift."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from masklet.records import ByteArray


def picture(size_hw: tuple[int, int] = (480, 854), shift: int = 0) -> ByteArray:
    """(H, W, 3), always the same for a size and shift; `shift` moves it, in pixels."""
    coarse = np.random.default_rng(0).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    full = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.roll(np.asarray(full, np.uint8), shift, axis=1)


def write_clip(path: Path, num_frames: int, size_hw: tuple[int, int] = (480, 854)) -> Path:
    """H.264, or MPEG-4 where FFmpeg has no encoder for that, 25 frames/s."""
    with av.open(str(path), "w") as container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        for index in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(size_hw, 3 * index), format="rgb24")))
        container.mux(stream.encode())
    return path
