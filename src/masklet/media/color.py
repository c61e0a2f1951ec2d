"""Makes 8-bit BT.709 pictures of decoded frames: colour matrices, wide gamuts, and HDR, which is tone-mapped.

Tone mapping is the same for every frame, so that a frame does not depend on its neighbours: display light up to 0.3 of
HDR's reference white (203 cd/m2, ITU-R BT.2408) is kept, the rest up to 1000 cd/m2 is compressed into what SDR has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from masklet.records import ByteArray

PQ, HLG = 16, 18
"""FFmpeg's numbers of the HDR transfer functions SMPTE ST 2084 and ARIB STD-B67."""

UNSPECIFIED = 2

PEAK_NITS = 1000.0
WHITE_NITS = 203.0
KNEE = 0.3
"""Light that is kept as it is, relative to reference white (Mobius curve)."""

SDR_GAMMA = 2.4
"""Of an SDR display (ITU-R BT.1886)."""

TO_BT709: dict[int, NDArray[np.float32]] = {
    9: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32),
    12: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32),
}
"""Matrices from linear RGB of wide gamuts, by FFmpeg's numbers: BT.2020 (ITU-R BT.2407) and Display P3."""

LEVELS = 4096
"""Levels of linear light before it is encoded in 8 bits."""


@dataclass(frozen=True, slots=True)
class ColorConversion:
    """How the frames of one stream become RGB."""

    untagged_matrix: str
    """Colour matrix, used for frames that declare none."""
    transfer: int
    primaries: int

    @classmethod
    def of(cls, frame: VideoFrame) -> ColorConversion:
        """Choose by a frame of the stream. Of untagged video, players assume BT.709 from 720 lines on."""
        matrix = "ITU709" if frame.height >= 720 else "ITU601"
        return cls(matrix, int(frame.color_trc), int(frame.color_primaries))

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (PQ, HLG)

    def to_rgb(self, frame: VideoFrame, size_hw: tuple[int, int]) -> ByteArray:
        """Return (h, w, 3) in BT.709, as stored (not upright); an area filter makes it smaller."""
        height, width = size_hw
        matrix = self.untagged_matrix if frame.colorspace == UNSPECIFIED else None
        is_smaller = height <= frame.height and width <= frame.width and size_hw != (frame.height, frame.width)
        is_wide = self.is_hdr or self.primaries in TO_BT709
        rgb = frame.to_ndarray(
            format="rgb48le" if is_wide else "rgb24",
            width=width,
            height=height,
            src_colorspace=matrix,
            interpolation=Interpolation.AREA if is_smaller else None,
        )
        return self._to_bt709(rgb.astype(np.uint16, copy=False)) if is_wide else np.asarray(rgb, np.uint8)

    def _to_bt709(self, rgb: NDArray[np.uint16]) -> ByteArray:
        light = _light_of_code(self.transfer)[rgb]
        if self.primaries in TO_BT709:
            light = np.asarray(cv2.transform(light, TO_BT709[self.primaries]), np.float32)
        levels = np.clip(light * (LEVELS - 1) + 0.5, 0, LEVELS - 1).astype(np.uint16)
        return np.asarray(_code_of_level()[levels], np.uint8)


@cache
def _light_of_code(transfer: int) -> NDArray[np.float32]:
    """Return linear SDR light, 0 to 1, of every 16-bit code, (65536,)."""
    code = np.linspace(0, 1, 65536)
    if transfer == PQ:
        # SMPTE ST 2084, equation 4.1
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = code ** (1 / m2)
        nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    elif transfer == HLG:
        # ITU-R BT.2100, table 5, with the system gamma of a display of 1000 cd/m2 for each channel
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = PEAK_NITS * scene**1.2
    else:
        return (code**SDR_GAMMA).astype(np.float32)
    return _tone_mapped(nits / WHITE_NITS).astype(np.float32)


def _tone_mapped(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map light, 1 is reference white, to 0 to 1 by a Mobius curve, which continues the line of slope 1 at its knee."""
    peak = PEAK_NITS / WHITE_NITS
    light = np.minimum(light, peak)
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    curve = (b**2 + 2 * b * KNEE + KNEE**2) / (b - a) * (light + a) / (light + b)
    return np.where(light <= KNEE, light, curve)


@cache
def _code_of_level() -> ByteArray:
    levels = np.linspace(0, 1, LEVELS)
    return np.round(255 * levels ** (1 / SDR_GAMMA)).astype(np.uint8)
