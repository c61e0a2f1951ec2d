"""Imports masks from the files of other tools, to be corrected or rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from masklet.checks import check_whole
from masklet.datasets.files import MaskFile, masks_by_stem, natural_order, read_bytes
from masklet.datasets.jsonfile import field_of, parse_json, segmentation_mask
from masklet.datasets.sav import LABEL_STEP
from masklet.errors import ConfigError, DataError, MaskletError
from masklet.formats.pngs import OBJECTS_NAME
from masklet.formats.unpacking import DEFAULT_LIMITS, Files, ImportLimits, unpacked
from masklet.masks.drawing import Color
from masklet.masks.rle import decode_rle
from masklet.records import BoolArray
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.masklets import DEFAULT_CLASS, Masklets, ObjectInfo, parse_color

IMPORT_FORMATS = {
    "coco": "a COCO .json: polygons or RLE",
    "sa-v": "a <video>_manual.json or _auto.json of SA-V",
    "masks": "PNGs, indexed or one per object, alone, in a folder or a .zip",
    "davis": "a folder or .zip with Annotations/<video>/00000.png, indexed",
}
"""The formats that `import_masks` reads, by id."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Masks that were read from files."""

    masklets: Masklets
    num_masks: int
    skipped: tuple[str, ...]
    """One line for each mask that could not be used, with the reason."""
    format: str
    """Id of the format, one of `IMPORT_FORMATS`."""
    classes: Mapping[str, Color | None] = field(default_factory=dict)
    """Colours of all classes that the files list, by name, in the files' order; None if they have no colour."""
    has_ids: bool = True
    """False if the files do not number the objects: then the ids are only an order."""


@dataclass(slots=True)
class _Reading:
    """State of an import: the medium, and the masks so far."""

    size_hw: tuple[int, int]
    num_frames: int
    file_name: str
    max_masks: int
    store: MaskStore = field(default_factory=MaskStore)
    objects: dict[int, ObjectInfo] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    num_masks: int = 0
    classes: dict[str, Color | None] = field(default_factory=dict)
    has_ids: bool = True

    def add(
        self, frame_index: int, object_id: int, mask: BoolArray, where: str, scores: Mapping[str, Any] | None = None
    ) -> None:
        height, width = self.size_hw
        if mask.shape != self.size_hw:
            self.skip(f"{where}: the mask is {mask.shape[1]} x {mask.shape[0]}, the medium {width} x {height}")
        elif not 0 <= frame_index < self.num_frames:
            self.skip(f"{where}: there is no frame {frame_index}, the medium has {self.num_frames}")
        elif self.num_masks >= self.max_masks:
            raise DataError(f"more than {self.max_masks:,} masks: import them in parts")
        elif mask.any():
            self.store.write([given_row(frame_index, object_id, mask, **(scores or {}))])
            self.objects.setdefault(object_id, ObjectInfo(object_id))
            self.num_masks += 1

    def skip(self, why: str) -> None:
        self.skipped.append(why)


def import_masks(
    files: Files,
    *,
    size_hw: tuple[int, int],
    num_frames: int = 1,
    file_name: str = "",
    format: str = "auto",
    limits: ImportLimits = DEFAULT_LIMITS,
) -> Imported:
    """Read masks for one medium. Masks that cannot be used are skipped and listed.

    Frames are matched by number: `frame_index` in COCO, the digits at the end of file names elsewhere; if these do not
    fit, by order. For an image everything belongs to frame 0, and of a COCO file with several images only the one with
    its name is read. Objects keep their numbers, names and classes if the file has them.

    Args:
        files: as described at `Files`.
        size_hw: size of the medium.
        num_frames: frames of the medium; 1 for an image.
        file_name: name of the medium, to find it in a COCO file.
        format: one of `IMPORT_FORMATS`, or "auto".
        limits: of all files together.

    Raises:
        ConfigError: the format is unknown.
        DataError: the files are of another format, damaged, too many, or have no mask that fits.
    """
    if format not in ("auto", *IMPORT_FORMATS):
        raise ConfigError(f"unknown format {format!r} to import: choose from auto, {', '.join(IMPORT_FORMATS)}")
    height, width = (check_whole("size_hw", side, least=1) for side in size_hw)
    num_frames = check_whole("num_frames", num_frames, least=1)
    reading = _Reading((height, width), num_frames, file_name, limits.max_masks)
    with unpacked(files, limits) as folder:
        documents = [path for path in sorted(folder.rglob("*.json")) if path.name != OBJECTS_NAME]
        pictures = any(folder.rglob("*.png"))
        if format in ("coco", "sa-v") and not documents:
            raise DataError(f"expected {IMPORT_FORMATS[format]}, got no .json file")
        if documents and format not in ("masks", "davis"):
            read_format = _read_document(documents, reading, format)
        elif pictures:
            read_format = "davis" if (folder / "Annotations").is_dir() or format == "davis" else "masks"
            _read_pictures(folder, reading)
        else:
            raise DataError(f"nothing to import was found: expected {'; '.join(IMPORT_FORMATS.values())}")
    if not reading.num_masks:
        reason = f": {reading.skipped[0]}" if reading.skipped else ""
        raise DataError(f"no mask fits this medium{reason}")
    objects = tuple(reading.objects[object_id] for object_id in sorted(reading.objects))
    for info in objects:
        if info.class_name:
            reading.classes.setdefault(info.class_name, None)
    return Imported(
        Masklets(reading.store, objects),
        reading.num_masks,
        tuple(reading.skipped),
        read_format,
        reading.classes,
        reading.has_ids,
    )


def _read_document(documents: Sequence[Path], reading: _Reading, format: str) -> str:
    if len(documents) > 1:
        raise DataError(
            f"expected one .json file, got {len(documents)}: {', '.join(path.name for path in documents[:3])}"
        )
    path = documents[0]
    document = parse_json(read_bytes(path), path.name)
    is_sav = isinstance(document, dict) and "masklet" in document
    if format == "sa-v" or (format == "auto" and is_sav):
        _read_sav(document, path.name, reading)
        return "sa-v"
    _read_coco(document, path.name, reading)
    return "coco"


def _read_coco(document: Any, name: str, reading: _Reading) -> None:
    images = field_of(document, "images", list, name)
    categories = {
        record["id"]: str(record.get("name", ""))
        for record in document.get("categories", [])
        if isinstance(record, dict) and "id" in record
    }
    reading.classes = _coco_classes(document, categories)
    frames = _frames_of(images, reading)
    numbers, reading.has_ids = _numbers(document)
    for annotation in field_of(document, "annotations", list, name):
        where = f"{name}, annotation {annotation.get('id', '?') if isinstance(annotation, dict) else '?'}"
        frame_index = frames.get(field_of(annotation, "image_id", (int, str), where))
        if frame_index is None:
            continue  # an annotation of another image
        if annotation.get("iscrowd"):
            reading.skip(f"{where}: a crowd is not an object")
            continue
        try:
            mask = _mask_of(field_of(annotation, "segmentation", (dict, list), where), reading.size_hw, where)
        except MaskletError as error:
            reading.skip(str(error))
            continue
        object_id = numbers[id(annotation)]
        category = categories.get(annotation.get("category_id", -1), "")
        class_name = "" if category == DEFAULT_CLASS else category
        reading.add(frame_index, object_id, mask, where, _scores_of(annotation))
        if object_id in reading.objects:
            reading.objects[object_id] = ObjectInfo(object_id, str(annotation.get("name") or ""), class_name)


def _coco_classes(document: Any, categories: Mapping[Any, str]) -> dict[str, Color | None]:
    """Return the colours of the classes of a COCO file by name, in the order of their ids."""
    colors: dict[str, Color | None] = {}
    for record in document.get("categories", []):
        if isinstance(record, dict) and "id" in record:
            try:
                colors[record["id"]] = parse_color(record.get("color", ""))
            except ConfigError:
                colors[record["id"]] = None  # no colour, or one of another tool's form
    ids = sorted(categories, key=lambda key: (not isinstance(key, int), key if isinstance(key, int) else 0))
    return {categories[key]: colors[key] for key in ids if categories[key] not in ("", DEFAULT_CLASS)}


def _scores_of(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of an annotation and whether a user has accepted it, for `given_row`.

    Scores are numbers from 0 to 1; others, such as percentages, are ignored.
    """
    attributes = annotation.get("attributes")
    fields = {**(attributes if isinstance(attributes, dict) else {}), **annotation}
    scores: dict[str, Any] = {"accepted": fields.get("accepted") is True}
    for name, source in (("iou_prediction", "score"), ("confidence", "confidence")):
        value = fields.get(source)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            scores[name] = float(value)
    return scores


def _mask_of(segmentation: Any, size_hw: tuple[int, int], where: str) -> BoolArray:
    """Decode a segmentation immediately, because an RLE from a file may be invalid."""
    mask = segmentation_mask(segmentation, size_hw, where)
    return mask if isinstance(mask, np.ndarray) else decode_rle(mask, size_hw)


def _frames_of(images: Sequence[Any], reading: _Reading) -> dict[Any, int]:
    """Return frame indices by image id."""
    records = [record for record in images if isinstance(record, dict) and "id" in record]
    if reading.num_frames == 1:
        stem = PurePosixPath(reading.file_name).stem.casefold()
        named = [image for image in records if PurePosixPath(str(image.get("file_name", ""))).stem.casefold() == stem]
        matching = named or (records if len(records) == 1 else [])
        if not matching:
            raise DataError(f"the COCO file lists {len(records)} images, and none is called {reading.file_name!r}")
        return {image["id"]: 0 for image in matching}
    if all(isinstance(image.get("frame_index"), int) for image in records):
        return {image["id"]: image["frame_index"] for image in records}
    numbers = [_number_at_end(str(image.get("file_name", ""))) for image in records]
    indices = _as_indices(numbers, reading.num_frames)
    return {image["id"]: index for image, index in zip(records, indices or range(len(records)), strict=True)}


def _as_indices(numbers: Sequence[int | None], num_frames: int) -> list[int] | None:
    """Return frame indices for the numbers in file names; None if some are missing or repeated.

    Some tools count from 1: then the first number is 1 and the last one is not a frame index.
    """
    present = [number for number in numbers if number is not None]
    if not present or len(set(present)) < len(numbers):
        return None
    first = 1 if min(present) > 0 and max(present) >= num_frames else 0
    return [number - first for number in present]


def _numbers(document: Any) -> tuple[dict[int, int], bool]:
    """Return object ids by `id()` of the annotation: those of the file, else numbered in order on each image.

    Returns:
        The ids, and whether they are those of the file.
    """
    annotations = [record for record in document["annotations"] if isinstance(record, dict)]
    for key in ("object_id", "track_id", "instance_id"):
        if annotations and all(isinstance(record.get(key), int) and record[key] >= 0 for record in annotations):
            shift = 1 if any(record[key] == 0 for record in annotations) else 0
            return {id(record): record[key] + shift for record in annotations}, True
    counts: dict[Any, int] = {}
    numbers = {}
    for record in annotations:
        image_id = record.get("image_id")
        counts[image_id] = numbers[id(record)] = counts.get(image_id, 0) + 1
    return numbers, False


def _read_sav(document: Any, name: str, reading: _Reading) -> None:
    rows = field_of(document, "masklet", list, name)
    step = document.get("label_step", LABEL_STEP)
    if not isinstance(step, int) or step < 1:
        raise DataError(f"{name}: label_step must be a whole number from 1, got {step!r}")
    ids = document.get("masklet_id") or []
    names, classes = document.get("masklet_names") or [], document.get("masklet_classes") or []
    for number, row in enumerate(rows):
        for column, rle in enumerate(row if isinstance(row, list) else []):
            where = f"{name}, frame {number * step}, object {column}"
            object_id = 1 + (int(ids[column]) if column < len(ids) else column)
            try:
                mask = _mask_of(rle, reading.size_hw, where)
            except MaskletError as error:
                reading.skip(str(error))
                continue
            reading.add(number * step, object_id, mask, where)
            if object_id in reading.objects:
                reading.objects[object_id] = ObjectInfo(
                    object_id,
                    str(names[column]) if column < len(names) else "",
                    str(classes[column]) if column < len(classes) else "",
                )


def _read_pictures(folder: Path, reading: _Reading) -> None:
    """Read indexed PNGs, or one PNG per object; `masks_by_stem` distinguishes them."""
    root = _masks_root(folder)
    stems = {path.stem for path in root.rglob("*.png")} if reading.num_frames > 1 else {Path(reading.file_name).stem}
    objects_in = [path for path in root.iterdir() if path.is_dir()]
    if not any(root.glob("*.png")) and objects_in and all(path.name.isdigit() for path in objects_in):
        stems -= {path.name for path in objects_in}  # 1/00000.png is object 1
    masks = masks_by_stem(root, stems)
    frames = _frames_by_stem(list(masks), reading)
    for stem, file in masks.items():
        _read_picture(file, stem, frames[stem], reading)
    description = root / OBJECTS_NAME
    if description.is_file():
        _read_objects(parse_json(read_bytes(description), OBJECTS_NAME), reading)


def _read_objects(document: Any, reading: _Reading) -> None:
    """Read names, classes and colours, if masklet wrote the document."""
    for record in document.get("objects", []) if isinstance(document, dict) else []:
        if isinstance(record, dict) and record.get("id") in reading.objects:
            color = parse_color(record["color"]) if record.get("color") else None
            name, class_name = str(record.get("name") or ""), str(record.get("class_name") or "")
            reading.objects[record["id"]] = ObjectInfo(record["id"], name, class_name, color)


def _read_picture(file: MaskFile, stem: str, frame_index: int, reading: _Reading) -> None:
    try:
        labels = file.read()
    except MaskletError as error:
        reading.skip(re.sub(r"\S*/masklet-import-\w+/", "", str(error)))
        return
    for object_id in labels.object_ids:
        reading.add(frame_index, object_id, np.ascontiguousarray(labels.mask(object_id)), f"{stem}.png")


def _masks_root(folder: Path) -> Path:
    """Return the folder that holds the masks of one medium."""
    while True:
        for name in ("Annotations", "masks"):
            if (folder / name).is_dir():
                folder = folder / name
        inner = [path for path in folder.iterdir() if path.is_dir()]
        files = [path for path in folder.iterdir() if path.suffix.lower() == ".png"]
        if files or len(inner) != 1 or inner[0].name.isdigit():
            return folder
        folder = inner[0]


def _frames_by_stem(stems: Sequence[str], reading: _Reading) -> dict[str, int]:
    if reading.num_frames == 1:
        if len(stems) > 1:
            raise DataError(f"expected masks of one image, got {len(stems)}: {', '.join(stems[:3])}")
        return dict.fromkeys(stems, 0)
    indices = _as_indices([_number_at_end(stem) for stem in stems], reading.num_frames)
    if indices is not None:
        return dict(zip(stems, indices, strict=True))
    return {stem: index for index, stem in enumerate(sorted(stems, key=lambda stem: natural_order(Path(stem))))}


def _number_at_end(name: str) -> int | None:
    digits = re.search(r"(\d+)$", PurePosixPath(name).stem)
    return None if digits is None else int(digits[1])
