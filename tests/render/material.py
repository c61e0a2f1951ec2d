"""A red object on blue noise, and short clips of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from masklet.media.source import ArraySource
from masklet.records import BoolArray, ByteArray
from masklet.render import Composition
from masklet.tracking.masklets import LabelledMedium, Masklets

SIZE = (90, 120)
INSIDE = (slice(38, 52), slice(38, 52))
OUTSIDE = (slice(0, 20), slice(80, 120))


def square(left: int = 30, top: int = 30, side: int = 30, size: tuple[int, int] = SIZE) -> BoolArray:
    mask = np.zeros(size, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def picture(mask: BoolArray | None = None, seed: int = 0) -> ByteArray:
    """A red object on blue noise."""
    rgb = np.random.default_rng(seed).integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    rgb[..., 2] += 150
    rgb[square() if mask is None else mask] = (220, 30, 20)
    return rgb


def look(background: dict[str, Any] | str = "none", *effects: str | dict[str, Any], **more: Any) -> Composition:
    def full(one: str | dict[str, Any]) -> dict[str, Any]:
        return {"effect": one} if isinstance(one, str) else one

    return Composition.from_dict({"background": full(background), "objects": {"*": [full(e) for e in effects]}, **more})


def moving_clip(count: int = 6, *, size: tuple[int, int] = SIZE) -> LabelledMedium:
    """The object moves over a background that stands still."""
    masks = {index: {1: square(10 + 12 * index, size=size)} for index in range(count)}
    rng = np.random.default_rng(3)
    behind = np.kron(rng.integers(40, 200, (size[0] // 6 + 1, size[1] // 6 + 1, 3), dtype=np.uint8), np.ones((6, 6, 1)))
    behind = behind[: size[0], : size[1]].astype(np.uint8)
    frames = np.stack([behind] * count)
    for index in range(count):
        frames[index][masks[index][1]] = (250, 0, 0)
    return LabelledMedium("clip", ArraySource(frames, fps=10), Masklets.of_masks(masks))


def opened(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))
