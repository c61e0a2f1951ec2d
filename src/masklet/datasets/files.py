"""Files of images and masks: found, paired by name, checked by their headers and decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from masklet.datasets.label_images import Ids, decode_ids
from masklet.datasets.records import VOID, IndexedLabels, Labels, MaskLabels
from masklet.errors import DataError, ImageError
from masklet.masks.rle import encode_rle
from masklet.media.images import IMAGE_SUFFIXES, decode_jpeg, decoding, image_files, is_turned, open_image, read_image
from masklet.records import BoolArray, ByteArray

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jpg", ".jpeg"})
_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp", ".gif"})
VOID_FILE = -1
"""Key of `void.png` among the files by object id."""
_SIBLINGS = 5
"""Number of masks read to tell 0/255 masks from masks with void."""


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", "cannot be read") from error


def decode_rgb(data: bytes, where: str) -> ByteArray:
    """Decode an image to upright (H, W, 3) uint8 RGB.

    Raises:
        DataError: the data is empty, truncated or not an image.
    """
    try:
        rgb = decode_jpeg(data)
        return read_image(data) if rgb is None else rgb
    except ImageError as error:
        raise DataError(f"{where} cannot be read: {error}", "cannot be read") from error


@dataclass(frozen=True, slots=True)
class IndexedMask:
    """The masks of one image in one label image: the pixel's value is the object's id."""

    path: Path
    siblings: tuple[Path, ...] = ()
    """A few masks of the same source or clip, which tell whether 255 alone means object 1 or void."""

    def read(self) -> Labels:
        """Raises DataError: the file cannot be used."""
        ids = decode_ids(read_bytes(self.path), str(self.path))
        if holds_only_255(ids) and _are_binary(self.siblings or (self.path,)):
            ids = (ids > 0).astype(np.uint8)
        return labels_of_ids(ids, str(self.path))


def labels_of_ids(ids: Ids, where: str) -> Labels:
    """Return the labels of `decode_ids`: ids beyond a byte get a mask each."""
    if ids.dtype == np.uint8:
        return IndexedLabels(np.ascontiguousarray(ids, np.uint8))
    objects = np.unique(ids)
    masks = {int(value): encode_rle(ids == value) for value in objects[objects > 0].tolist()}
    return MaskLabels((ids.shape[0], ids.shape[1]), masks, where=where)


def holds_only_255(ids: Ids) -> bool:
    """Return whether the mask has the value 255 but no object id."""
    return bool(ids.max(initial=0) == VOID and not ((ids > 0) & (ids < VOID)).any())


@lru_cache(maxsize=4096)
def _are_binary(paths: tuple[Path, ...]) -> bool:
    """Return whether no mask holds an id from 1 to 254: masks of 0 and 255, as those of DAVIS 2016."""
    return all(
        holds_only_255(ids) or not ids.any() for ids in (decode_ids(read_bytes(path), str(path)) for path in paths)
    )


@dataclass(frozen=True, slots=True)
class ObjectMasks:
    """The masks of one image in one PNG per object, where every value but 0 is the object."""

    path: Path
    """The folder they are in, for messages."""
    paths: tuple[tuple[int, Path], ...]
    """Object id and file, ascending; `VOID_FILE` for unjudged pixels."""

    def read(self) -> Labels:
        """Raises DataError: a file cannot be used, or sizes differ."""
        masks: dict[int, BoolArray] = {}
        size: tuple[int, int] | None = None
        for object_id, path in self.paths:
            mask: BoolArray = decode_ids(read_bytes(path), str(path)) > 0
            if size is None:
                size = (mask.shape[0], mask.shape[1])
            elif mask.shape != size:
                raise _size_error(path, (mask.shape[0], mask.shape[1]), self.paths[0][1], size)
            if mask.any():
                masks[object_id] = mask
        if size is None:
            raise DataError(f"{self.path} holds no masks")
        return MaskLabels(size, masks, masks.pop(VOID_FILE, None), where=str(self.path))


MaskFile = IndexedMask | ObjectMasks


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder, in natural order.

    Raises:
        DataError: there is none, or two have one name.
    """
    try:
        image_files(folder)  # names pictures in formats that are not read, which would be left out
    except ImageError as error:
        raise DataError(str(error), "cannot be read") from error
    images = _by_stem(folder, IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"{folder} holds no images: expected files of type {', '.join(sorted(IMAGE_SUFFIXES))}")
    return images


def masks_by_stem(folder: Path, stems: Iterable[str]) -> dict[str, MaskFile]:
    """Return the masks of a folder, by the stem of their image.

    a) `<stem>.png`, indexed; b) `<stem>/<object>.png`, and `<stem>/void.png` for unjudged pixels;
    c) `<object>/<stem>.png`, one PNG per object. a) and b) may be mixed.

    Args:
        folder: folder of masks.
        stems: stems of the images, which tell b) from c).

    Raises:
        DataError: there are no masks, or an object has no number.
    """
    indexed = _label_files(folder)
    folders = [path for path in sorted(folder.iterdir(), key=natural_order) if path.is_dir()]
    known_stems = set(stems)
    if indexed:
        paths = list(indexed.values())
        siblings = tuple(paths[row * len(paths) // _SIBLINGS] for row in range(min(_SIBLINGS, len(paths))))
        masks: dict[str, MaskFile] = {stem: IndexedMask(path, siblings) for stem, path in indexed.items()}
        object_folders = [path for path in folders if path.name in known_stems and path.name not in indexed]
        return masks | {path.name: _objects_in(path) for path in object_folders}
    if any(path.name in known_stems for path in folders) and not _all_hold(folders, known_stems):
        return {path.name: _objects_in(path) for path in folders}
    by_stem: dict[str, dict[int, Path]] = {}
    for path in folders:
        files = _label_files(path)
        if files and not path.name.isdigit():
            raise DataError(f"{path} holds masks, and its name is neither that of an image nor an object's number")
        for stem, file in files.items():
            by_stem.setdefault(stem, {})[int(path.name)] = file
    if not by_stem:
        raise DataError(f"{folder} holds no masks: expected indexed PNGs, or one PNG per object in folders")
    return {stem: ObjectMasks(folder, tuple(sorted(files.items()))) for stem, files in by_stem.items()}


def _label_files(folder: Path) -> dict[str, Path]:
    """Return the label images of a folder by stem; JPEGs only where nothing else is, as they may be the pictures."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in MASK_SUFFIXES]
    if any(path.suffix.lower() not in _LOSSY_SUFFIXES for path in paths):
        return _by_stem(folder, MASK_SUFFIXES - _LOSSY_SUFFIXES)
    return _by_stem(folder, MASK_SUFFIXES)


def _objects_in(folder: Path) -> ObjectMasks:
    """Return the masks of a folder of one image per object, by the number that is, or ends, its name.

    Raises:
        DataError: a name has no number, or two have the same: objects are never numbered by their order.
    """
    files = _label_files(folder)
    by_id: dict[int, Path] = {}
    void = files.pop("void", None)
    for stem, file in files.items():
        digits = re.search(r"\d{1,9}$", stem)
        if digits is None:
            raise DataError(f"{file} does not say which object it is: name it by a number, as in {folder.name}/7.png")
        if (object_id := int(digits[0])) in by_id:
            raise DataError(f"{by_id[object_id]} and {file} are both object {object_id}: give each its own number")
        by_id[object_id] = file
    if 0 in by_id:  # counted from 0
        by_id = {object_id + 1: file for object_id, file in by_id.items()}
    if void is not None:
        by_id[VOID_FILE] = void
    return ObjectMasks(folder, tuple(sorted(by_id.items())))


def _all_hold(folders: Sequence[Path], stems: set[str]) -> bool:
    """Return whether every folder holds files named like images, and not only because both are numbers."""
    return all(path.name.isdigit() and {file.stem for file in path.glob("*.png")} <= stems for path in folders) and any(
        path.name not in stems for path in folders
    )


Faults = list[DataError]
"""Faults collected by a reader that continues after them; see `open_dataset`."""


def refuse(error: DataError, faults: Faults | None) -> None:
    """Raise an error, or add it to the faults where they are collected."""
    if faults is None:
        raise error
    faults.append(error)


def refuse_folder(error: DataError, folder: Path, faults: Faults | None) -> None:
    """Refuse as `refuse` does for a folder of images or frames that cannot be used at all."""
    num_files = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    refuse(DataError(str(error), num_files=max(1, num_files)), faults)


def match(
    image_folder: Path, mask_folder: Path, *, verify: bool = True, faults: Faults | None = None
) -> tuple[dict[str, Path], dict[str, MaskFile]]:
    """Return images and masks by stem, in order: every mask has an image, but not every image needs a mask.

    Args:
        image_folder: of images.
        mask_folder: of masks; see `masks_by_stem`.
        verify: compare sizes, from the files' headers.
        faults: collects what is wrong with single files, which are then left out, instead of raising it.

    Raises:
        DataError: a folder is missing or empty, a mask has no image, or sizes differ.
    """
    if not mask_folder.is_dir():
        raise DataError(f"{image_folder} has no masks next to it: expected {mask_folder}")
    images = images_by_stem(image_folder)
    masks = masks_by_stem(mask_folder, images)
    if strays := [stem for stem in masks if stem not in images]:
        message = f"{_file_of(masks[strays[0]])} has no image of the same name in {image_folder}"
        refuse(DataError(f"{message} ({len(strays)} such masks)", num_files=len(strays)), faults)
        masks = {stem: mask for stem, mask in masks.items() if stem in images}
    if verify:
        misfits = {stem for stem, mask in masks.items() if not _fits(images[stem], mask, faults)}
        images = {stem: image for stem, image in images.items() if stem not in misfits}
        masks = {stem: mask for stem, mask in masks.items() if stem not in misfits}
    return images, masks


def _fits(image: Path, mask: MaskFile, faults: Faults | None) -> bool:
    try:
        check_sizes(image, mask)
    except DataError as error:
        refuse(error, faults)
        return False
    return True


def check_sizes(image: Path, mask: MaskFile) -> None:
    """Compare an image's size, as it is when upright, with its masks', reading headers only.

    Raises:
        DataError: they differ, or a file is not an image.
    """
    image_size = header_size_hw(image)
    for path in [mask.path] if isinstance(mask, IndexedMask) else [path for _, path in mask.paths]:
        mask_size = header_size_hw(path, upright=False)  # as `decode_ids` reads it
        if image_size != mask_size:
            raise _size_error(path, mask_size, image, image_size)


def header_size_hw(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """Size without decoding: of the image made upright, or of the pixels as they lie in the file.

    Raises:
        DataError: the file is not an image.
    """
    try:
        with open_image(path) as image, decoding(str(path)):
            width, height = image.size
            turned = upright and is_turned(image)
    except ImageError as error:
        raise DataError(str(error), "cannot be read") from error
    return (width, height) if turned else (height, width)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key by which 9.jpg comes before 10.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem) if part]


def _by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=natural_order):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in by_stem:
            raise DataError(
                f"{by_stem[path.stem]} and {path} have the same name, so a mask may belong to either: "
                "rename or remove one"
            )
        by_stem[path.stem] = path
    return by_stem


def _file_of(mask: MaskFile) -> Path:
    return mask.path if isinstance(mask, IndexedMask) else mask.paths[0][1]


def _size_error(mask: Path, mask_hw: tuple[int, int], image: Path, image_hw: tuple[int, int]) -> DataError:
    return DataError(
        f"{mask} is {mask_hw[1]} x {mask_hw[0]} (width x height) but {image} is {image_hw[1]} x {image_hw[0]}: "
        f"a mask must have the size of its image",
        "sizes differ",
    )
