"""Label images as programs write them: indexed, grey, 16-bit, TIFF, binary, soft-edged, in the colours of DAVIS.

A pixel's value is the id of its object, unless the picture can only be one mask: 0 and 255, a shape with soft edges
(smoothed, resized or compressed as JPEG), a cut-out with alpha. What may be either is refused: a soft edge read as
labels would be sixty objects.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masklet.datasets.records import MAX_OBJECT_ID, VOID
from masklet.errors import DataError, ImageError
from masklet.masks.indexed_png import davis_palette
from masklet.media.images import decoding, open_image
from masklet.records import BoolArray

Ids = NDArray[np.uint8 | np.uint16]

MAX_WIDE_IDS = 4096
"""Most objects in a label image of 16 bits."""

_NEAR = 0.06
"""Grey this close to black or to the brightest value is noise of compression, as a fraction of the brightest."""


def decode_ids(source: bytes | Path, where: str) -> Ids:
    """Return the ids of a label image, (H, W): 0 background, `VOID` in 8 bits; a mask alone is 0 and `VOID`.

    Args:
        source: path or bytes of the file.
        where: its name, for messages.

    Returns:
        uint8; uint16 if an id is above 255, and then nothing is void.

    Raises:
        DataError: it is not an image, has several pages, is a picture in colours or greys, or was resized or compressed
            so that its values are no longer labels.
    """
    try:
        with open_image(source) as image:
            with decoding("the image"):
                image.load()
                num_pages = getattr(image, "n_frames", 1)
            if num_pages > 1:
                raise ImageError(f"it has {num_pages} pages: save one file per frame")
            return _ids_of(image, where)
    except ImageError as error:
        raise DataError(f"{where} cannot be read as a mask: {error}", "cannot be read") from error


def read_object_mask(path: Path) -> BoolArray:
    """Return the mask (H, W) of a file that shows one object.

    Raises:
        DataError: as `decode_ids`, or the file holds several objects.
    """
    try:
        with open_image(path) as image:
            with decoding(str(path)):
                image.load()
            if image.mode not in ("1", "L", "LA", "P", "F") and not image.mode.startswith("I"):
                is_colour = _grey_of(image, np.array(image)) is None
            else:
                is_colour = False
            if is_colour and not _has_palette_colours(image):
                brightness = np.asarray(image.convert("L"))
                return np.asarray(brightness > brightness.max() / 2, np.bool_)
    except ImageError as error:
        raise DataError(str(error), "cannot be read") from error
    ids = decode_ids(path, str(path))
    values = np.unique(ids)
    objects = values[values > 0].tolist()
    if len(objects) > 1 and values[0] > 0:  # no background of 0: shades of grey
        return np.asarray(ids > values[-1] / 2, np.bool_)
    if len(objects) > 1:
        listed = ", ".join(map(str, objects[:6])) + (", ..." if len(objects) > 6 else "")
        raise DataError(
            f"{path} has several values besides 0 ({listed}), so it holds several objects: give one file per object, "
            "0 outside and one value inside"
        )
    return np.asarray(ids > 0, np.bool_)


def _has_palette_colours(image: Image.Image) -> bool:
    try:
        _colours_to_ids(np.array(image.convert("RGB")), "", image.mode)
    except DataError:
        return False
    return True


def _ids_of(image: Image.Image, where: str) -> Ids:
    if image.mode == "P":
        return np.array(image)
    pixels = np.array(image)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if pixels.ndim == 3:
        grey = _grey_of(image, pixels)
        if grey is None:
            return _colours_to_ids(np.array(image.convert("RGB")), where, image.mode)
        pixels = grey
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or (pixels != np.rint(pixels)).any():
            raise DataError(f"{where} has fractions or NaN: a label image has whole numbers")
        pixels = pixels.astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise _too_many(where, pixels)
    return _grey_to_ids(pixels.astype(np.int64), where, is_jpeg=image.format in ("JPEG", "MPO"))


def _grey_of(image: Image.Image, pixels: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """Return one channel of a picture without colours, or its alpha where that cuts something out; else None."""
    if image.mode in ("LA", "RGBA") and pixels[..., -1].min() < 255:
        return pixels[..., -1]
    if image.mode == "LA":
        return pixels[..., 0]
    if image.mode not in ("RGB", "RGBA"):
        return None
    channels = pixels[..., :3].astype(np.int16)
    difference = (channels.max(axis=2) - channels.min(axis=2)).max()
    return pixels[..., 1] if difference <= (8 if image.format == "JPEG" else 0) else None


def _colours_to_ids(rgb: NDArray[np.uint8], where: str, mode: str) -> Ids:
    """Return the ids of a picture in the colours of the palette of DAVIS and Pascal VOC, which many tools use."""
    codes = (rgb.astype(np.int32) << (16, 8, 0)).sum(axis=2)
    palette = np.frombuffer(davis_palette(), np.uint8).astype(np.int32).reshape(-1, 3)
    palette_codes = (palette << (16, 8, 0)).sum(axis=1)
    order = np.argsort(palette_codes)
    rows = np.searchsorted(palette_codes[order], codes).clip(max=len(order) - 1)
    ids = order[rows]
    if (palette_codes[ids] != codes).any():
        raise DataError(
            f"{where} is a colour picture (mode {mode}): masks must be indexed, one number per pixel: 0 background, 1 "
            f"to {MAX_OBJECT_ID} objects, {VOID} void; or have exactly the colours of the palette of DAVIS"
        )
    return np.asarray(ids, np.uint8)


def _grey_to_ids(values: NDArray[np.int64], where: str, *, is_jpeg: bool) -> Ids:
    top = int(values.max(initial=0))
    distinct = np.unique(values)
    if distinct[distinct > 0].tolist() in ([255], [65535]):
        return np.where(values > 0, VOID, 0).astype(np.uint8)
    if top == 65535 and len(distinct) > 2 and distinct[-2] <= MAX_OBJECT_ID:  # void of 16 bits
        return np.where(values == top, VOID, values).astype(np.uint8)
    flat = _flat_pixels(values)
    if (128 <= top <= 255 or top >= 32768) and _is_soft(values, flat, top, is_jpeg=is_jpeg):
        return np.where(values > top / 2, VOID, 0).astype(np.uint8)
    scattered = len(distinct) - len(np.unique(values[flat]))
    if is_jpeg or (scattered > 16 and scattered > 4 * (len(distinct) - scattered)):
        if top > VOID:
            raise _too_many(where, values)
        raise DataError(
            f"{where} has {len(distinct)} different greys and is neither labels nor one mask: it is a picture, or "
            "labels that were resized or compressed; save labels as PNG, and resize them to the nearest neighbour"
        )
    if top <= VOID:
        return values.astype(np.uint8)
    if len(distinct) > MAX_WIDE_IDS or len(distinct) == 1:  # one value everywhere: a picture
        raise _too_many(where, values)
    return values.astype(np.uint16)


def _flat_pixels(values: NDArray[np.int64]) -> BoolArray:
    """Return the pixels whose eight neighbours have their value: the insides of regions."""
    as_floats = values.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(as_floats, kernel) == cv2.erode(as_floats, kernel), np.bool_)


def _is_soft(values: NDArray[np.int64], flat: BoolArray, top: int, *, is_jpeg: bool) -> bool:
    """Return whether a grey picture is one mask with soft edges: no region inside is anything but black or bright."""
    is_bright = values >= top * (1 - _NEAR)
    between = (values > 0) & ~is_bright
    middle = between & (values > top * _NEAR)
    if np.count_nonzero(middle) > 0.75 * np.count_nonzero(values) or not (flat & ~middle).any():
        return False  # mostly greys: a picture
    num_flat = np.count_nonzero(flat & between)
    if is_jpeg:  # whose noise is flat in places
        return bool(np.count_nonzero(flat & middle) <= 0.02 * np.count_nonzero(values))
    if num_flat > 0.02 * np.count_nonzero(values) or np.count_nonzero(flat & middle) > 4:
        return False
    if len(np.unique(values[between])) >= 3 or (is_bright & (values < top)).any():
        return True
    # One or two greys: a soft edge lies between black and bright, an object does not.
    kernel = np.ones((3, 3), np.uint8)
    lowest, highest = (change(values.astype(np.float32), kernel)[between] for change in (cv2.erode, cv2.dilate))
    is_edge = (lowest == 0) & (highest >= top * (1 - _NEAR))
    return bool(between.any() and is_edge.mean() > 0.9)


def _too_many(where: str, values: NDArray[np.generic]) -> DataError:
    return DataError(
        f"{where} has labels from {values.min()} to {values.max()}: an indexed mask holds at most {MAX_OBJECT_ID} "
        f"objects, 1 to {MAX_OBJECT_ID}, and {VOID} for void; one of 16 bits holds {MAX_WIDE_IDS}; keep one PNG per "
        "object instead",
        "more than 255 objects",
    )
