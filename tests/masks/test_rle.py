from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from masklet.errors import DataError
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.rle import check_rle, decode_rle, encode_rle, rle_area, rle_box_xyxy, run_lengths
from tests.masks.test_operations import MASKS, mask_of


@pytest.mark.parametrize("name", MASKS)
def test_an_rle_equals_that_of_pycocotools_and_round_trips(name: str) -> None:
    mask = MASKS[name]
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    assert isinstance(rle["counts"], str)
    assert int(coco_mask.area({"size": rle["size"], "counts": rle["counts"].encode()})) == mask.sum()
    decoded = decode_rle(rle, mask.shape)
    assert decoded.dtype == np.bool_
    assert (decoded == mask).all()
    assert (decode_rle({"size": rle["size"], "counts": rle["counts"].encode()}) == mask).all()
    assert rle_area(rle) == mask.sum()
    assert np.array_equal(rle_box_xyxy(rle), mask_box_xyxy(mask))


def test_long_runs_and_their_differences() -> None:
    mask = np.zeros((3000, 2000), np.bool_)
    mask[10:, 3] = mask[:5, 1999] = mask[2999, 1000:1500] = True
    rle = encode_rle(mask)
    assert (decode_rle(rle) == mask).all()
    assert rle_box_xyxy(rle).tolist() == [3, 0, 2000, 3000]  # type: ignore[union-attr]


def test_an_rle_without_compression() -> None:
    assert (decode_rle({"size": [2, 3], "counts": [1, 2, 3]}) == mask_of(".#.", "#..")).all()
    assert (decode_rle({"size": np.array([2, 3]), "counts": (np.int64(1), 2, 3)}) == mask_of(".#.", "#..")).all()
    assert (decode_rle({"size": [2.0, 3.0], "counts": [6]}) == np.zeros((2, 3))).all()


@pytest.mark.parametrize("name", MASKS)
def test_run_lengths_are_cocos(name: str) -> None:
    mask = MASKS[name]
    runs = run_lengths(mask)
    assert sum(runs) == mask.size
    compressed = coco_mask.frPyObjects({"size": list(mask.shape), "counts": runs}, *mask.shape)
    assert (decode_rle(compressed) == mask).all()


@pytest.mark.parametrize(
    "rle",
    [
        {"counts": [1]},
        {"size": [2, 3]},
        {"size": [2], "counts": [2]},
        {"size": [2, 3, 4], "counts": [24]},
        {"size": {"2": 0, "3": 0}, "counts": [6]},  # the keys, read as numbers, would do
        {"size": "23", "counts": [6]},
        {"size": [2.5, 3], "counts": [6]},
        {"size": [True, 6], "counts": [6]},
        {"size": [math.nan, 3], "counts": [6]},
        {"size": [math.inf, 3], "counts": [6]},
        {"size": [None, 3], "counts": [6]},
        {"size": [0, 3], "counts": []},
        {"size": [-2, -3], "counts": [6]},
        {"size": [10**30, 10**30], "counts": [10**60]},
        {"size": [2, 3], "counts": [1, 2]},
        {"size": [2, 3], "counts": [7, -1]},
        {"size": [2, 3], "counts": 6},
        {"size": [2, 3], "counts": {"6": 0}},
        {"size": [2, 3], "counts": "!"},
        {"size": [2, 3], "counts": "\ud800"},
        {"size": [2, 3], "counts": "o"},
        {"size": [2, 3], "counts": ""},
        {"size": [2, 3], "counts": []},
        {"size": [2, 3], "counts": ["a"]},
        {"size": [2, 3], "counts": [True, 5]},
        {"size": [2, 3], "counts": [1.5, 4.5]},
        {"size": [2, 3], "counts": [math.inf]},
        {"size": [2, 3], "counts": [math.nan, 6]},
        {"size": [2, 3], "counts": [[1, 2], 3]},
        {"size": [2, 3], "counts": [2**70]},
        {"size": [2, 3], "counts": [2**63 - 1, 2**63 - 1, 8]},  # 6 in 64 bits
        {"size": [2, 3], "counts": "o" * 40 + "0"},  # a run of 200 bits
        {"size": [2, 3], "counts": "0" * 1000},
        {"size": [2, 3], "counts": [0] * 1000 + [6]},
        [2, 3],
        None,
        "6",
    ],
)
def test_a_bad_rle_is_refused(rle: Any) -> None:
    for read in (decode_rle, check_rle):
        with pytest.raises(DataError, match="RLE"):
            read(rle)


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [100_000, 50_000], "counts": [5_000_000_000]},
        {"size": {"100000": 0, "50000": 0}, "counts": [5_000_000_000]},
        {"size": [100_000, 100_000], "counts": "0" * 100},
        {"size": [4, 4], "counts": [0] * 2_000_000},
    ],
)
def test_memory_is_taken_after_the_checks(rle: Any) -> None:
    tracemalloc.start()
    try:
        for size in (None, (4, 4)):
            with pytest.raises(DataError):
                decode_rle(rle, size)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_sizes_are_compared() -> None:
    with pytest.raises(DataError, match=r"the mask is 3 x 2 \(width x height\), its image 2 x 3") as caught:
        decode_rle({"size": [2, 3], "counts": [6]}, (3, 2))
    assert caught.value.fault == "sizes differ"
