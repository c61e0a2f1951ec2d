"""Imports masks of one medium from label images: frames by the numbers in their names, objects by values or folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from masklet.datasets.files import MASK_SUFFIXES, MaskFile, masks_by_stem, natural_order
from masklet.errors import ConfigError, DataError, MaskletError
from masklet.foreign.coco_frames import frame_indices
from masklet.foreign.documents import Json, read_json
from masklet.formats.import_state import ImportState
from masklet.formats.pngs import OBJECTS_NAME
from masklet.tracking.masklets import ObjectInfo, parse_color


def read_pictures(folder: Path, state: ImportState) -> None:
    """Read indexed label images, or one image per object; `masks_by_stem` distinguishes them.

    Raises:
        DataError: files do not pair with the medium or its frames.
    """
    root = _masks_root(folder)
    files = [path for path in root.rglob("*") if path.suffix.lower() in MASK_SUFFIXES]
    stems = {path.stem for path in files} if state.num_frames > 1 else {state.stem}
    objects_in = [path for path in root.iterdir() if path.is_dir()]
    if not any(path.parent == root for path in files) and all(path.name.isdigit() for path in objects_in):
        stems -= {path.name for path in objects_in}  # 1/00000.png is object 1
    masks = masks_by_stem(root, stems)
    frames = _frames_by_stem(masks, state)
    for stem, frame_index in frames.items():
        _read_picture(masks[stem], frame_index, state)
    description = root / OBJECTS_NAME
    if description.is_file():
        _read_objects(read_json(description, name=OBJECTS_NAME), state)


def _read_objects(document: Json, state: ImportState) -> None:
    """Read names, classes and colours, if masklet wrote the document."""
    listed = document.get("objects") if isinstance(document.value, dict) else None
    for record in [] if listed is None else listed.entries():
        object_id = record.field("id").whole()
        if object_id not in state.objects:
            continue
        color, name, class_name = (record.get(key) for key in ("color", "name", "class_name"))
        try:
            rgb = None if color is None else parse_color(color.text())
        except ConfigError as error:
            raise DataError(f"{record.where}: {error}") from error
        state.objects[object_id] = ObjectInfo(
            object_id,
            "" if name is None else name.text(),
            "" if class_name is None else class_name.text(),
            rgb,
        )


def _read_picture(file: MaskFile, frame_index: int, state: ImportState) -> None:
    where = re.sub(r"\S*/masklet-import-\w+/", "", str(file.path))
    try:
        labels = file.read()
    except MaskletError as error:
        state.skip(re.sub(r"\S*/masklet-import-\w+/", "", str(error)))
        return
    for object_id in labels.object_ids:
        state.add(frame_index, object_id, np.ascontiguousarray(labels.mask(object_id)), where)


def _masks_root(folder: Path) -> Path:
    """Return the folder that holds the masks of one medium."""
    while True:
        for name in ("Annotations", "masks"):
            if (folder / name).is_dir():
                folder = folder / name
        inner = [path for path in folder.iterdir() if path.is_dir()]
        files = [path for path in folder.iterdir() if path.suffix.lower() in MASK_SUFFIXES]
        if files or len(inner) != 1 or inner[0].name.isdigit():
            return folder
        folder = inner[0]


def _frames_by_stem(masks: Mapping[str, MaskFile], state: ImportState) -> dict[str, int]:
    stems = list(masks)
    if state.num_frames == 1:
        named = [stem for stem in stems if stem.casefold() == state.stem.casefold()] or stems
        if len(named) > 1:
            raise DataError(
                f"expected masks of one image, got {len(named)}, and none is called {state.stem!r}: "
                f"{', '.join(named[:3])}"
            )
        return dict.fromkeys(named, 0)
    indices = frame_indices([_number_at_end(stem) for stem in stems], state.num_frames)
    if indices is not None:
        return dict(zip(stems, indices, strict=True))
    if len(stems) != state.num_frames:
        raise DataError(
            f"the names of the masks do not say which frames they are ({', '.join(stems[:3])}, ...), and the medium "
            f"has {state.num_frames} frames: number them, as in 00042.png"
        )
    state.note("the masks have no numbers; there are as many as frames, so they were matched in order of their names")
    return {stem: index for index, stem in enumerate(sorted(stems, key=lambda stem: natural_order(Path(stem))))}


def _number_at_end(stem: str) -> int | None:
    digits = re.search(r"(\d{1,15})$", stem)
    return None if digits is None else int(digits[1])
