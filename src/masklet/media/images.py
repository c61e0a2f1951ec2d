"""Images of any kind, read as upright 8-bit RGB, and written to files.

Pillow decodes; this module interprets the pixels (orientation, alpha, bit depth) and turns every kind of bad file into
an `ImageError` that names it. `open_image` is the only place that opens a picture: whatever a file is called, no
format outside `FORMATS` is ever tried.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from masklet.errors import ImageError, OutputError
from masklet.masks.indexed_png import indexed_png
from masklet.output import atomic_path, naming_errors
from masklet.records import BoolArray, ByteArray

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Every image format that is read, by Pillow's name, with the suffixes that count as images when a folder is searched.

Pillow knows forty, among them PostScript, which it hands to an interpreter that can read and write files. A format
belongs here if cameras, scanners, browsers or microscopes write it and if its decoder only computes pixels.
"""

IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Suffixes of file names that count as images when a folder is searched; lower case."""

MAX_PIXELS = 178_956_970
"""Largest image read: 512 MB as RGB."""
MAX_SIDE = 65_500
"""Longest side read: no JPEG can be wider, and frames are served as JPEG."""

_ORIENTATION_TAG = 0x0112  # of EXIF; values from 5 on swap width and height
_WIDTH_TAG = 0x0100  # of TIFF
_PNG_EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})

ImageSource = str | Path | bytes | Image.Image | NDArray[np.generic]


def read_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, at_least_hw: tuple[int, int] | None = None
) -> ByteArray:
    """Read one image as upright RGB.

    Special cases:
    a) EXIF orientation is applied, so that x and y are those of a viewer.
    b) Transparency is composited over white, as a viewer shows it: the colour behind alpha 0 is arbitrary.
    c) 16 bits are scaled by 255 / 65535. Wider integers and floats have no fixed range: floats within [0, 1] are
       scaled by 255, everything else from its own minimum and maximum to 0 and 255.
    d) Grey, palette, CMYK, Lab and YCbCr become RGB; of an animation the first frame is read.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) RGB or
            (H, W, 4) RGBA of bool, uint8, uint16 or float in [0, 1].
        max_pixels: larger images are refused before they are decoded.
        at_least_hw: smallest height and width that are needed: a JPEG may then be decoded at a half, a quarter or an
            eighth of its size (rounded up).

    Returns:
        (H, W, 3) uint8, contiguous; a copy.

    Raises:
        ImageError: the image is missing, empty, truncated, too large, not an image, or an array of another form.
    """
    if isinstance(source, np.ndarray):
        return _array_to_rgb(source, max_pixels)
    if isinstance(source, Image.Image):
        return _decode(source, "the PIL image", max_pixels, at_least_hw)
    if not isinstance(source, str | Path | bytes):
        raise ImageError(f"an image must be a path, bytes, a PIL image or an array, got {type(source).__name__}")
    with open_image(source, max_pixels=max_pixels) as image:
        return _decode(image, _name_of(source), max_pixels, at_least_hw)


def open_image(
    source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS, formats: Sequence[str] = tuple(FORMATS)
) -> Image.Image:
    """Open an image file: its header is read and its size checked, but nothing is decoded. Close it when done.

    Decode it within `decoding`.

    Args:
        source: a path, or the bytes of a file.
        max_pixels: larger images are refused.
        formats: those to accept, of `FORMATS`.

    Raises:
        ImageError: the file is missing, empty, damaged, too large, or in another format.
    """
    name = _name_of(source)
    if isinstance(source, bytes):
        is_empty = not source
    else:
        try:
            path = Path(source)
            is_folder, is_empty = path.is_dir(), path.stat().st_size == 0
        except FileNotFoundError as error:
            raise ImageError(f"no such image: {name}") from error
        except (OSError, ValueError) as error:  # a ValueError: the name holds a NUL
            raise ImageError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
        if is_folder:
            raise ImageError(f"{name} is a folder, expected an image file")
    if is_empty:
        raise ImageError(f"{name} is empty: got 0 bytes")
    image = _open_header(io.BytesIO(source) if isinstance(source, bytes) else path, name, formats)
    try:
        check_size(image.height, image.width, name, max_pixels)
    except ImageError:
        image.close()
        raise
    return image


def _name_of(source: str | Path | bytes) -> str:
    return "the image" if isinstance(source, bytes) else str(source)


def _open_header(file: Path | IO[bytes], name: str, formats: Sequence[str]) -> Image.Image:
    readers = [form for form in formats if form != "MPO"]  # an MPO begins as a JPEG, whose reader calls that of MPO
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `check_size` judges the size; no other warning is for the user
            return Image.open(file, formats=readers)
    except UnidentifiedImageError as error:
        accepted = "an image in a format that is read" if len(readers) > 1 else "in the expected format"
        raise ImageError(f"{name} is not {accepted} ({', '.join(formats)}), or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error}; resize it first") from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: resize it first") from error
    except OSError as error:
        reason = f"cannot read {name}: {error.strerror}" if error.strerror else f"{name} is damaged: {error}"
        raise ImageError(reason) from error
    except Exception as error:  # a damaged header: each of Pillow's readers raises its own kind
        raise ImageError(f"{name} is damaged: {error}") from error


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn every exception in the block, where an opened image is decoded, into an `ImageError` that names it."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: resize it first") from error
    except Exception as error:  # each of Pillow's readers raises its own kind
        raise ImageError(f"{name} is truncated or damaged: {error}") from error


def _decode(image: Image.Image, name: str, max_pixels: int, at_least_hw: tuple[int, int] | None) -> ByteArray:
    check_size(image.height, image.width, name, max_pixels)
    with decoding(name):
        if at_least_hw is not None:
            height, width = at_least_hw
            image.draft(None, (height, width) if is_turned(image) else (width, height))
        image.load()
        return _pil_to_rgb(image)


def _pil_to_rgb(image: Image.Image) -> ByteArray:
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_rgb(_to_8_bit(np.asarray(image)))
    if image.has_transparency_data:
        straight = image.convert("RGBA")
        page = Image.new("RGBA", straight.size, (255, 255, 255, 255))
        image = Image.alpha_composite(page, straight)
    return np.array(image.convert("RGB"))


def _array_to_rgb(array: NDArray[np.generic], max_pixels: int) -> ByteArray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or array.size == 0:
        raise ImageError(f"an image array must be (H, W), (H, W, 3) or (H, W, 4) and not empty, got {array.shape}")
    check_size(array.shape[0], array.shape[1], "the image array", max_pixels)
    if array.dtype == np.bool_:
        values = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        values = array.astype(np.uint8)
    elif array.dtype == np.uint16:
        values = _scaled(array, 0, 65535)
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ImageError("a float image must be finite and in [0, 1]: scale it, or convert it to uint8 first")
        values = _scaled(array, 0, 1)
    else:
        raise ImageError(f"an image array must be bool, uint8, uint16 or float in [0, 1], got {array.dtype}")
    if values.ndim == 2:
        return _grey_to_rgb(values)
    if values.shape[2] == 4:
        return _pil_to_rgb(Image.fromarray(values, "RGBA"))
    return np.ascontiguousarray(values)


def _to_8_bit(values: NDArray[np.generic]) -> ByteArray:
    """Scale grey of more than 8 bits; see c) of `read_image`."""
    as_floats = values.astype(np.float64)
    finite = as_floats[np.isfinite(as_floats)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if np.issubdtype(values.dtype, np.integer):
        low, high = (0.0, 65535.0) if low >= 0 and high <= 65535 else (low, high)
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return _scaled(np.nan_to_num(as_floats, nan=low, posinf=high, neginf=low), low, high)


def _scaled(values: NDArray[np.generic], low: float, high: float) -> ByteArray:
    span = high - low or 1.0
    scaled: ByteArray = np.rint((values.astype(np.float32) - low) * (255.0 / span)).clip(0, 255).astype(np.uint8)
    return scaled


def _grey_to_rgb(grey: ByteArray) -> ByteArray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def check_size(height: int, width: int, name: str, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageError if an image has more pixels or a longer side than is read. Call it before decoding."""
    if height * width > max_pixels:
        raise ImageError(
            f"{name} is too large: {width} x {height} = {height * width / 1e6:.0f} million pixels, the limit is "
            f"{max_pixels / 1e6:.0f} million; resize it first"
        )
    if max(height, width) > MAX_SIDE:
        raise ImageError(
            f"{name} is too long: {width} x {height}, the limit of a side is {MAX_SIDE} pixels; cut or resize it first"
        )


def is_turned(image: Image.Image) -> bool:
    """Return True if an opened image is rotated by 90 or 270 degrees when made upright, by EXIF, a TIFF tag or XMP.

    In a PNG only chunks before the pixels are read, where writers put them: those after them would need decoding.
    """
    if image.format == "PNG" and not image.info.keys() & _PNG_EXIF:
        return False
    stored_width = getattr(image, "tag_v2", {}).get(_WIDTH_TAG, image.width)
    if stored_width != image.width:  # newer versions of Pillow have already swapped the size of a TIFF
        return False
    return bool(image.getexif().get(_ORIENTATION_TAG, 1) >= 5)


def write_image(path: str | Path, image: ByteArray | BoolArray) -> Path:
    """Write an image in the format of the suffix. JPEG has quality 95; a mask becomes 0 and 255.

    Args:
        path: existing files are replaced; missing folders are created.
        image: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey uint8, or an (H, W) bool mask.

    Raises:
        OutputError: the suffix is unknown, the format has no alpha, or the path is not writable.
    """
    path = Path(path)
    pixels = image.astype(np.uint8) * np.uint8(255) if image.dtype == np.bool_ else image
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None or image_format not in Image.SAVE:
        raise OutputError(f"cannot write {path}: {path.suffix or 'no suffix'} is not an image format; use .png or .jpg")
    with atomic_path(path) as temporary:
        try:
            options = {"quality": 95} if image_format in ("JPEG", "WEBP") else {}
            Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format=image_format, **options)
        except (OSError, ValueError, KeyError) as error:
            raise OutputError(f"cannot write {path}: {error}") from error
    return path


def decode_jpeg(data: bytes) -> ByteArray | None:
    """Decode a plain JPEG by OpenCV, in a quarter of the time that Pillow takes and to the same pixels.

    Returns:
        (H, W, 3) upright RGB; None if the file needs `read_image`: it is another format, or one that OpenCV would get
        wrong without an error (cut off, CMYK, an orientation in XMP).

    Raises:
        ImageError: the image is too large, or its header is damaged.
    """
    is_whole = data[:2] == b"\xff\xd8" and data.rstrip(b"\0")[-2:] == b"\xff\xd9"
    if not is_whole or b"Adobe" in data[:4096] or b"tiff:Orientation" in data:
        return None
    with open_image(data, formats=("JPEG",)):  # checks the size
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def encode_jpeg(rgb: ByteArray, quality: int) -> bytes:
    """Return a JPEG file of an (H, W, 3) image, with colours at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def write_label_map(path: str | Path, labels: NDArray[np.int32], colors: Sequence[tuple[int, int, int]] = ()) -> Path:
    """Write a label map as a PNG whose pixel values are the labels: 8 bits with a palette, or 16 bits above 255.

    Args:
        path: ends in .png; existing files are replaced, missing folders are created.
        labels: (H, W), 0 to 65535.
        colors: RGB of labels 1, 2, ..., for viewers; 0 is black. 16 bits have no palette.

    Raises:
        OutputError: a label does not fit, or the path is not writable.
    """
    path = Path(path)
    largest = int(labels.max(initial=0))
    if labels.min(initial=0) < 0 or largest > 65535:
        raise OutputError(f"cannot write {path}: a PNG holds numbers from 0 to 65535, got {labels.min()} to {largest}")
    palette = bytes(channel for color in [(0, 0, 0), *colors[:255]] for channel in color)
    png = indexed_png(labels.astype(np.uint16) if largest > 255 else labels.astype(np.uint8), palette)
    with naming_errors(path), atomic_path(path) as temporary:
        temporary.write_bytes(png)
    return path
