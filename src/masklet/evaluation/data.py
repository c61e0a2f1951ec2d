"""Readers of evaluation data: folders of images or clips beside their true masks.

Mask files are indexed: 0 background, 1 to 254 objects, 255 void (unlabelled). Pairs and their sizes are checked when a
folder is opened, from the file headers, so that a long evaluation does not stop half-way on a file that does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masklet.errors import DataError
from masklet.images import IMAGE_SUFFIXES, read_image
from masklet.records import BoolArray, ByteArray

VOID = 255
"""The label of pixels nobody judged."""
MAX_OBJECT_ID = 254

MASK_SUFFIXES = frozenset({".png"})
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
            ImageError: the image cannot be read.
            DataError: the mask cannot be read, or the two differ in size.
        """
        rgb, labels = read_image(self.image_path), read_labels(self.mask_path)
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
                for image_path, mask_path in _pairs(folder / "images", folder / "masks")
            ),
        )
        for folder in folders
    ]


@dataclass(frozen=True, slots=True)
class Clip:
    """One video as a folder of frames, with the true masks of all or some of its frames."""

    name: str
    frame_paths: tuple[Path, ...]
    """In order of time; the frame index is the place in this list."""
    mask_paths: Mapping[int, Path]
    """By frame index, ascending. A frame without a mask is tracked but not judged."""

    @property
    def frames_folder(self) -> Path:
        return self.frame_paths[0].parent

    def read_labels(self, frame_index: int) -> LabelMap:
        """The true objects of one judged frame.

        Raises:
            DataError: the mask file cannot be used.
        """
        return read_labels(self.mask_paths[frame_index])


def open_clips(root: str | Path, *, split: str | None = None, resolution: str | None = None) -> list[Clip]:
    """Find the clips under a root, in one of two layouts.

    a) `<clip>/frames` + `<clip>/masks`, in the root or one folder down.
    b) DAVIS, YouTube-VOS, MOSE and LVOS: `JPEGImages/<clip>` + `Annotations/<clip>`, or with a folder for the
       resolution between them (`480p`, `Full-Resolution`). Clips without annotations are passed over.

    Args:
        root: the folder.
        split: only the clips listed in `ImageSets/2017/<split>.txt` or `ImageSets/<split>.txt`.
        resolution: the folder between, for b); 480p when there is a choice.

    Raises:
        DataError: no clip was found, a mask without its frame, sizes that differ, an unknown split or resolution.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give a folder of clips")
    if (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir():
        folders = _davis_folders(root, resolution)
    else:
        candidates = [root, *sorted(root.iterdir())]
        folders = {
            folder.resolve().name: (folder / "frames", folder / "masks")
            for folder in candidates
            if (folder / "frames").is_dir() and (folder / "masks").is_dir()
        }
    if split is not None:
        names = _split_names(root, split)
        if missing := [name for name in names if name not in folders]:
            raise DataError(f"{root} has no annotated clip {missing[0]!r}, which the split {split!r} lists")
        folders = {name: folders[name] for name in names}
    if not folders:
        raise DataError(
            f"{root} holds no clips: expected <clip>/frames and <clip>/masks, or JPEGImages and Annotations"
        )
    clips = []
    for name, (frames_folder, masks_folder) in folders.items():
        frames, masks = _matched(frames_folder, masks_folder)
        mask_paths = {index: masks[stem] for index, stem in enumerate(frames) if stem in masks}
        clips.append(Clip(name, tuple(frames.values()), mask_paths))
    return clips


def _davis_folders(root: Path, resolution: str | None) -> dict[str, tuple[Path, Path]]:
    frames_root, masks_root = root / "JPEGImages", root / "Annotations"
    if resolution is None:  # a folder of folders, where clips would hold files, is a folder of one resolution
        found = [folder.name for folder in sorted(masks_root.iterdir()) if _holds_folders(folder)]
        resolution = "480p" if "480p" in found else next(iter(found), "")
    frames_root, masks_root = frames_root / resolution, masks_root / resolution
    if not frames_root.is_dir() or not masks_root.is_dir():
        raise DataError(f"{root} has no resolution {resolution!r} in both JPEGImages and Annotations")
    return {
        folder.name: (frames_root / folder.name, folder)
        for folder in sorted(masks_root.iterdir())
        if folder.is_dir() and (frames_root / folder.name).is_dir()
    }


def _holds_folders(folder: Path) -> bool:
    return folder.is_dir() and any(child.is_dir() for child in folder.iterdir())


def _split_names(root: Path, split: str) -> list[str]:
    for path in (root / "ImageSets" / "2017" / f"{split}.txt", root / "ImageSets" / f"{split}.txt"):
        if path.is_file():
            return path.read_text(encoding="utf-8").split()
    raise DataError(f"{root / 'ImageSets'} has no list {split}.txt")


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


def _pairs(image_folder: Path, mask_folder: Path) -> list[tuple[Path, Path]]:
    """Images with their masks by stem, in order; each image has one."""
    images, masks = _matched(image_folder, mask_folder)
    if bare := [stem for stem in images if stem not in masks]:
        raise DataError(f"{images[bare[0]]} has no mask of that name in {mask_folder} ({len(bare)} such images)")
    return [(image, masks[stem]) for stem, image in images.items()]


def _matched(image_folder: Path, mask_folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks by stem, in order: every mask has an image of its size."""
    images, masks = _by_stem(image_folder, IMAGE_SUFFIXES), _by_stem(mask_folder, MASK_SUFFIXES)
    if not images:
        raise DataError(f"{image_folder} holds no images")
    if not masks:
        raise DataError(f"{mask_folder} holds no masks (indexed PNG)")
    if strays := [stem for stem in masks if stem not in images]:
        raise DataError(f"{masks[strays[0]]} has no image of that name in {image_folder} ({len(strays)} such masks)")
    for stem, mask in masks.items():
        image_size, mask_size = _header_size_hw(images[stem]), _header_size_hw(mask)
        if image_size != mask_size:
            raise _size_error(mask, mask_size, images[stem], image_size)
    return images, masks


def _by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=_natural_order):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in by_stem:
            raise DataError(f"{by_stem[path.stem]} and {path} have the same name: which one belongs to the mask?")
        by_stem[path.stem] = path
    return by_stem


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key by which 9.jpg comes before 10.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem) if part]


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
