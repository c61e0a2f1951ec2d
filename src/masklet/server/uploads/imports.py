"""Reads the files of an import in a limited process, because other programs wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from masklet.errors import ConfigError, DataError, MaskletError, OutputError
from masklet.masks.drawing import Color
from masklet.masks.rle import CocoRle
from masklet.server.annotation.new_objects import GivenMask, NewObject
from masklet.server.names import clean_name
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits
from masklet.server.uploads.ingest import Upload
from masklet.tracking.masklets import Masklets, color_text

TASK = "masklet.server.uploads.imports:read_files"

ERRORS: dict[str, type[MaskletError]] = {"config": ConfigError, "data": DataError, "disk": OutputError}

MASKS_PER_ANSWER = 1000

MAX_SKIPPED = 100
"""Largest number of skipped masks that an import lists."""

MAX_CLASSES = 1000
"""Classes of the files that are kept."""

MAX_NAME = 200
"""Letters of an object's or a class's name that are kept."""


@dataclass(frozen=True, slots=True)
class ReadImport:
    """The objects of an import."""

    objects: list[NewObject]
    num_masks: int
    skipped: list[str]
    """One line for each of the first masks that could not be used."""
    classes: dict[str, str | None]
    """Colours of the classes that the files list, by name."""
    has_ids: bool
    """False if the files do not number the objects."""


def read_import(
    processes: LimitedProcesses,
    files: Iterable[Upload],
    limits: Limits,
    *,
    size_hw: tuple[int, int],
    num_frames: int,
    file_name: str,
    format: str,
) -> ReadImport:
    """Read uploaded files in a limited process; the arguments are those of `import_masks`.

    Raises:
        DataError: they cannot be read, have no mask that fits, or exceed a limit.
        ConfigError: the format is unknown.
        OutputError: they cannot be unpacked, because the disk is full.
    """
    paths = {upload.name: str(upload.path) for upload in files}
    document = {
        "files": paths,
        "size_hw": size_hw,
        "num_frames": num_frames,
        "file_name": file_name,
        "format": format,
        "limits": {
            "max_files": limits.import_files,
            "max_bytes": limits.import_unpacked_bytes,
            "max_masks": limits.import_masks,
        },
    }
    folder = Path(next(iter(paths.values()))).parent
    answers = processes.run(TASK, document, folder=folder, seconds=limits.import_seconds)
    refusal = next((answer["error"] for answer in answers.documents if "error" in answer), None)
    if refusal is not None:
        error = ERRORS.get(refusal["kind"], DataError)(str(refusal["message"])[:1000])
        if isinstance(error, OutputError):
            error.errno = refusal["errno"]
        raise error
    if answers.failure is not None:
        raise DataError(f"the files could not be read: {answers.failure}")
    return _assembled(answers.documents, size_hw, num_frames)


def _assembled(documents: list[dict[str, Any]], size_hw: tuple[int, int], num_frames: int) -> ReadImport:
    """Make objects of the answers."""
    objects: dict[int, dict[str, Any]] = {}
    masks: dict[int, dict[int, GivenMask]] = {}
    skipped: list[str] = []
    classes: dict[str, str | None] = {}
    has_ids = False
    for document in documents:
        skipped += document.get("skipped", [])
        classes |= {clean_name(name): color for name, color in document.get("classes", {}).items()}
        has_ids = has_ids or document.get("has_ids", False)
        for about in document.get("objects", []):
            objects[about["id"]] = about
        for object_id, frame_index, counts, *scores in document.get("masks", []):
            if not 0 <= frame_index < num_frames:
                raise DataError("the files could not be read: a mask has an impossible frame")
            masks.setdefault(object_id, {})[frame_index] = GivenMask(CocoRle(size=[*size_hw], counts=counts), *scores)
    new = [
        NewObject(
            clean_name(about["name"]), masks[object_id], clean_name(about["class_name"]), about["color"], object_id
        )
        for object_id, about in objects.items()
        if object_id in masks
    ]
    return ReadImport(new, sum(len(of_object) for of_object in masks.values()), skipped, classes, has_ids)


def read_files(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield what the files hold: the task of the limited process."""
    from masklet.formats.importing import import_masks
    from masklet.formats.unpacking import ImportLimits

    cv2.setNumThreads(1)
    try:
        imported = import_masks(
            document["files"],
            size_hw=tuple(document["size_hw"]),
            num_frames=document["num_frames"],
            file_name=document["file_name"],
            format=document["format"],
            limits=ImportLimits(**document["limits"]),
        )
    except ConfigError as error:
        yield {"error": {"kind": "config", "message": str(error)}}
        return
    except MaskletError as error:
        yield {"error": {"kind": "data", "message": str(error)}}
        return
    except OSError as error:
        reason = f"the files could not be unpacked: {error.strerror or error}"
        yield {"error": {"kind": "disk", "message": reason, "errno": error.errno}}
        return
    yield {
        "skipped": [line[:500] for line in (*imported.notes, *imported.skipped)[:MAX_SKIPPED]],
        "has_ids": imported.has_ids,
    }
    for name, color in list(imported.classes.items())[:MAX_CLASSES]:
        yield {"classes": {name.strip()[:MAX_NAME]: _text(color)}}
    for info in imported.masklets.objects:
        names = {"name": info.name[:MAX_NAME], "class_name": info.class_name.strip()[:MAX_NAME]}
        yield {"objects": [{"id": info.object_id, "color": _text(info.color), **names}]}
    yield from _masks_of(imported.masklets)


def _text(color: Color | None) -> str | None:
    return None if color is None else color_text(color)


def _masks_of(masklets: Masklets) -> Iterable[dict[str, Any]]:
    rows: list[tuple[int, int, str, float, float, bool]] = []
    for frame_index in masklets.span():
        rows += [
            (row.object_id, frame_index, row.rle["counts"], row.iou_prediction, row.confidence, row.accepted)
            for row in masklets.at(frame_index)
        ]
        if len(rows) >= MASKS_PER_ANSWER:
            yield {"masks": rows}
            rows = []
    yield {"masks": rows}
