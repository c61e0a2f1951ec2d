"""Run-length encodings of masks, as COCO's JSON has them: read, written and measured.

An encoding may come from any file or request, so everything is checked before memory is taken: the size, the number of
runs and their sum. pycocotools trusts its input and reads out of bounds on a bad one, so it only encodes here.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from masklet.checks import check_whole
from masklet.errors import DataError, MaskletError
from masklet.records import BoolArray, FloatArray

MAX_MASK_PIXELS = 2**28
"""Largest mask that is decoded where its size is not known beforehand: 256 MB."""


class CocoRle(TypedDict):
    """A mask as COCO's JSON has it: column-major run lengths, compressed to printable characters."""

    size: list[int]
    """[H, W]"""
    counts: str


def encode_rle(mask: BoolArray) -> CocoRle:
    """COCO's compressed run-length encoding of an (H, W) mask; the result goes into JSON as it is."""
    height, width = mask.shape
    pixels = np.ascontiguousarray(mask, np.bool_).view(np.uint8)
    # Encoded column by column; OpenCV turns a mask several times as fast as numpy copies it in that order.
    turned = cv2.transpose(pixels).reshape(width, height) if pixels.size else pixels.T
    encoded = coco_mask.encode(turned.T)
    return CocoRle(size=[int(height), int(width)], counts=encoded["counts"].decode("ascii"))


def decode_rle(rle: CocoRle | Mapping[str, Any], size_hw: tuple[int, int] | None = None) -> BoolArray:
    """Return the (H, W) mask of a COCO run-length encoding, compressed (str or bytes) or not (a list of runs).

    Args:
        rle: from anywhere; takes time linear in its length and in H x W.
        size_hw: the size that it must have, compared before memory is taken. Without it any size up to
            `MAX_MASK_PIXELS` is decoded: give it for whatever was not encoded here.

    Raises:
        DataError: size or counts are missing, of a wrong kind, do not add up to H x W pixels, or sizes differ.
    """
    height, width, runs = _measured(rle, size_hw)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def check_rle(rle: CocoRle | Mapping[str, Any], size_hw: tuple[int, int] | None = None) -> None:
    """Check everything that `decode_rle` checks, and take no memory for the mask.

    Raises:
        DataError: as `decode_rle`.
    """
    _measured(rle, size_hw)


def rle_size(rle: CocoRle | Mapping[str, Any], size_hw: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return height and width of a run-length encoding, without reading its runs; see `decode_rle`.

    Raises:
        DataError: it is not a run-length encoding, too large, or of another size than `size_hw`.
    """
    size = rle.get("size") if isinstance(rle, Mapping) else None
    if not isinstance(size, Sequence | np.ndarray) or isinstance(size, str | bytes) or len(size) != 2:
        raise DataError(f"an RLE must have size [height, width] and counts, got {rle!r:.80}")
    if "counts" not in rle:
        raise DataError(f"an RLE must have counts, got {rle!r:.80}")
    try:
        height, width = (check_whole("RLE size", side, least=1, error=DataError) for side in size)
    except MaskletError as error:
        raise DataError(f"RLE size must be [height, width] in whole pixels from 1, got {size!r:.80}") from error
    if size_hw is not None and (height, width) != tuple(size_hw):
        raise DataError(
            f"the mask is {width} x {height} (width x height), its image {size_hw[1]} x {size_hw[0]}: a mask must "
            "have the size of its image",
            "sizes differ",
        )
    if size_hw is None and height * width > MAX_MASK_PIXELS:
        raise DataError(
            f"an RLE may have {MAX_MASK_PIXELS / 1e6:.0f} million pixels, got {width} x {height} (width x height)"
        )
    return height, width


def rle_area(rle: CocoRle | Mapping[str, Any]) -> int:
    """Return the number of pixels of a mask.

    Raises:
        DataError: as `decode_rle`.
    """
    return int(_measured(rle)[2][1::2].sum())


def rle_box_xyxy(rle: CocoRle | Mapping[str, Any]) -> FloatArray | None:
    """Return the tight box of a mask, as `mask_box_xyxy` does, without decoding it.

    Returns:
        (4,) float32 in source pixels, or None for an empty mask.

    Raises:
        DataError: as `decode_rle`.
    """
    height, _, runs = _measured(rle)
    ends = np.cumsum(runs)[1::2]
    lengths = runs[1::2]
    firsts, lasts = (ends - lengths)[lengths > 0], ends[lengths > 0] - 1
    if not len(firsts):
        return None
    left, right = int(firsts[0]) // height, int(lasts[-1]) // height + 1
    if (firsts // height != lasts // height).any():  # such a run goes through the bottom and the top
        top, bottom = 0, height
    else:
        top, bottom = int((firsts % height).min()), int((lasts % height).max()) + 1
    return np.array([left, top, right, bottom], np.float32)


def rle_ious(first: Sequence[CocoRle], second: Sequence[CocoRle]) -> NDArray[np.float64]:
    """Return the (N, M) IoUs of N and M masks of one size."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    ious: NDArray[np.float64] = coco_mask.iou(list(first), list(second), [0] * len(second))
    return ious


def rle_within(first: Sequence[CocoRle], second: Sequence[CocoRle]) -> NDArray[np.float64]:
    """Return the (N, M) fractions of each of N masks that lie within each of M masks of the same size."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    # As COCO treats crowds: the intersection as a share of the first mask's own area.
    fractions: NDArray[np.float64] = coco_mask.iou(list(first), list(second), [1] * len(second))
    return fractions


def run_lengths(mask: BoolArray) -> list[int]:
    """COCO's run lengths of an (H, W) mask, not compressed: background and foreground in turn, column by column; the
    first is 0 where the first pixel is foreground."""
    columns = mask.T.ravel()
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    lengths: list[int] = np.diff([0, *changes.tolist(), columns.size]).tolist()
    return [0, *lengths] if columns.size and columns[0] else lengths


def _measured(
    rle: CocoRle | Mapping[str, Any], size_hw: tuple[int, int] | None = None
) -> tuple[int, int, NDArray[np.int64]]:
    """Return height, width and checked runs: background and foreground in turn, column by column."""
    height, width = rle_size(rle, size_hw)
    counts: Any = rle["counts"]
    pixels = height * width
    if isinstance(counts, str | bytes):
        runs = _decompressed(counts.encode("ascii", "replace") if isinstance(counts, str) else counts, pixels)
    elif isinstance(counts, list | tuple):
        runs = _whole_numbers(counts, pixels)
    else:
        raise DataError(f"RLE counts must be a str, bytes or a list of runs, got {type(counts).__name__}")
    if runs.min(initial=0) < 0 or runs.max(initial=0) > pixels or runs.sum() != pixels:
        raise _wrong_sum(pixels)
    return height, width, runs


def _wrong_sum(pixels: int) -> DataError:
    return DataError(f"RLE counts must add up to height x width = {pixels} pixels, in runs of at least 0")


def _whole_numbers(counts: Sequence[Any], pixels: int) -> NDArray[np.int64]:
    if len(counts) > pixels + 2:
        raise _wrong_sum(pixels)
    try:
        runs = [operator.index(count) for count in counts if not isinstance(count, bool)]
    except TypeError as error:
        raise DataError(f"RLE counts must be whole numbers, got {str(counts[:20])[:60]}") from error
    if len(runs) < len(counts):
        raise DataError("RLE counts must be whole numbers, got true or false")
    if runs and (min(runs) < 0 or max(runs) > pixels):  # before they become 64 bits
        raise _wrong_sum(pixels)
    return np.array(runs, np.int64)


def _decompressed(counts: bytes, pixels: int) -> NDArray[np.int64]:
    """Return the runs of COCO's characters: 5 bits each, offset 48, bit 6 means more follows; from the fourth run on,
    each is the difference to the run two before.

    Source: cocoapi 8c9bcc3, common/maskApi.c `rleFrString`.
    """
    # A run of one pixel takes one character, and each further character at least 16 pixels.
    if len(counts) > pixels + pixels // 4 + 64:
        raise _wrong_sum(pixels)
    bits = np.frombuffer(counts, np.uint8) - np.uint8(48)  # below 48 wraps around to values above 63
    if (wrong := np.flatnonzero(bits > 63)).size:
        raise DataError(f"RLE counts have a character that COCO does not use: {chr(counts[wrong[0]])!r}")
    if not bits.size:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(bits < 32) + 1
    if not ends.size or ends[-1] != bits.size:
        raise DataError("RLE counts end in the middle of a run")
    starts = np.concatenate([[0], ends[:-1]])
    lengths = ends - starts
    if lengths.max() > 12:
        raise DataError("RLE counts have a run of more than 2^60 pixels")
    shifts = 5 * (np.arange(bits.size) - np.repeat(starts, lengths))
    runs: NDArray[np.int64] = np.add.reduceat((bits & 31).astype(np.int64) << shifts, starts)
    runs -= np.where(bits[ends - 1] & 16, np.int64(1) << 5 * lengths, 0)
    if runs.min() < -pixels or runs.max() > pixels:  # before sums of them overflow
        raise _wrong_sum(pixels)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
