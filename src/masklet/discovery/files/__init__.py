"""Detections that other programs wrote to files: COCO results, MOT, MOTS, CSV and YOLO.

    detections = open_detections("boxes.json", size_hw=(480, 854), num_frames=90)
    print(detections.problems)  # what was left out, and why
    detections.at(0)            # the detections on the first frame

A `DetectionFile` is a `Detector`. The format is recognised by content.
"""

from __future__ import annotations

from pathlib import Path

from masklet.checks import check_path
from masklet.discovery.files.coco import read_coco_detections
from masklet.discovery.files.image_index import ImageIndex
from masklet.discovery.files.selection import MAX_PER_FRAME, DetectionFile
from masklet.discovery.files.table import MAX_FILE_BYTES, DetectionTable
from masklet.discovery.files.text import CSV_HEADER, read_csv, read_mot, read_mots, read_yolo, text_format
from masklet.errors import DataError
from masklet.foreign.documents import reading

__all__ = [
    "CSV_HEADER",
    "MAX_PER_FRAME",
    "DetectionFile",
    "DetectionTable",
    "ImageIndex",
    "open_detections",
    "read_detections",
]


def open_detections(
    path: str | Path,
    *,
    size_hw: tuple[int, int],
    num_frames: int | None = None,
    file_name: str = "",
    first_frame: int | None = None,
    max_per_frame: int = MAX_PER_FRAME,
) -> DetectionFile:
    """Read the detections of a file for one video or image.

    Args:
        path: COCO results or a COCO document (JSON); MOT or MOTS lines; a CSV with a header, see `CSV_HEADER`; YOLO
            lines, or a folder of a YOLO file per frame.
        size_hw: size of the frames.
        num_frames: number of frames, 1 for an image; None if it is not known, as of a live source.
        file_name: name of the medium, with as many folders as are known; finds it in files for several.
        first_frame: number of the first frame in the file, 0 or 1 as a rule; None lets the file decide.
        max_per_frame: largest number of detections used on a frame: those with the highest scores.

    Returns:
        The detections. What cannot be used is left out and listed in `problems`: entries that are damaged or repeated,
        boxes that are empty or outside the frame, masks of another size, frames that do not exist, scores that are not
        in [0, 1].

    Raises:
        ConfigError: a number is out of range.
        DataError: the file cannot be read, is of no known format, is about other media, or none of its detections can
            be used.
    """
    table = read_detections(path)
    with reading(str(path)):
        return DetectionFile(
            table,
            size_hw=size_hw,
            num_frames=num_frames,
            file_name=file_name,
            first_frame=first_frame,
            max_per_frame=max_per_frame,
        )


def read_detections(path: str | Path) -> DetectionTable:
    """Read a file of detections, for one `DetectionFile` per medium that it is about; see `open_detections`.

    Raises:
        DataError: the file cannot be read, or is of no known format.
    """
    path = Path(check_path("path", path, error=DataError))
    with reading(str(path)):
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_dir():
            return _read_folder(path)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than {MAX_FILE_BYTES / 1e9:.1f} GB: split it")
        if _is_document(path):
            return read_coco_detections(path)
        kind = text_format(path)
        if kind is None:
            return DetectionTable(path, "mot")
        return read_yolo([path], path) if kind == "yolo" else _READERS[kind](path)


_READERS = {"csv": read_csv, "mot": read_mot, "mots": read_mots}


def _is_document(path: Path) -> bool:
    """Return whether a file is JSON, or something that only the reader of JSON can name, such as a .zip."""
    with path.open("rb") as file:
        start = file.read(256)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    return (
        path.suffix.lower() in (".json", ".zip", ".gz")
        or text[:1] in (b"{", b"[", b"<")
        or b"\0" in start
        or start.startswith((b"\x1f\x8b", b"version https://git-lfs"))
    )


def _read_folder(folder: Path) -> DetectionTable:
    """Read a folder of YOLO files, or that of a MOT sequence."""
    for name in ("det/det.txt", "gt/gt.txt"):
        if (folder / name).is_file():
            return read_detections(folder / name)
    paths = sorted(path for path in folder.rglob("*.txt") if path.name not in ("classes.txt", "labels.txt"))
    if not paths:
        raise DataError(f"{folder} has no detections: expected a YOLO .txt per frame, as clip_000001.txt")
    return read_yolo(paths, folder)
