"""Tiny data sets on disk: coloured rectangles, whose masks are known by their colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from masklet.records import ByteArray

BACKGROUND = (20, 20, 20)
COLOURS = [(220, 40, 40), (40, 220, 40), (40, 40, 220)]

Box = tuple[int, int, int, int]


def scene(boxes_xyxy: Sequence[Box], size_hw: tuple[int, int] = (60, 80)) -> tuple[ByteArray, ByteArray]:
    """An image and its ids: box i has id i + 1 and the colour of that place."""
    rgb = np.full((*size_hw, 3), BACKGROUND, np.uint8)
    ids = np.zeros(size_hw, np.uint8)
    for row, (left, top, right, bottom) in enumerate(boxes_xyxy):
        rgb[top:bottom, left:right] = COLOURS[row]
        ids[top:bottom, left:right] = row + 1
    return rgb, ids


def write_mask(path: Path, ids: ByteArray) -> None:
    """A palette PNG whose colours are not its indices."""
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette([(7 * value) % 256 for value in range(768)])
    image.save(path)


def write_pair(folder: Path, stem: str, rgb: ByteArray, ids: ByteArray, images: str = "images") -> None:
    """Write an image (PNG: exact colours) and its mask into a source or, with `images="frames"`, a clip."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(rgb).save(folder / images / f"{stem}.png")
    write_mask(folder / "masks" / f"{stem}.png", ids)


def write_data(root: Path, num_images: int = 3) -> Path:
    """A data set of two sources."""
    for number in range(num_images):
        write_pair(root / "one", f"{number:03d}", *scene([(5, 5, 35, 35), (45, 20, 70, 50)]))
        write_pair(root / "two", f"{number:03d}", *scene([(20, 10, 60, 50)]))
    return root


def write_clips(root: Path, num_frames: int = 5) -> Path:
    """One clip in which a box moves right by 4 pixels a frame."""
    for number in range(num_frames):
        left = 10 + 4 * number
        write_pair(root / "clip", f"{number:05d}", *scene([(left, 20, left + 20, 40)]), images="frames")
    return root
