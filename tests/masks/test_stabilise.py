from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from masklet.errors import ConfigError, VideoError
from masklet.masks.stabilise import StabiliseConfig, stabilised
from masklet.records import BoolArray, ByteArray, Frame, FrameMasks

SIZE = 96


def picture(shift: int, seed: int = 0) -> ByteArray:
    """A texture that moves to the right, so that optical flow has something to hold on to."""
    noise = np.random.default_rng(seed).random((SIZE, 2 * SIZE)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(texture[:, SIZE - shift : 2 * SIZE - shift, None], 3, axis=2)


def square(shift: int, grow: int = 0) -> BoolArray:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[30 - grow : 60 + grow, 20 + shift - grow : 50 + shift + grow] = True
    return mask


def item(index: int, mask: BoolArray, rgb: ByteArray, prompted: bool = False, score: float = 5) -> Any:
    scores = np.array([score], np.float32)
    masks = FrameMasks(index, index / 24, (1,), mask[None], scores, scores, np.array([prompted]))
    return Frame(index, rgb, index / 24), masks


def moving(count: int = 9) -> list[Any]:
    return [item(index, square(2 * index), picture(2 * index)) for index in range(count)]


def test_a_steady_mask_that_moves_stays_as_it_is() -> None:
    given = moving()
    for (frame, masks), (_, before) in zip(stabilised(given), given, strict=True):
        assert frame.index == before.frame_index
        assert (masks.masks[0] ^ before.masks[0]).sum() <= 12  # corners, which flow cannot place to the pixel


def test_pieces_and_holes_of_a_single_frame_are_removed() -> None:
    given = moving()
    given[4][1].masks[0, 80:90, 5:15] = True
    given[4][1].masks[0, 40:46, 38:44] = False
    steady = [masks.masks[0] for _, masks in stabilised(given)]
    assert not steady[4][78:92, 3:17].any()
    assert steady[4][40:46, 38:44].all()


def test_an_outline_that_jumps_back_and_forth_is_calmed() -> None:
    given = [item(index, square(0, grow=index % 2), picture(0)) for index in range(12)]
    areas = [int(masks.masks.sum()) for _, masks in stabilised(given)]
    raw = [int(masks.masks.sum()) for _, masks in given]
    assert np.abs(np.diff(areas[2:-2])).max() < np.abs(np.diff(raw)).max() / 4


def test_a_cut_is_not_mixed() -> None:
    given = [item(i, square(0) if i < 4 else square(40), picture(0, seed=0 if i < 4 else 1)) for i in range(8)]
    for (_, masks), (_, before) in zip(stabilised(given), given, strict=True):
        assert (masks.masks[0] ^ before.masks[0]).mean() < 0.02


def test_prompted_and_absent_frames_are_passed_on() -> None:
    given = moving()
    odd = square(0, grow=5)
    given[3] = item(3, odd, picture(6), prompted=True)
    given[6] = item(6, np.zeros_like(odd), picture(12), score=-4)
    steady = [masks.masks[0] for _, masks in stabilised(given)]
    np.testing.assert_array_equal(steady[3], odd)
    assert not steady[6].any()


def test_frames_are_delayed_by_the_reach_and_an_error_loses_none() -> None:
    taken = []

    def way() -> Iterator[Any]:
        for one in moving(6):
            taken.append(one[0].index)
            yield one
        raise VideoError("cable", frame_index=6)

    delivered = []
    with pytest.raises(VideoError, match="cable"):  # noqa: PT012
        for frame, _ in stabilised(way(), StabiliseConfig(reach=2)):
            delivered.append(frame.index)
            if len(delivered) == 1:
                assert taken == [0, 1, 2]
    assert delivered == list(range(6))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"reach": 0}, "reach must be a whole number of at least 1"),
        ({"enter": 0.4, "leave": 0.5}, "leave first"),
        ({"neighbour_weight": 0}, "neighbour_weight must be in"),
        ({"return_error": -1}, "return_error must be above 0"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        StabiliseConfig(**settings)
