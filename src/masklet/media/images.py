"""Images of any kind, read as upright 8-bit RGB, and written to files.

Pillow decodes; this module interprets the pixels (orientation, alpha, bit depth) and turns every kind of bad file into
an `ImageError` that names it. `open_image` is the only place that opens a picture: whatever a file is called, no
format outside `FORMATS` is ever tried.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from masklet.errors import ImageError, OutputError
from masklet.masks.indexed_png import indexed_png
from masklet.media.unread_formats import (
    HEIF_SUFFIXES,
    PREFIX_BYTES,
    UNREAD_SUFFIXES,
    is_heif,
    other_kind,
    unread_picture,
)
from masklet.media.values import samples_of, shown_range, to_8_bits
from masklet.output import atomic_path, naming_errors
from masklet.records import BoolArray, ByteArray


class NotAnImageError(ImageError):
    """A file that is not a picture in any format that is known."""


FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": HEIF_SUFFIXES,
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
_WIDTH_TAG, _KIND_TAG, _DNG_TAG = 0x0100, 0x00FE, 0xC612  # of TIFF
_IS_PREVIEW = 0b101  # bits of the kind of a page: reduced in size, or a mask
_STRIP_PIXELS = 2**22
"""Pixels that are converted at a time: conversions of a whole image would need it several times over in memory."""
_PNG_EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})

ImageSource = str | Path | bytes | Image.Image | NDArray[np.generic]


def read_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least_hw: tuple[int, int] | None = None,
    upright: bool = True,
) -> ByteArray:
    """Read one image as RGB.

    Special cases:
    a) EXIF orientation is applied, so that x and y are those of a viewer.
    b) Transparency is composited over white, as a viewer shows it: the colour behind alpha 0 is arbitrary.
    c) Grey of more than 8 bits is mapped by the rule of `masklet.media.values`; colours of 16 bits keep their upper 8.
    d) Palette, CMYK, Lab and YCbCr become RGB. Colour profiles are ignored.
    e) A file with several pictures, such as an animation or a TIFF of several pages, is a video: `open_source` reads
       it. Of an MPO or a HEIC, the first is the photo. Of a PIL image, it is the picture where it stands.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) RGB or
            (H, W, 4) RGBA of bool, uint8, uint16 or float in [0, 1]. A tensor on the CPU counts as an array.
        max_pixels: larger images are refused before they are decoded.
        at_least_hw: smallest height and width that are needed: a JPEG may then be decoded at a half, a quarter or an
            eighth of its size (rounded up).
        upright: apply the orientation; False leaves the pixels as they lie in the file.

    Returns:
        (H, W, 3) uint8, contiguous; a copy.

    Raises:
        ImageError: the image is missing, empty, truncated, too large, not an image, or an array of another form.
    """
    values = read_values(source, max_pixels=max_pixels, at_least_hw=at_least_hw, upright=upright)
    if values.ndim == 3:
        return values
    return grey_to_rgb(to_8_bits(values, shown_range([samples_of(values)], values.dtype)))


def read_values(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least_hw: tuple[int, int] | None = None,
    upright: bool = True,
) -> NDArray[Any]:
    """Read one image as `read_image` does, but leave grey of more than 8 bits as it is.

    Returns:
        (H, W, 3) uint8; or (H, W) of another type, for `masklet.media.values`.
    """
    if isinstance(source, Image.Image):
        return _decode(source, "the PIL image", max_pixels, at_least_hw, upright)
    if isinstance(source, str | Path | bytes):
        name = _name_of(source)
        with open_image(source, max_pixels=max_pixels) as image:
            if holds_several(image, name):
                raise ImageError(
                    f"{name} holds several pictures ({image.format}), expected one: masklet track and open_source read "
                    "them as a video; or save one of them as an image"
                )
            return _decode(image, name, max_pixels, at_least_hw, upright)
    return _array_values(source, max_pixels)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts about an image file that need no decoding."""

    format: str
    """Of `FORMATS`."""
    has_several: bool
    """The file is an animation, or has several pages."""
    size_hw: tuple[int, int]
    """Of the upright image."""


def image_header(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> ImageHeader | None:
    """Return the header of an image file; None if the file is not a picture, whatever its name.

    Raises:
        ImageError: it is a picture, but damaged, too large, or in a format that is not read.
    """
    try:
        image = open_image(path, max_pixels=max_pixels)
    except NotAnImageError:
        return None
    with image:
        width, height = reversed(image.size) if is_turned(image) else image.size
        return ImageHeader(str(image.format), holds_several(image, str(path)), (height, width))


def is_still(path: str | Path) -> bool:
    """Return True for a file that is one picture, False for a video, an animation, a stack, or no picture at all.

    Raises:
        ImageError: as `image_header`.
    """
    header = image_header(path)
    return header is not None and not header.has_several


def holds_several(image: Image.Image, name: str) -> bool:
    """Return True for an animation, or a TIFF of several pages; previews, and the further views of a phone, are none.

    The image stands at its first picture afterwards.

    Raises:
        ImageError: the file is damaged.
    """
    if image.format in ("MPO", "HEIF"):
        return False
    with decoding(name):  # to know whether it is animated, Pillow reads the second picture
        if not getattr(image, "is_animated", False):
            return False
        if image.format != "TIFF":
            return True
        try:
            for page in range(1, 16):
                image.seek(page)
                if not is_preview(image):
                    return True
        except EOFError:
            return False
        finally:
            image.seek(0)
    return False


def is_preview(page: Image.Image) -> bool:
    """Return True if a page of a TIFF is a smaller copy of another or its mask."""
    return bool(getattr(page, "tag_v2", {}).get(_KIND_TAG, 0) & _IS_PREVIEW)


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder by the suffix of their names, in natural order, without results of masklet's.

    Raises:
        ImageError: the folder cannot be read, or holds pictures that would be left out, in formats that are not read.
    """
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ImageError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    images = without_results([path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES])
    stems = {path.stem for path in images}  # cameras write a JPEG next to the raw file
    unread = sorted(path for path in entries if path.suffix.lower() in UNREAD_SUFFIXES and path.stem not in stems)
    if unread:
        raise ImageError(f"{unread[0]} is {unread_picture(b'', unread[0].suffix)}, or move it out of the folder")
    return sorted(images, key=lambda path: natural_key(path.name))


_RESULT = re.compile(r"(?P<stem>.+?)(\.object\d+)?(\.candidate\d+)?\.(overlay|mask|masks|cutout)")
"""Stem of a file that `masklet segment` writes for an image of this stem."""


def without_results(images: Sequence[Path]) -> list[Path]:
    """Leave out the results of `masklet segment` for other images of the list: photo.overlay.jpg next to photo.jpg."""
    stems = {(path.parent, path.stem) for path in images}
    matches = {path: _RESULT.fullmatch(path.stem) for path in images}
    return [path for path, match in matches.items() if not (match and (path.parent, match["stem"]) in stems)]


def natural_key(name: str) -> tuple[tuple[str, int, str], ...]:
    """Return a sort key by which digits compare as numbers; ties, such as 1.jpg and 01.jpg, are broken by the text."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(("", int(part), part) if part.isdigit() else (part, -1, part) for part in parts)


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
        ImageError: the file is missing, empty, damaged, too large, or in a picture format that is not read.
        NotAnImageError: it is not a picture.
    """
    name = _name_of(source)
    if isinstance(source, bytes):
        is_empty = not source
    else:
        try:
            path = Path(source)
            is_folder, is_empty = path.is_dir(), path.stat().st_size == 0
        except FileNotFoundError as error:
            if address := address_of(path):
                raise ImageError(
                    f"{address} is an address, and images are read from files: download it first"
                ) from None
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


def address_of(path: str | Path) -> str | None:
    """Return the address that a path was made of, with both slashes, which `Path` merges; None for other paths."""
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/].*)", str(path))
    return f"{match[1]}://{match[2]}" if match else None


def _name_of(source: str | Path | bytes) -> str:
    return "the image" if isinstance(source, bytes) else str(source)


def _open_header(file: Path | IO[bytes], name: str, formats: Sequence[str]) -> Image.Image:
    prefix = _prefix_of(file, name)
    if "HEIF" in formats and is_heif(prefix):
        _register_heif(name)
        readers = ["HEIF"]
    else:
        readers = [form for form in formats if form not in ("MPO", "HEIF")]  # the reader of JPEG calls that of MPO
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `check_size` judges the size; no other warning is for the user
            image = Image.open(file, formats=readers)
    except UnidentifiedImageError as error:
        if picture := unread_picture(prefix, file.suffix if isinstance(file, Path) else ""):
            raise ImageError(f"{name} is {picture}") from error
        if kind := other_kind(prefix):
            raise NotAnImageError(f"{name} is {kind}, not an image: masklet track and open_source read it") from error
        accepted = "an image in a format that is read" if len(formats) == len(FORMATS) else "in the expected format"
        raise NotAnImageError(f"{name} is not {accepted} ({', '.join(formats)}), or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error}; resize it first") from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: resize it first") from error
    except OSError as error:
        reason = f"cannot read {name}: {error.strerror}" if error.strerror else f"{name} is damaged: {error}"
        raise ImageError(reason) from error
    except Exception as error:  # a damaged header: each of Pillow's readers raises its own kind
        raise ImageError(f"{name} is damaged: {error}") from error
    if _is_raw(image, prefix):
        image.close()
        raise ImageError(f"{name} is {unread_picture(b'', '.dng')}")
    return image


def _is_raw(image: Image.Image, prefix: bytes) -> bool:
    """Return True for a camera's raw file in the form of a TIFF, whose first page is a small preview."""
    return image.format == "TIFF" and (
        _DNG_TAG in getattr(image, "tag_v2", {}) or is_preview(image) or prefix[8:10] == b"CR"
    )


def _prefix_of(file: Path | IO[bytes], name: str) -> bytes:
    if not isinstance(file, Path):
        prefix = file.read(PREFIX_BYTES)
        file.seek(0)
        return prefix
    try:
        with file.open("rb") as opened:
            return opened.read(PREFIX_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from error


def _register_heif(name: str) -> None:
    """Let Pillow read HEIC, where the extra is installed."""
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise ImageError(f'{name} is HEIC: pip install "masklet[heic]", or save it as JPEG') from error


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn every exception in the block, where an opened image is decoded, into an `ImageError` that names it."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: resize it first") from error
    except Exception as error:  # each of Pillow's readers raises its own kind
        raise ImageError(f"{name} is truncated or damaged: {error}") from error


def _decode(
    image: Image.Image, name: str, max_pixels: int, at_least_hw: tuple[int, int] | None, upright: bool
) -> NDArray[Any]:
    check_size(image.height, image.width, name, max_pixels)
    with decoding(name):
        if at_least_hw is not None:
            height, width = at_least_hw
            image.draft(None, (height, width) if upright and is_turned(image) else (width, height))
        image.load()
        orientation = image.getexif().get(_ORIENTATION_TAG, 1) if upright else 1
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            values = np.asarray(image)
            return np.array(_turned(values, orientation), values.dtype.newbyteorder("="))
        return _rgb_of(image, orientation)


def _rgb_of(image: Image.Image, orientation: int) -> ByteArray:
    """Convert an image to upright RGB over white, in strips."""
    width, height = image.size
    upright_size = (width, height) if orientation >= 5 else (height, width)
    rgb: ByteArray = np.empty((*upright_size, 3), np.uint8)
    as_stored = _turned(rgb, {6: 8, 8: 6}.get(orientation, orientation))  # of turns and flips, only these two differ
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if strip.has_transparency_data:
            straight = (strip.convert("LA") if strip.mode == "La" else strip).convert("RGBA")
            page = Image.new("RGBA", straight.size, (255, 255, 255, 255))
            strip = Image.alpha_composite(page, straight)
        as_stored[top : top + rows] = np.asarray(strip.convert("RGB"))
    return rgb


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of pixels (H, W, ...), turned and flipped as an EXIF orientation from 1 to 8 asks."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _array_values(source: Any, max_pixels: int) -> NDArray[Any]:
    array = _as_array(source)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or array.size == 0:
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = ": its channels come first, pass image.transpose(1, 2, 0), or image.permute(1, 2, 0) of a tensor"
        expected = "(H, W), (H, W, 3) or (H, W, 4) and not empty"
        raise ImageError(f"an image array must be {expected}, got {array.shape}{hint}")
    check_size(array.shape[0], array.shape[1], "the image array", max_pixels)
    if array.dtype == np.uint16 and array.ndim == 2:
        return np.array(array)
    if array.dtype == np.bool_:
        values = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        values = array.astype(np.uint8)
    elif array.dtype == np.uint16:
        values = to_8_bits(array, (0, 65535))
    elif np.issubdtype(array.dtype, np.floating):
        _check_floats(array)
        values = to_8_bits(array, (0, 1))
    else:
        raise ImageError(f"an image array must be bool, uint8, uint16 or float in [0, 1], got {array.dtype}")
    if values.ndim == 2:
        return grey_to_rgb(values)
    if values.shape[2] == 4:
        return _rgb_of(Image.fromarray(values, "RGBA"), 1)
    return np.ascontiguousarray(values)


def _as_array(source: Any) -> NDArray[Any]:
    """Return an array, or something that numpy takes for one, such as a tensor."""
    if not hasattr(source, "__array__") or np.ndim(source) == 0:
        raise ImageError(f"an image must be a path, bytes, a PIL image or an array, got {type(source).__name__}")
    try:
        return np.asarray(source)
    except Exception as error:  # torch has a type of error for each reason
        raise ImageError(f"the image cannot be read as an array: {error}") from error


def _check_floats(array: NDArray[Any]) -> None:
    """Refuse float images whose white is not 1."""
    if not np.isfinite(array).all():
        raise ImageError("a float image must be finite and in [0, 1], and it holds NaN or infinity: replace them first")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        remedy = "pass image.astype(np.uint8)" if low >= 0 and 1 < high <= 255 else "scale it first"
        raise ImageError(f"a float image must be in [0, 1], and its values run from {low:g} to {high:g}: {remedy}")


def grey_to_rgb(grey: ByteArray) -> ByteArray:
    """Return (H, W, 3) with three equal channels."""
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


MAX_WRITTEN_SIDES = {"WEBP": 16_383, "JPEG": 65_500, "GIF": 65_535}
"""Longest side that can be written, by format; others hold more than fits in memory."""


def write_image(path: str | Path, image: ByteArray | BoolArray) -> Path:
    """Write an image in the format of the suffix. JPEG has quality 95; a mask becomes 0 and 255.

    Args:
        path: existing files are replaced; missing folders are created.
        image: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey uint8, or an (H, W) bool mask.

    Raises:
        OutputError: the suffix is unknown, the image is too large for the format, the format has no alpha, or the path
            is not writable.
    """
    path = Path(path)
    pixels = image.astype(np.uint8) * np.uint8(255) if image.dtype == np.bool_ else image
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None or image_format not in Image.SAVE:
        raise OutputError(f"cannot write {path}: {path.suffix or 'no suffix'} is not an image format; use .png or .jpg")
    longest, most = max(pixels.shape[:2]), MAX_WRITTEN_SIDES.get(image_format)
    if most is not None and longest > most:
        raise OutputError(
            f"cannot write {path}: {image_format} holds at most {most:,} pixels per side, the image has {longest:,}; "
            "use .png"
        )
    buffer = io.BytesIO()  # on a full disk Pillow writes the first part of a file without an error
    try:
        options = {"quality": 95} if image_format in ("JPEG", "WEBP") else {}
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format=image_format, **options)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    with atomic_path(path) as temporary, naming_errors(path):
        temporary.write_bytes(buffer.getbuffer())
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
