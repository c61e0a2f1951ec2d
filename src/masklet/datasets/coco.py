"""COCO instances: one JSON for all images, with polygons or RLE; crowds are void.

annotations/instances_val2017.json + val2017/*.jpg      or any JSON next to its images, `images/` or its own folder
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from masklet.datasets.files import Faults, decode_rgb, header_size_hw, read_bytes, refuse
from masklet.datasets.jsonfile import field_of, read_json, segmentation_mask
from masklet.datasets.records import Dataset, ImageExample, Labels, MaskLabels
from masklet.errors import DataError
from masklet.masks.rle import CocoRle, decode_rle
from masklet.records import BoolArray, ByteArray

_PREFIXES = ("instances_", "_annotations.")


@dataclass(frozen=True, slots=True)
class CocoImage(ImageExample):
    """One image of a COCO file, with its annotations."""

    name: str
    source: str
    image_path: Path
    size: tuple[int, int]
    annotations: tuple[Mapping[str, Any], ...]
    """Annotations in the file's order."""
    categories: Mapping[int, str]
    json_path: Path

    @property
    def where(self) -> str:
        return f"{self.json_path}, image {self.image_path.name}"

    def encoded(self) -> tuple[bytes, str] | None:
        return read_bytes(self.image_path), self.image_path.suffix.lower()

    def read_rgb(self) -> ByteArray:
        return decode_rgb(read_bytes(self.image_path), str(self.image_path))

    def read_labels(self) -> Labels:
        """Objects are numbered from 1 in the file's order; crowds and annotations marked `ignore` are void."""
        masks: dict[int, BoolArray | CocoRle] = {}
        names: dict[int, str] = {}
        void: BoolArray | None = None
        for annotation in self.annotations:
            where = f"{self.json_path}, annotation {annotation.get('id', '?')}"
            mask = segmentation_mask(field_of(annotation, "segmentation", (dict, list), where), self.size, where)
            if annotation.get("iscrowd") or annotation.get("ignore"):
                region = mask if isinstance(mask, np.ndarray) else decode_rle(mask, self.size)
                void = region if void is None else void | region
                continue
            if isinstance(mask, np.ndarray) and not mask.any():
                continue
            object_id = len(masks) + 1
            masks[object_id] = mask
            if (name := self.categories.get(annotation.get("category_id", -1))) is not None:
                names[object_id] = name
        if void is not None:  # an object in front of a crowd is judged
            for mask in masks.values():
                void = void & ~(mask if isinstance(mask, np.ndarray) else decode_rle(mask, self.size))
        return MaskLabels(self.size, masks, void, where=self.where, categories=names)


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
    images = _read_images(path, folder, name, faults)
    if not images and not faults:
        raise DataError(f"{path} lists no images")
    if verify:
        for image in images:
            size = header_size_hw(image.image_path)
            if size != image.size:
                raise DataError(
                    f"{path} says that {image.image_path} is {image.size[1]} x {image.size[0]} (width x height), "
                    f"but it is {size[1]} x {size[0]}"
                )
    return Dataset(root, "coco", images)


def _read_images(path: Path, root: Path, source: str, faults: Faults | None) -> list[CocoImage]:
    document = read_json(path)
    records = field_of(document, "images", list, str(path))
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in field_of(document, "annotations", list, str(path)):
        by_image.setdefault(field_of(annotation, "image_id", (int, str), f"{path}, an annotation"), []).append(
            annotation
        )
    if strays := by_image.keys() - {record.get("id") for record in records}:
        raise DataError(f"{path} has annotations of image {min(strays, key=str)!r}, which it does not list")
    categories = {record["id"]: str(record.get("name", "")) for record in document.get("categories", [])}
    folders = [path.parent, root / source, root / "images", root / "images" / source, root, path.parent / "images"]
    images = []
    for record in records:
        where = f"{path}, image {record.get('id', '?')}"
        file_name = field_of(record, "file_name", str, where)
        if Path(file_name).is_absolute() or ".." in Path(file_name).parts:
            raise DataError(f"{where}: file_name {file_name!r} leads out of the data set")
        image_path = next((path_there for folder in folders if (path_there := folder / file_name).is_file()), None)
        if image_path is None:
            searched = ", ".join(map(str, dict.fromkeys(folders)))
            refuse(DataError(f"{where}: there is no {file_name} in {searched}"), faults)
            continue
        folders.insert(
            0, folders.pop(folders.index(_folder_of(image_path, file_name)))
        )  # the next image is probably there too
        height, width = (int(field_of(record, side, (int, float), where)) for side in ("height", "width"))
        annotations = tuple(by_image.get(record["id"], ()))
        name = Path(file_name).with_suffix("").as_posix()
        images.append(CocoImage(name, source, image_path, (height, width), annotations, categories, path))
    return images


def _split_of(path: Path) -> str:
    name = path.stem
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _folder_of(image_path: Path, file_name: str) -> Path:
    return image_path.parents[len(Path(file_name).parts) - 1]


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
