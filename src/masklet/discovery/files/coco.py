"""Detections in COCO's JSON: result lists as detectors write them, and whole documents as annotation tools do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from masklet.discovery.files.table import DetectionTable
from masklet.errors import DataError
from masklet.foreign.coco_document import (
    CocoImageRecord,
    CrowdRule,
    crowd_rule_of,
    id_of,
    parse_annotation,
    parse_categories,
    parse_image,
    parse_videos,
)
from masklet.foreign.documents import Json, clean_text, read_json

_LABEL_FIELDS = ("category_name", "category", "class_name", "class", "label", "name")
"""Fields in which tools write the class as text, since a list of results has no list of categories."""

_FRAME_FIELDS = ("frame_index", "frame_id")


def read_coco_detections(path: Path) -> DetectionTable:
    """Read a list of results or a document; entries that cannot be read are left out.

    Raises:
        DataError: it is not JSON, or neither of the two.
    """
    document = read_json(path, name=path.name)
    table = DetectionTable(path, "coco")
    if isinstance(document.value, list):
        _Entries(table, {}, "objects").read(document)
        return table
    if not isinstance(document.value, dict) or not isinstance(document.value.get("annotations"), list):
        document.refuse('a list of COCO results, or an object with "annotations"')
    entries = document.field("annotations")
    try:
        categories, _ = parse_categories(document)
        rule, _ = crowd_rule_of(document, [entry for entry in entries.entries() if isinstance(entry.value, dict)])
    except DataError as error:
        table.damaged("categories", str(error))
        categories, rule = {}, "crowds"
    reader = _Entries(table, categories, rule)
    if document.get("images") is not None:
        reader.read_images(document)
    reader.read(entries)
    return table


class _Entries:
    """Reads entries into a table.

    Args:
        table: takes them.
        categories: names of classes by id.
        rule: what `iscrowd` means.
    """

    def __init__(self, table: DetectionTable, categories: Mapping[str, str], rule: CrowdRule) -> None:
        self._table = table
        self._categories = categories
        self._rule = rule
        self._positions: dict[str | tuple[str, int | None], int] = {}
        """Positions in the table's images, by id; in a list of results by id and frame, since ids may be a video's."""

    def read_images(self, document: Json) -> None:
        """Read the list of images."""
        videos = parse_videos(document)
        self._table.images = []
        self._table.lists_all_images = True
        for entry in document.field("images").entries():
            try:
                image = parse_image(entry, videos)
            except DataError as error:
                self._leave_out(entry, error)
                continue
            if image.id in self._positions:
                self._table.leave_out("repeated image", _place(entry), f"a second image has the id {image.id}")
                continue
            self._add_image(image.id, image)

    def _add_image(self, key: str | tuple[str, int | None], image: CocoImageRecord) -> int:
        assert self._table.images is not None
        self._positions[key] = len(self._table.images)
        self._table.images.append(image)
        return self._positions[key]

    def read(self, entries: Json) -> None:
        """Read the list of detections."""
        if self._table.images is None:
            self._table.images = []
        for entry in entries.entries():
            self._read_entry(entry)
        if not self._table.lists_all_images:
            self._name_videos(self._table.images)

    def _name_videos(self, images: list[CocoImageRecord]) -> None:
        """Take the ids of images that have several frames for those of videos."""
        counts = Counter(image.id for image in images)
        images[:] = [replace(image, video=image.id) if counts[image.id] > 1 else image for image in images]

    def _read_entry(self, entry: Json) -> None:
        try:
            self._add_entry(entry)
        except DataError as error:
            self._leave_out(entry, error)

    def _leave_out(self, entry: Json, error: DataError) -> None:
        reason = _reason(error, entry)
        kind = re.sub(r"[0-9]+", "", reason.split(", got ")[0])  # without what differs from entry to entry
        self._table.leave_out(f"damaged: {kind}", _place(entry), reason)

    def _add_entry(self, entry: Json) -> None:
        annotation = parse_annotation(entry, self._categories, self._rule)
        if annotation.is_crowd or annotation.is_ignored:
            self._table.leave_out("crowd", _place(entry), "a crowd, or marked to be ignored")
            return
        box = annotation.box_xywh
        if box is None and annotation.segmentation is None:
            self._table.leave_out("no box", _place(entry), "neither a mask nor a box with an area")
            return
        self._table.add(
            _place(entry),
            self._image_of(entry),
            None if box is None else (box[0], box[1], box[0] + box[2], box[1] + box[3]),
            score=_score(entry),
            label=annotation.category or self._label(entry),
            segmentation=annotation.segmentation,
        )

    def _image_of(self, entry: Json) -> int:
        """Return the position of an entry's image."""
        frame = next((field for name in _FRAME_FIELDS if (field := entry.get(name)) is not None), None)
        if self._table.lists_all_images:
            image_id = id_of(entry.field("image_id"))
            if image_id not in self._positions:
                entry.fail(f"its image {image_id} is not listed")
            return self._positions[image_id]
        image = entry.get("image_id") or entry.get("file_name")
        frame_index = None if frame is None else frame.whole()
        if image is None and frame is not None:
            name = f"frame {frame_index}"
        else:
            name = id_of(entry.field("image_id") if image is None else image)
        key = name, frame_index
        if key in self._positions:
            return self._positions[key]
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part)
        record = CocoImageRecord(name, name, (parts,) if parts else (), None, frame_index, "", entry.where)
        return self._add_image(key, record)

    def _label(self, entry: Json) -> str:
        for name in _LABEL_FIELDS:
            field = entry.get(name)
            if field is not None and isinstance(field.value, str) and field.value:
                return clean_text(field.value)[:200]
        category = entry.get("category_id")
        return "" if category is None else f"class {id_of(category)}"


def _score(entry: Json) -> float | None:
    """Return the score as it is in the file, also NaN."""
    field = entry.get("score")
    if field is None:
        return None
    if isinstance(field.value, bool) or not isinstance(field.value, int | float) or abs(field.value) > 1e300:
        if field.value != field.value or field.value in (float("inf"), float("-inf")):
            return float(field.value)
        field.refuse("a number")
    return float(field.value)


def _place(entry: Json) -> str:
    """Return the place of an entry in its file, such as "annotations[3]"."""
    place = entry.where.removeprefix(f"{entry.file}: ")
    return f"entry {place}" if place.startswith("[") else place


def _reason(error: DataError, entry: Json) -> str:
    """Return a message without the place of the entry, which stands before it already."""
    return str(error).removeprefix(entry.where).lstrip(".: ")
