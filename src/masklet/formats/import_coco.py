"""Imports masks of one medium from a COCO file: its images or frames are found by name, its objects by their ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from masklet.errors import ConfigError, DataError
from masklet.foreign.coco_document import CocoAnnotation, CocoDocument, CocoImageRecord
from masklet.foreign.coco_frames import frames_of, image_of
from masklet.formats.import_state import ImportState
from masklet.masks.convert import decoded
from masklet.tracking.masklets import DEFAULT_CLASS, ObjectInfo, parse_color

LARGEST_KEPT_ID = 10**6
"""Ids above it, and ids that are texts, are replaced by numbers in order of appearance."""


def read_coco(document: CocoDocument, name: str, state: ImportState) -> None:
    """Read the masks of a COCO file into `state`.

    Args:
        document: the file.
        name: of the file, for messages.
        state: the medium; takes the masks.

    Raises:
        DataError: no image or video of the file is the medium, or several may be.
    """
    frames = (
        [(image_of(document.images, name, state), 0)]
        if state.num_frames == 1
        else frames_of(document.images, name, state)
    )
    _read_classes(document, state)
    used = [
        (frame_index, image, annotation)
        for image, frame_index in frames
        if _has_size(image, state)
        for annotation in _usable(document.by_image.get(image.id, ()), state)
    ]
    if document.crowd_reason and document.crowd_rule == "objects":
        state.note(f"{name}: annotations with iscrowd 1 are objects: {document.crowd_reason}")
    numbers = _object_ids([(frame_index, annotation) for frame_index, _, annotation in used], name, state)
    for (frame_index, _, annotation), object_id in zip(used, numbers, strict=True):
        try:
            mask = decoded(annotation.mask(state.size_hw))
        except DataError as error:
            state.skip(f"{annotation.where}: {error}")
            continue
        state.add(
            frame_index,
            object_id,
            mask,
            annotation.where,
            score=annotation.score,
            confidence=annotation.confidence,
            accepted=annotation.accepted,
        )
        if object_id in state.objects:
            before = state.objects[object_id]
            class_name = "" if annotation.category == DEFAULT_CLASS else annotation.category
            state.objects[object_id] = ObjectInfo(
                object_id, annotation.name or before.name, class_name or before.class_name
            )


def _usable(annotations: Sequence[CocoAnnotation], state: ImportState) -> list[CocoAnnotation]:
    """Return the annotations that are objects with masks; the others are listed."""
    usable = []
    for annotation in annotations:
        if annotation.is_crowd:
            state.skip(f"{annotation.where}: a crowd is not an object (iscrowd is 1)")
        elif annotation.is_ignored:
            state.skip(f"{annotation.where}: it is marked to be ignored")
        elif annotation.segmentation is None:
            state.skip(f"{annotation.where}: it has no mask (no segmentation), at most a box: prompt with the box")
        else:
            usable.append(annotation)
    return usable


def _has_size(image: CocoImageRecord, state: ImportState) -> bool:
    """Return whether an image's coordinates are those of the medium."""
    if image.size_hw in (None, state.size_hw):
        return True
    assert image.size_hw is not None
    (height, width), (own_height, own_width) = image.size_hw, state.size_hw
    turned = (width, height) == state.size_hw
    state.skip(
        f"{image.where}: {image.name} is {width} x {height} (width x height) there, the medium is {own_width} x "
        f"{own_height}" + (": the tool has ignored the orientation in its EXIF data" if turned else "")
    )
    return False


def _object_ids(used: Sequence[tuple[int, CocoAnnotation]], name: str, state: ImportState) -> list[int]:
    """Return the object id of each annotation: by its track, else by its class where that is unique on every frame."""
    tracks = [annotation.track for _, annotation in used]
    if used and None not in tracks:
        keys: list[str] = [track for track in tracks if track is not None]
        if state.num_frames > 1 or len(set(keys)) == len(keys):
            return numbered_ids(keys)
    if state.num_frames == 1:
        state.has_ids = False
        return list(range(1, len(used) + 1))
    if any(tracks):
        state.note(f"{name}: {tracks.count(None)} annotations have no track id: each is an object of its own")
        return numbered_ids([track or f"annotation {number}" for number, track in enumerate(tracks)])
    state.has_ids = False
    for field in ("name", "category"):
        values = [(frame_index, getattr(annotation, field)) for frame_index, annotation in used]
        if all(value for _, value in values) and len(set(values)) == len(values):
            state.note(f"{name} has no track ids: no frame has two objects of one {field}, so it tells them apart")
            return numbered_ids([value for _, value in values])
    state.note(
        f"{name} has no track ids and several objects of one class on a frame: they were numbered in the file's order "
        "on each frame; check that each number is one object"
    )
    counts: Counter[int] = Counter()
    ids = []
    for frame_index, _ in used:
        counts[frame_index] += 1
        ids.append(counts[frame_index])
    return ids


def numbered_ids(keys: Sequence[str]) -> list[int]:
    """Return whole numbers from 1 for texts: their own where they are small numbers, moved up by 1 if one is 0."""
    kept = {key: int(key) for key in keys if re.fullmatch(r"0|[1-9]\d{0,6}", key) and int(key) <= LARGEST_KEPT_ID}
    shift = 1 if 0 in kept.values() else 0
    numbers = {key: number + shift for key, number in kept.items()}
    following = max(numbers.values(), default=0)
    for key in keys:
        if key not in numbers:
            following += 1
            numbers[key] = following
    return [numbers[key] for key in keys]


def _read_classes(document: CocoDocument, state: ImportState) -> None:
    names: Mapping[str, str] = document.categories
    for class_name in names.values():
        if class_name not in ("", DEFAULT_CLASS):
            try:
                color = parse_color(document.colors.get(class_name, ""))
            except ConfigError:
                color = None  # none, or one in another tool's form
            state.classes.setdefault(class_name, color)
