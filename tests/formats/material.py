"""Masks of a small clip, and how tests compare them."""

from __future__ import annotations

import numpy as np

from masklet.media.source import ArraySource
from masklet.records import BoolArray
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo

SIZE = (37, 51)
OBJECTS = (ObjectInfo(1, "Anna", "person", (255, 0, 0)), ObjectInfo(7, "", "dog"))


def blob(seed: int) -> BoolArray:
    """Pieces, holes, and pixels at the border."""
    mask: BoolArray = np.random.default_rng(seed).random((SIZE[0] // 3 + 1, SIZE[1] // 3 + 1)) > 0.6
    return np.ascontiguousarray(np.kron(mask, np.ones((3, 3), np.bool_))[: SIZE[0], : SIZE[1]])


def clip_masks(*, overlap: bool) -> dict[int, dict[int, BoolArray]]:
    """Five frames; object 7 is absent on frame 3, and frame 4 has no masks."""
    masks = {}
    for index in (0, 1, 2, 3, 5):
        first, second = blob(index), blob(index + 50)
        if index == 3:
            second = np.zeros(SIZE, np.bool_)
        masks[index] = {1: first, 7: second if overlap else second & ~first}
    return masks


def medium_of(masks: dict[int, dict[int, BoolArray]], *, is_image: bool = False, name: str = "clip") -> LabelledMedium:
    frames = np.random.default_rng(0).integers(0, 255, (1 if is_image else 6, *SIZE, 3), dtype=np.uint8)
    return LabelledMedium(name, ArraySource(frames, fps=10), Masklets.of_masks(masks, OBJECTS), is_image, f"{name}.jpg")


def present(masks: dict[int, dict[int, BoolArray]]) -> dict[tuple[int, int], BoolArray]:
    return {
        (index, object_id): mask for index, known in masks.items() for object_id, mask in known.items() if mask.any()
    }


def read_back(masklets: Masklets) -> dict[tuple[int, int], BoolArray]:
    return {(row.frame_index, row.object_id): row.mask for index in masklets.span() for row in masklets.at(index)}


def assert_same(found: dict[tuple[int, int], BoolArray], expected: dict[tuple[int, int], BoolArray]) -> None:
    assert found.keys() == expected.keys()
    for key, mask in expected.items():
        assert np.array_equal(found[key], mask), key
