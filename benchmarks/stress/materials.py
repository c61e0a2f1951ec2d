"""Real things to make clips of: cut-outs and backgrounds, from `examples/media` and from labelled images.

The cut-out of an object is whatever lies within its mask: when it is pasted, its mask is exact by construction,
however roughly the image had been labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.datasets import ImageExample, open_dataset
from masklet.masks.operations import largest_component, mask_box_xyxy
from masklet.media.images import read_image
from masklet.media.source import open_source
from masklet.records import BoolArray, ByteArray

MEDIA = Path(__file__).parents[2] / "examples" / "media"

MIN_SIDE = 72
"""Pixels. A smaller cut-out would be blown up."""
MIN_FILL = 0.35
"""Share of its tight box. Less is a fence or a frame, which cannot be followed as an object."""
MIN_SOLID = 0.95
"""Of an object's area, in its largest piece."""
MAX_LABELLED = 0.5
"""Of a background's area: else it would show one large object, and that might be the one that is followed."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """One real object, without its surroundings."""

    name: str
    """The image that it comes from."""
    rgba: ByteArray
    """(h, w, 4), alpha feathered by about a pixel."""


class Materials:
    """Cut-outs and backgrounds, drawn at random and the same for the same random state.

    Args:
        roots: folders of images with masks, as `masklet.datasets.open_dataset` takes them. None: the photographs of
            `examples/media` alone.

    Raises:
        DataError: a folder cannot be used.
    """

    def __init__(self, roots: Sequence[str | Path] = ()) -> None:
        self._examples: list[ImageExample] = []
        for root in roots:
            self._examples += open_dataset(root).need_images()
        self._media = _media_backgrounds()
        self._media_cutouts = _media_cutouts()

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """Draw an object to follow."""
        for index in rng.permutation(len(self._examples))[:200]:
            example = self._examples[index]
            rgb, labels = example.read()
            good = [mask for mask in map(labels.mask, labels.object_ids) if _is_thing(mask)]
            if good:
                return _cut(example.name, rgb, max(good, key=np.count_nonzero))
        return self._media_cutouts[rng.integers(len(self._media_cutouts))]

    def background(self, rng: np.random.Generator, without: str = "") -> ByteArray:
        """(H, W, 3) scenery, not of the image of that name."""
        media = {name: rgb for name, rgb in self._media.items() if name != without}
        share = len(media) / (len(media) + len(self._examples))
        if rng.random() >= share:
            for index in rng.permutation(len(self._examples))[:200]:
                example = self._examples[index]
                rgb, labels = example.read()
                if (
                    min(rgb.shape[:2]) >= 240
                    and example.name != without
                    and sum(labels.areas().values()) < MAX_LABELLED * rgb.shape[0] * rgb.shape[1]
                ):
                    scenery: ByteArray = rgb
                    return scenery
        name: str = sorted(media)[int(rng.integers(len(media)))]
        return media[name]


def _is_thing(mask: BoolArray) -> bool:
    """Whole, large enough, compact, and not cut off by the border of its image."""
    box = mask_box_xyxy(mask)
    if box is None:
        return False
    left, top, right, bottom = box.tolist()
    height, width = mask.shape
    if min(right - left, bottom - top) < MIN_SIDE or max(right - left, bottom - top) > 3 * min(
        right - left, bottom - top
    ):
        return False
    if left < 2 or top < 2 or right > width - 2 or bottom > height - 2:
        return False
    area = np.count_nonzero(mask)
    if area < MIN_FILL * (right - left) * (bottom - top):
        return False
    return bool(np.count_nonzero(largest_component(mask)) >= MIN_SOLID * area)


def _cut(name: str, rgb: ByteArray, mask: BoolArray) -> Cutout:
    mask = largest_component(mask)
    height, width = mask.shape
    box = mask_box_xyxy(mask)
    assert box is not None
    left, top, right, bottom = box.astype(int).tolist()
    left, top, right, bottom = max(left - 3, 0), max(top - 3, 0), min(right + 3, width), min(bottom + 3, height)
    # One pixel less and a soft edge: what lies just outside a hand-drawn outline is background.
    solid = cv2.erode(mask[top:bottom, left:right].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
    alpha = cv2.GaussianBlur(solid * 255, (0, 0), 0.8)
    return Cutout(name, np.dstack([rgb[top:bottom, left:right], alpha]))


def _media_backgrounds() -> dict[str, ByteArray]:
    pictures = {path.stem: read_image(path) for path in sorted(MEDIA.glob("*.jpg"))}
    with open_source(MEDIA / "bunny.mp4") as source:
        return {**pictures, "bunny": source.frame(0).rgb}


def _media_cutouts() -> list[Cutout]:
    """A cup, a helmet and a space shuttle, outlined by hand."""
    coffee, astronaut = read_image(MEDIA / "coffee.jpg"), read_image(MEDIA / "astronaut.jpg")
    shuttle = [(407, 1), (420, 12), (430, 60), (447, 60), (450, 270), (358, 275), (362, 250), (378, 200), (378, 80)]
    return [
        _cut("coffee", coffee, _ellipses(coffee, [((272, 226), (197, 150)), ((286, 95), (117, 80))])),
        _cut("astronaut", astronaut, _ellipses(astronaut, [((388, 424), (112, 86))])),
        _cut("astronaut", astronaut, _polygon(astronaut, [*shuttle, (385, 60), (392, 20)])),
    ]


def _ellipses(rgb: ByteArray, shapes: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> BoolArray:
    canvas: NDArray[np.uint8] = np.zeros(rgb.shape[:2], np.uint8)
    for centre, axes in shapes:
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, 1, -1)
    return canvas > 0


def _polygon(rgb: ByteArray, corners: Sequence[tuple[int, int]]) -> BoolArray:
    canvas: NDArray[np.uint8] = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(canvas, [np.array(corners, np.int32)], 1)
    return canvas > 0
