"""Imports masks from the files of other tools, to be corrected or rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from masklet.checks import check_whole
from masklet.datasets.files import MASK_SUFFIXES
from masklet.datasets.sav import SavDocument, parse_sav
from masklet.errors import ConfigError, DataError
from masklet.foreign.coco_document import parse_coco
from masklet.foreign.documents import read_json, reading
from masklet.formats.import_coco import read_coco
from masklet.formats.import_pictures import read_pictures
from masklet.formats.import_state import ImportState
from masklet.formats.pngs import OBJECTS_NAME
from masklet.formats.unpacking import DEFAULT_LIMITS, Files, ImportLimits, unpacked
from masklet.masks.convert import decoded, segmentation_mask
from masklet.masks.drawing import Color
from masklet.tracking.masklets import Masklets, ObjectInfo

IMPORT_FORMATS = {
    "coco": "a COCO .json: polygons or RLE",
    "sa-v": "a <video>_manual.json or _auto.json of SA-V",
    "masks": "label images (PNG, TIFF, ...), indexed or one per object, alone, in a folder or a .zip",
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
    notes: tuple[str, ...] = ()
    """How frames and objects were matched, where the files left it open."""


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

    Of a COCO file, the image or video is read whose path has the longest end in common with `file_name`; several that
    tie are an error. Frames are matched by `frame_index`, else by the number at the end of file names; in order only if
    there are as many as frames, and then `notes` says so. Objects are matched by their ids, else by their class where
    no frame has two of one class; else `notes` says that they were numbered in order.

    Args:
        files: as described at `Files`.
        size_hw: size of the medium.
        num_frames: frames of the medium; 1 for an image.
        file_name: name of the medium with as many of its folders as are known, to find it in a COCO file.
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
    state = ImportState((height, width), num_frames, file_name, limits.max_masks)
    with unpacked(files, limits) as folder, reading("the import"):
        read_format = _read_files(folder, state, format)
    if not state.num_masks:
        reason = f": {state.skipped[0]}" if state.skipped else ""
        raise DataError(f"no mask fits this medium{reason}")
    objects = tuple(state.objects[object_id] for object_id in sorted(state.objects))
    for info in objects:
        if info.class_name:
            state.classes.setdefault(info.class_name, None)
    return Imported(
        Masklets(state.store, objects),
        state.num_masks,
        tuple(state.skipped),
        read_format,
        state.classes,
        state.has_ids,
        tuple(state.notes),
    )


def _read_files(folder: Path, state: ImportState, format: str) -> str:
    """Read what is in the folder, and return the id of its format."""
    documents = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".json"]
    documents = [path for path in documents if path.name != OBJECTS_NAME]
    if format in ("coco", "sa-v") and not documents:
        raise DataError(f"expected {IMPORT_FORMATS[format]}, got no .json file")
    if documents and format not in ("masks", "davis"):
        return _read_document(documents, state, format)
    if not any(path.suffix.lower() in MASK_SUFFIXES for path in folder.rglob("*")):
        raise DataError(f"nothing to import was found: expected {'; '.join(IMPORT_FORMATS.values())}")
    read_pictures(folder, state)
    return "davis" if (folder / "Annotations").is_dir() or format == "davis" else "masks"


def _read_document(documents: Sequence[Path], state: ImportState, format: str) -> str:
    if len(documents) > 1:
        raise DataError(
            f"expected one .json file, got {len(documents)}: {', '.join(path.name for path in documents[:3])}"
        )
    path = documents[0]
    document = read_json(path, name=path.name)
    is_sav = isinstance(document.value, dict) and "masklet" in document.value
    if format == "sa-v" or (format == "auto" and is_sav):
        _read_sav(parse_sav(document), path.name, state)
        return "sa-v"
    read_coco(parse_coco(document), path.name, state)
    return "coco"


def _read_sav(document: SavDocument, name: str, state: ImportState) -> None:
    for number, row in enumerate(document.rows):
        for column, rle in enumerate(row):
            frame_index = number * document.label_step
            where = f"{name}, frame {frame_index}, object {column}"
            object_id = document.object_id(column)
            try:
                mask = decoded(segmentation_mask(rle, state.size_hw))
            except DataError as error:
                state.skip(f"{where}: {error}")
                continue
            state.add(frame_index, object_id, mask, where)
            if object_id in state.objects:
                names, classes = document.names, document.classes
                state.objects[object_id] = ObjectInfo(
                    object_id,
                    names[column] if column < len(names) else "",
                    classes[column] if column < len(classes) else "",
                )
