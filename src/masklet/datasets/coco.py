"""COCO instances: one JSON for all images, with polygons or RLE; crowds are void.

annotations/instances_val2017.json + val2017/*.jpg      or any JSON next to its images, `images/` or its own folder
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from masklet.datasets.files import Faults, decode_rgb, header_size_hw, read_bytes, refuse
from masklet.datasets.records import Dataset, ImageExample, Labels, MaskLabels
from masklet.errors import DataError
from masklet.foreign.coco_document import CocoAnnotation, CocoImageRecord, parse_coco
from masklet.foreign.documents import read_json
from masklet.foreign.file_names import best_matches
from masklet.masks.convert import decoded, is_empty
from masklet.masks.rle import CocoRle
from masklet.media.images import IMAGE_SUFFIXES
from masklet.records import BoolArray, ByteArray

_PREFIXES = ("instances_", "_annotations.")


@dataclass(frozen=True, slots=True)
class CocoImage(ImageExample):
    """One image of a COCO file, with its annotations."""

    name: str
    source: str
    image_path: Path
    size: tuple[int, int]
    annotations: tuple[CocoAnnotation, ...]
    """Annotations in the file's order."""
    json_path: Path

    @property
    def where(self) -> str:
        return f"{self.json_path}, image {self.image_path.name}"

    def encoded(self) -> tuple[bytes, str] | None:
        return read_bytes(self.image_path), self.image_path.suffix.lower()

    def read_rgb(self) -> ByteArray:
        return decode_rgb(read_bytes(self.image_path), str(self.image_path))

    def read_labels(self) -> Labels:
        """Objects are numbered from 1 in the file's order. Void: crowds, what is marked `ignore`, and boxes without a
        mask, in which there is an object that nobody has outlined."""
        masks: dict[int, BoolArray | CocoRle] = {}
        names: dict[int, str] = {}
        void = np.zeros(self.size, np.bool_)
        for annotation in self.annotations:
            if annotation.segmentation is None:
                void |= _box_mask(annotation, self.size)
                continue
            try:
                mask = annotation.mask(self.size)
            except DataError as error:
                raise DataError(f"{annotation.where}: {error}", error.fault) from error
            if annotation.is_crowd or annotation.is_ignored:
                void |= decoded(mask)
            elif not is_empty(mask):
                object_id = len(masks) + 1
                masks[object_id] = mask
                if annotation.category:
                    names[object_id] = annotation.category
        if void.any():  # an object in front of a crowd is judged
            for mask in masks.values():
                void &= ~decoded(mask)
        return MaskLabels(self.size, masks, void if void.any() else None, where=self.where, categories=names)


def _box_mask(annotation: CocoAnnotation, size_hw: tuple[int, int]) -> BoolArray:
    mask = np.zeros(size_hw, np.bool_)
    if annotation.box_xywh is not None:
        left, top, width, height = annotation.box_xywh
        rows = slice(max(0, int(top)), max(0, int(np.ceil(min(top + height, size_hw[0])))))
        columns = slice(max(0, int(left)), max(0, int(np.ceil(min(left + width, size_hw[1])))))
        mask[rows, columns] = True
    return mask


def find_coco(root: Path) -> dict[str, Path]:
    """The COCO files of a folder by split: `instances_val2017.json` is `val2017`.

    A file counts as COCO when its beginning or end has at least two of COCO's top-level keys; it is not parsed.
    """
    by_split: dict[str, Path] = {}
    for folder in (root / "annotations", root, *sorted(path for path in root.iterdir() if path.is_dir())):
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            if _looks_like_coco(path):
                name = _split_of(path)
                if name in ("coco", "annotations"):  # as Roboflow has it: train/_annotations.coco.json
                    name = folder.name if folder != root else name
                by_split.setdefault(name, path)
    return by_split


def recognise_coco(root: Path) -> bool:
    """Return whether there is a COCO file in the folder, in `annotations/` or one folder down."""
    return bool(find_coco(root))


def open_coco(root: Path, *, split: str | None = None, verify: bool = True, faults: Faults | None = None) -> Dataset:
    """Open a folder with a COCO file, or the file itself.

    Args:
        root: the folder, or the JSON.
        split: which file, where there are several: the part of its name after `instances_`.
        verify: every image must be there, of the size that the JSON says.

    Raises:
        DataError: no file, several without a split, fields that are missing, or image files that do not exist.
    """
    files = {_split_of(root): root} if root.is_file() else find_coco(root)
    if not files:
        raise DataError(f"{root} holds no COCO file: expected annotations/instances_<split>.json or any COCO .json")
    if split is None and len(files) > 1:
        raise DataError(f"{root} holds several COCO files: choose split {' or '.join(sorted(files))}")
    if split is not None and split not in files:
        raise DataError(f"{root} has no split {split!r}: it has {', '.join(sorted(files))}")
    name, path = (split, files[split]) if split is not None else next(iter(files.items()))
    folder = root if root.is_dir() else root.parent.parent if root.parent.name == "annotations" else root.parent
    images = _read_images(path, folder, name, faults, verify=verify)
    if not images and not faults:
        raise DataError(f"{path} lists no images")
    return Dataset(root, "coco", images)


def _read_images(path: Path, root: Path, source: str, faults: Faults | None, *, verify: bool) -> list[CocoImage]:
    document = parse_coco(read_json(path))
    finder = _ImageFinder(path, root, source)
    images: list[CocoImage] = []
    owners: dict[Path, CocoImageRecord] = {}
    names: set[str] = set()
    for record in document.images:
        try:
            image_path = finder.find(record)
            if image_path in owners:
                raise DataError(
                    f"{record.where}: {record.name} and {owners[image_path].name} both lead to {image_path}: keep the "
                    "images in the folders that the file names"
                )
            owners[image_path] = record
            size = _size_of(record, image_path, path, verify=verify)
        except DataError as error:
            refuse(error, faults)
            continue
        stem = Path(record.name).with_suffix("").as_posix()
        name = record.name if stem in names else stem
        names.add(name)
        images.append(CocoImage(name, source, image_path, size, document.by_image.get(record.id, ()), path))
    return images


def _size_of(record: CocoImageRecord, image_path: Path, json_path: Path, *, verify: bool) -> tuple[int, int]:
    """Return the size that the file says, or that of the image, if it says none."""
    if record.size_hw is not None and not verify:
        return record.size_hw
    size = header_size_hw(image_path)
    if record.size_hw is not None and size != record.size_hw:
        height, width = record.size_hw
        turned = size == (width, height)
        raise DataError(
            f"{json_path} says that {image_path} is {width} x {height} (width x height), but it is "
            f"{size[1]} x {size[0]}" + (": the tool has ignored the orientation in its EXIF data" if turned else ""),
            "sizes differ",
        )
    return size


class _ImageFinder:
    """Finds the images that a COCO file names, whatever folder it was written in.

    Args:
        path: of the JSON.
        root: folder of the data set, outside of which no image is looked for.
        source: name of the split, which may be a folder's.
    """

    def __init__(self, path: Path, root: Path, source: str) -> None:
        folders = [path.parent, root / source, root / "images", root / "images" / source, root, path.parent / "images"]
        self._folders = list(dict.fromkeys(folders))
        self._root = root
        self._by_stem: dict[str, list[Path]] | None = None

    def find(self, record: CocoImageRecord) -> Path:
        """Return the path of an image.

        Raises:
            DataError: there is none, or several fit.
        """
        if ".." in record.file_name.replace("\\", "/").split("/"):
            raise DataError(
                f"{record.where}: file_name {record.file_name!r} leads out of the data set: name its images by their "
                "path from the folder of the data set"
            )
        for parts in record.names:
            for folder in self._folders:
                if (path := folder.joinpath(*parts)).is_file():
                    self._folders.remove(folder)
                    self._folders.insert(0, folder)  # the next image is probably there too
                    return path
        candidates = self._search(record)
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            listed = ", ".join(map(str, candidates[:5]))
            raise DataError(f"{record.where}: {record.name} may be {listed}: keep its folder's name, or remove one")
        searched = ", ".join(map(str, self._folders))
        raise DataError(f"{record.where}: there is no {record.name} in {searched}")

    def _search(self, record: CocoImageRecord) -> list[Path]:
        if self._by_stem is None:
            self._by_stem = {}
            for path in sorted(self._root.rglob("*")):
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                    self._by_stem.setdefault(path.stem.casefold(), []).append(path)
        for parts in record.names:
            same_name = [
                path
                for path in self._by_stem.get(Path(parts[-1]).stem.casefold(), ())
                if path.name.casefold() == parts[-1].casefold()
            ]
            if matches := best_matches(parts, same_name, self._parts_of):
                return matches
        return []

    def _parts_of(self, path: Path) -> Sequence[tuple[str, ...]]:
        return (path.relative_to(self._root).parts,)


def _split_of(path: Path) -> str:
    name = path.stem
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _looks_like_coco(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            file.seek(max(0, path.stat().st_size - (1 << 16)))
            tail = file.read()
    except OSError:
        return False
    keys = [key for key in (b'"images"', b'"annotations"', b'"categories"', b'"info"') if key in head or key in tail]
    return b'"image"' not in head and len(keys) >= 2
