"""Tiny clips whose frames carry their own number, in the containers and conditions that users have."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from masklet.records import Frame, FrameMasks

BITS = 8
MakeClip = Callable[..., Path]


def numbered_frame(index: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """Red left half over blue right half; below, the number as eight black or white blocks, lowest bit first."""
    height, width = size_hw
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2, 0] = 255
    rgb[: height // 2, width // 2 :, 2] = 255
    for bit in range(BITS):
        rgb[height // 2 :, bit * width // BITS : (bit + 1) * width // BITS] = 255 * (index >> bit & 1)
    return rgb


def number_of(rgb: NDArray[np.uint8]) -> int:
    height, width = rgb.shape[:2]
    y = height * 3 // 4
    return sum(int(rgb[y, (2 * bit + 1) * width // (2 * BITS)].mean() > 127) << bit for bit in range(BITS))


def is_upright(rgb: NDArray[np.uint8]) -> bool:
    height, width = rgb.shape[:2]
    left, right = rgb[height // 4, width // 4].astype(int), rgb[height // 4, width * 3 // 4].astype(int)
    return bool(left[0] > left[2] + 100 and right[2] > right[0] + 100)


def masks_for(frame: Frame, object_ids: tuple[int, ...] = (1, 2)) -> FrameMasks:
    """Draw one square per object, overlapping its neighbour by half."""
    masks = np.zeros((len(object_ids), *frame.size_hw), np.bool_)
    for row in range(len(object_ids)):
        masks[row, 4:20, 6 + 8 * row : 22 + 8 * row] = True
    count = len(object_ids)
    scores = np.linspace(0.9, 0.8, count, dtype=np.float32)
    return FrameMasks(
        frame.index, frame.time_s, object_ids, masks, scores, np.full(count, 3, np.float32), np.zeros(count, np.bool_)
    )


def write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=48000, frame_size=1024)
    samples = np.arange(round(seconds * 48000))
    # The pitch rises, so that a test can tell a shifted copy from the original.
    wave = 0.5 * np.sin(2 * np.pi * (300 + 200 * samples / 48000) * samples / 48000)
    frame = av.AudioFrame.from_ndarray(np.tile(wave, (2, 1)).astype(np.float32), format="fltp", layout="stereo")
    frame.rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode())
