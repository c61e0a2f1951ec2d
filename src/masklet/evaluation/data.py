"""Readers of evaluation data: folders of images or clips beside their true masks.

Mask files are indexed: 0 background, 1 to 254 objects, 255 void (unlabelled). Pairs and their sizes are checked when a
folder is opened, from the file headers, so that a long evaluation does not stop half-way on a file that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from masklet.errors import DataError
from masklet.records import BoolArray, ByteArray

VOID = 255
"""The label of pixels nobody judged."""
MAX_OBJECT_ID = 254

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class LabelMap:
    """The true objects of one image."""

    labels: NDArray[np.int32]
    """(H, W) 0 background, 1 to 254 objects, `VOID` unlabelled."""

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ascending; background and void are not objects."""
        present = np.flatnonzero(np.bincount(self.labels.ravel(), minlength=VOID + 1)[: MAX_OBJECT_ID + 1])
        return tuple(int(label) for label in present if label != 0)

    @property
    def void(self) -> BoolArray | None:
        """(H, W), or None when every pixel is labelled."""
        void: BoolArray = self.labels == VOID
        return void if void.any() else None

    def mask(self, object_id: int) -> BoolArray:
        """(H, W) of one object; all False when it is not in this image."""
        mask: BoolArray = self.labels == object_id
        return mask


@dataclass(frozen=True, slots=True)
class ImageSample:
    """One image file and the file of its true masks."""

    image_path: Path
    mask_path: Path

    @property
    def name(self) -> str:
        return self.image_path.stem

    def read(self) -> tuple[ByteArray, LabelMap]:
        """The image (H, W, 3) uint8 RGB, upright, and its objects.

        Raises:
            DataError: a file cannot be read, or the two differ in size.
        """
        rgb, labels = read_rgb(self.image_path), read_labels(self.mask_path)
        if rgb.shape[:2] != labels.size_hw:
            raise _size_error(self.mask_path, labels.size_hw, self.image_path, (rgb.shape[0], rgb.shape[1]))
        return rgb, labels


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A folder with `images/` and `masks/`: one row of the report."""

    name: str
    samples: tuple[ImageSample, ...]


def open_image_sources(roots: str | Path | Iterable[str | Path]) -> list[ImageSource]:
    """Find the image folders under one or several roots.

    A root is a folder with `images/` and `masks/`, or a folder of such folders (others beside them are passed over).
    A mask has the stem of its image. Two sources of the same folder name are told apart by their parents' names.

    Raises:
        DataError: a root without such folders, an image without its mask or the reverse, sizes that differ.
    """
    paths = [Path(roots)] if isinstance(roots, (str, Path)) else [Path(root) for root in roots]
    if not paths:
        raise DataError("no folder to evaluate was given")
    folders: list[Path] = []
    for root in paths:
        if not root.is_dir():
            raise DataError(
                f"{root} is not a folder: give a folder with images/ and masks/, or a folder of such folders"
            )
        found = (
            [root] if _is_image_source(root) else [child for child in sorted(root.iterdir()) if _is_image_source(child)]
        )
        if not found:
            raise DataError(f"{root} holds neither images/ and masks/ nor folders that do")
        folders += [folder.resolve() for folder in found]
    folders = list(dict.fromkeys(folders))
    names = [folder.name for folder in folders]
    return [
        ImageSource(
            name=folder.name if names.count(folder.name) == 1 else f"{folder.parent.name}/{folder.name}",
            samples=tuple(
                ImageSample(image_path, mask_path)
                for image_path, mask_path in _pairs(folder / "images", folder / "masks", every_image=True)
            ),
        )
        for folder in folders
    ]


def read_rgb(path: Path) -> ByteArray:
    """An image, upright, as (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for broken files
        raise DataError(f"{path} cannot be read as an image: {error}") from error


def read_labels(path: Path) -> LabelMap:
    """An indexed mask file.

    Raises:
        DataError: the file cannot be read, is a colour picture, or has labels above 255.
    """
    try:
        with Image.open(path) as image:
            mode, labels = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a mask: {error}") from error
    if labels.ndim != 2:
        raise DataError(f"{path} is a colour picture (mode {mode}): masks must be indexed, one number a pixel")
    labels = labels.astype(np.int32)
    if labels.min() < 0 or labels.max() > VOID:
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}: at most {MAX_OBJECT_ID} objects, 1 to "
            f"{MAX_OBJECT_ID}, and {VOID} for void"
        )
    return LabelMap(labels)


def spread(samples: Sequence[ImageSample], count: int | None) -> list[ImageSample]:
    """`count` samples evenly spaced over the folder, the same ones every time; all of them for None."""
    if count is None or count >= len(samples):
        return list(samples)
    return [samples[index * len(samples) // count] for index in range(count)]


def _is_image_source(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def _pairs(image_folder: Path, mask_folder: Path, *, every_image: bool) -> list[tuple[Path, Path]]:
    """Images with their masks by stem, in order; without `every_image`, images that have no mask are left out."""
    images = _by_stem(image_folder, IMAGE_SUFFIXES)
    masks = _by_stem(mask_folder, frozenset({".png"}))
    if not images:
        raise DataError(f"{image_folder} holds no images")
    if not masks:
        raise DataError(f"{mask_folder} holds no masks (indexed PNG)")
    if strays := sorted(masks.keys() - images.keys()):
        raise DataError(f"{masks[strays[0]]} has no image of that name in {image_folder} ({len(strays)} such masks)")
    if every_image and (bare := sorted(images.keys() - masks.keys())):
        raise DataError(f"{images[bare[0]]} has no mask of that name in {mask_folder} ({len(bare)} such images)")
    pairs = [(images[stem], mask) for stem, mask in masks.items()]
    for image, mask in pairs:
        image_size, mask_size = _header_size_hw(image), _header_size_hw(mask)
        if image_size != mask_size:
            raise _size_error(mask, mask_size, image, image_size)
    return pairs


def _by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    by_stem: dict[str, Path] = {}
    for path in files:
        if path.stem in by_stem:
            raise DataError(f"{by_stem[path.stem]} and {path} have the same name: which one belongs to the mask?")
        by_stem[path.stem] = path
    return by_stem


def _header_size_hw(path: Path) -> tuple[int, int]:
    """Upright size without decoding."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error
    return (width, height) if turned else (height, width)


def _size_error(mask: Path, mask_hw: tuple[int, int], image: Path, image_hw: tuple[int, int]) -> DataError:
    return DataError(
        f"{mask} is {mask_hw[1]} x {mask_hw[0]} (width x height) but {image} is {image_hw[1]} x {image_hw[0]}: "
        f"a mask must have the size of its image"
    )
