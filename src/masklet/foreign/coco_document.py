"""COCO files as annotation tools write them.

CVAT, Label Studio, labelme, Roboflow, X-AnyLabeling, coco-annotator, VIA and Supervisely share COCO's lists
and differ in what they put there: brush masks flagged as crowds, ids as texts or from 0, tracks in `attributes`, paths
of another computer. This module knows these differences; imports and data sets read its records.

    {"images": [{"id", "file_name", "height", "width"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "segmentation", "bbox", "iscrowd"}]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from masklet.foreign.documents import Json
from masklet.foreign.file_names import name_parts
from masklet.masks.convert import segmentation_mask
from masklet.masks.rle import CocoRle
from masklet.records import BoolArray

TRACK_FIELDS = ("object_id", "track_id", "instance_id", "tracking_id")
"""Fields that number objects over the frames of a video, the first that is there counts; in `attributes`, too."""

_TOOLS = ("cvat", "label studio", "labelme", "roboflow", "anylabeling", "coco-annotator", "coco annotator", "via",
          "vgg image annotator", "supervisely", "masklet")  # fmt: skip
"""Words in `info` that name an annotation tool: what it marks are objects, whatever `iscrowd` says."""

_COCO_ONLY = ("coco 2014", "coco 2017", "cocodataset.org", "mscoco.org", "lvis")
"""Words in `info` of the data sets in which `iscrowd` means a crowd."""

CrowdRule = Literal["crowds", "objects"]


@dataclass(frozen=True, slots=True)
class CocoImageRecord:
    """An entry of `images`."""

    id: str
    """Whole numbers as texts, since VIA mixes both."""
    file_name: str
    """As in the file; may be empty."""
    names: tuple[tuple[str, ...], ...]
    """Parts of the path that each of its names has, as its `file_name` first; none without a name."""
    size_hw: tuple[int, int] | None
    frame_index: int | None
    """Position in its video, if the file says so."""
    video: str
    """Id or name of its video; empty if the file does not say."""
    where: str

    @property
    def name(self) -> str:
        """The path in `file_name`, with forward slashes."""
        return "/".join(self.names[0]) if self.names else f"image {self.id}"


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An entry of `annotations`."""

    segmentation: Any
    """As in the file; None if there is none, or an empty one."""
    box_xywh: tuple[float, float, float, float] | None
    is_crowd: bool
    """Several objects, which nobody has told apart; see `CocoDocument.crowd_rule`."""
    is_ignored: bool
    track: str | None
    """The object's id over frames, as text; see `TRACK_FIELDS`."""
    category: str
    """Empty without a category."""
    name: str
    score: float | None
    """In [0, 1]."""
    confidence: float | None
    accepted: bool
    where: str

    def mask(self, size_hw: tuple[int, int]) -> BoolArray | CocoRle:
        """Return the mask; see `segmentation_mask`.

        Raises:
            DataError: it is damaged or of another size; or there is only a box.
        """
        return segmentation_mask(self.segmentation, size_hw)


@dataclass(frozen=True, slots=True)
class CocoDocument:
    """A COCO file."""

    images: tuple[CocoImageRecord, ...]
    by_image: Mapping[str, tuple[CocoAnnotation, ...]]
    """Annotations by the id of their image, in the file's order."""
    categories: Mapping[str, str]
    """Names by id, in the order of the ids."""
    colors: Mapping[str, str]
    """Colours of categories as the file states them, by name."""
    crowd_rule: CrowdRule
    """Meaning of `iscrowd` 1. CVAT and others set it for brush masks, because COCO stores crowds as run lengths."""
    crowd_reason: str
    """Why, for a note; empty if nothing has `iscrowd` 1."""


def parse_coco(document: Json) -> CocoDocument:
    """Read a COCO file.

    Raises:
        DataError: a field that is needed is missing or of the wrong type, or two images have one id.
    """
    images: dict[str, CocoImageRecord] = {}
    videos = parse_videos(document)
    for entry in document.field("images").entries():
        image = parse_image(entry, videos)
        if image.id in images:
            entry.fail(f"the id {image.id} is that of {images[image.id].name} already: ids of images must differ")
        images[image.id] = image
    names, colors = parse_categories(document)
    entries = [(id_of(entry.field("image_id")), entry) for entry in document.field("annotations").entries()]
    for image_id, _ in entries:
        if image_id not in images:
            document.fail(f"it has annotations of image {image_id}, which it does not list")
    rule, reason = crowd_rule_of(document, [entry for _, entry in entries])
    by_image: dict[str, list[CocoAnnotation]] = {}
    for image_id, entry in entries:
        by_image.setdefault(image_id, []).append(parse_annotation(entry, names, rule))
    return CocoDocument(
        tuple(images.values()), {key: tuple(value) for key, value in by_image.items()}, names, colors, rule, reason
    )


def id_of(entry: Json) -> str:
    """Return an id as a text: 3, 3.0 and "3" are the same."""
    value = entry.value
    if isinstance(value, str) and value.strip():
        return entry.text().strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 2**63:
        return str(int(value)) if value == int(value) else str(value)
    return entry.refuse("an id: a whole number or a text")


def parse_image(entry: Json, videos: Mapping[str, str]) -> CocoImageRecord:
    names: list[tuple[str, ...]] = []
    file_name = entry.get("file_name")
    for field in (file_name, entry.get("path"), _nested(entry, "extra", "name")):
        if field is not None:
            names += [parts for parts in name_parts(field.text()) if parts not in names]
    height, width = (_side(entry.get(side)) for side in ("height", "width"))
    index = entry.get("frame_index") or entry.get("frame_id")
    video = entry.get("video") or entry.get("video_id")
    video_id = "" if video is None else id_of(video)
    return CocoImageRecord(
        id_of(entry.field("id")),
        "" if file_name is None else file_name.text(),
        tuple(names),
        None if height is None or width is None else (height, width),
        None if index is None else index.whole(),
        videos.get(video_id, video_id),
        entry.where,
    )


def _nested(entry: Json, name: str, inner: str) -> Json | None:
    field = entry.get(name)
    return field.get(inner) if field is not None and isinstance(field.value, dict) else None


def _side(entry: Json | None) -> int | None:
    """Return a side of an image; None for 0, which some tools write for unknown sizes."""
    return None if entry is None or entry.value in (0, "") else entry.whole(1, 10**6)


def parse_videos(document: Json) -> dict[str, str]:
    """Return the names of videos by id, from a list that video data sets have."""
    listed = document.get("videos")
    names: dict[str, str] = {}
    for entry in [] if listed is None else listed.entries():
        name = entry.get("name") or entry.get("file_name")
        if name is not None and (number := entry.get("id")) is not None:
            names[id_of(number)] = name.text()
    return names


def parse_categories(document: Json) -> tuple[dict[str, str], dict[str, str]]:
    listed = document.get("categories")
    names: dict[str, str] = {}
    colors: dict[str, str] = {}
    for entry in [] if listed is None else listed.entries():
        if not isinstance(entry.value, dict):
            continue  # a list of bare names: no annotation can refer to it
        if (number := entry.get("id")) is None:
            continue
        name = entry.get("name")
        text = "" if name is None else name.text() if isinstance(name.value, str) else str(name.value)[:100]
        names[id_of(number)] = text
        color = entry.get("color")
        if color is not None and isinstance(color.value, str):
            colors[text] = color.text()
    ordered = sorted(names, key=lambda key: (not key.isdigit(), int(key) if key.isdigit() else 0))
    return {key: names[key] for key in ordered}, colors


def parse_annotation(entry: Json, categories: Mapping[str, str], rule: CrowdRule) -> CocoAnnotation:
    category = entry.get("category_id")
    name = entry.get("name") or _nested(entry, "metadata", "name")
    segmentation = entry.get("segmentation")
    return CocoAnnotation(
        segmentation=None if segmentation is None or not segmentation.value else segmentation.value,
        box_xywh=_box(entry.get("bbox")),
        is_crowd=rule == "crowds" and _is_set(entry.get("iscrowd")),
        is_ignored=_is_set(entry.get("ignore")),
        track=_track(entry),
        category="" if category is None else categories.get(id_of(category), ""),
        name=name.text() if name is not None and isinstance(name.value, str) else "",
        score=_fraction(entry, "score"),
        confidence=_fraction(entry, "confidence"),
        accepted=any(field is not None and field.value is True for field in _fields(entry, "accepted")),
        where=entry.where if (number := entry.get("id")) is None else f"{entry.file}, annotation {id_of(number)}",
    )


def _fields(entry: Json, name: str) -> tuple[Json | None, Json | None]:
    """Return a field of an annotation, and of its `attributes`, where CVAT puts what COCO does not have."""
    return entry.get(name), _nested(entry, "attributes", name)


def _is_set(entry: Json | None) -> bool:
    """Return whether a flag is set: 1, true, or a text of these."""
    if entry is None:
        return False
    if isinstance(entry.value, str) and entry.value.lower() in ("", "0", "1", "false", "true"):
        return entry.value.lower() in ("1", "true")
    if not isinstance(entry.value, bool | int | float):
        entry.refuse("0 or 1")
    return bool(entry.value)


def _track(entry: Json) -> str | None:
    for name in TRACK_FIELDS:
        for field in _fields(entry, name):
            if field is not None and field.value != -1 and field.value != "":  # which mean none
                return id_of(field)
    return None


def _fraction(entry: Json, name: str) -> float | None:
    """Return a score in [0, 1]; others, such as percentages, are ignored."""
    for field in _fields(entry, name):
        value = None if field is None else field.value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
    return None


def _box(entry: Json | None) -> tuple[float, float, float, float] | None:
    if entry is None or not entry.value:
        return None
    numbers = [number.number() for number in entry.entries()]
    if len(numbers) != 4:
        entry.refuse("four numbers: left, top, width, height")
    left, top, width, height = numbers
    return (left, top, width, height) if width > 0 and height > 0 else None


def crowd_rule_of(document: Json, entries: Sequence[Json]) -> tuple[CrowdRule, str]:
    """Decide what `iscrowd` 1 means, and say why."""
    flagged = [entry for entry in entries if _is_set(entry.get("iscrowd"))]
    if not flagged:
        return "crowds", ""
    about = document.get("info")
    words = "" if about is None or not isinstance(about.value, dict) else " ".join(map(str, about.value.values()))
    words = words.lower()[:2000]
    if any(word in words for word in _COCO_ONLY):
        return "crowds", "its info names a data set in which iscrowd means a crowd"
    tool = next((word for word in _TOOLS if re.search(rf"\b{word}", words)), None)
    if tool is not None:
        return "objects", f"its info names {tool}, which sets iscrowd for brush masks"
    if any(isinstance(field.value, dict) for entry in flagged if (field := entry.get("attributes")) is not None):
        return "objects", "they have attributes, as CVAT writes them, which sets iscrowd for brush masks"
    if any(_track(entry) is not None for entry in flagged):
        return "objects", "they have track ids, and a crowd is not tracked"
    if any(entry.get(name) is not None for entry in flagged for name in ("creator", "isbbox", "score")):
        return "objects", "they have fields that only tools write"
    if len(flagged) == len(entries):
        return "objects", "nothing in the file is without iscrowd, so it marks brush masks"
    return "crowds", "the file has other objects without iscrowd, and nothing in it names a tool"
