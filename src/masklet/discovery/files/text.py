"""Detections as lines of text: MOT Challenge, MOTS, CSV with a header, and YOLO."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from masklet.discovery.files.table import MAX_FILE_BYTES, DetectionTable
from masklet.errors import DataError
from masklet.foreign.coco_document import CocoImageRecord
from masklet.foreign.file_names import name_parts

MAX_LINE_CHARACTERS = 10_000_000
"""Longest line that is read: a polygon or the run lengths of a large mask."""

MAX_OBJECT_ID = 2**31
"""Largest id of a track."""

_SEPARATORS = re.compile(r"[,;\s]+")

_COLUMNS = {
    "frame": ("frame_index", "frame", "frame_id", "frame_number"),
    "image": ("image", "file_name", "filename", "image_id", "medium", "path"),
    "left": ("left", "box_left", "x1", "xmin", "x_min", "x", "bb_left"),
    "top": ("top", "box_top", "y1", "ymin", "y_min", "y", "bb_top"),
    "right": ("right", "box_right", "x2", "xmax", "x_max"),
    "bottom": ("bottom", "box_bottom", "y2", "ymax", "y_max"),
    "width": ("width", "w", "box_width", "bb_width"),
    "height": ("height", "h", "box_height", "bb_height"),
    "score": ("score", "confidence", "conf"),
    "label": ("label", "class", "class_name", "category", "name"),
}
"""Accepted names of the columns of a CSV, the one of the documentation first."""

CSV_HEADER = "frame_index,left,top,right,bottom,score,label"
"""The documented header."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not empty, with their numbers from 1.

    Raises:
        DataError: it cannot be read, is too large, or is not text.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than {MAX_FILE_BYTES / 1e9:.1f} GB: split it")
        with path.open(encoding="utf-8-sig", errors="replace", newline=None) as file:
            number = 0
            while line := file.readline(MAX_LINE_CHARACTERS):
                number += 1
                if "\0" in line:
                    raise DataError(f"{path}, line {number}: not a text in UTF-8: save it as UTF-8")
                if text := line.strip():
                    yield number, text
    except (OSError, ValueError) as error:  # a ValueError: the name holds a NUL
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def text_format(path: Path) -> str | None:
    """Return the format of a text file by its content: "csv", "mots", "mot", "yolo"; None if it is empty.

    Raises:
        DataError: it is none of these.
    """
    votes: list[str] = []
    for number, line in read_lines(path):
        if not votes and _columns_of(line):
            return "csv"
        if (vote := _line_format(line)) is not None:
            votes.append(vote)
        if number >= 100:
            break
    else:
        if not votes and not any(True for _ in read_lines(path)):
            return None
    if not votes:
        raise DataError(
            f"{path} is not a file of detections: expected COCO results (JSON), MOT or MOTS lines, YOLO lines, or a "
            f"CSV with the header {CSV_HEADER}"
        )
    return max(sorted(set(votes)), key=votes.count)


def _line_format(line: str) -> str | None:
    fields = _SEPARATORS.split(line.strip(",; \t"))
    spaced = line.split()
    if len(spaced) == 6 and all(field.isdigit() for field in spaced[:5]) and _number(spaced[5]) is None:
        return "mots"
    numbers = [_number(field) for field in fields]
    if None in numbers or len(numbers) < 5:
        return None
    if all(number is not None and -0.5 <= number <= 1.5 for number in numbers[1:5]) and "," not in line:
        return "yolo"
    return "mot" if len(numbers) >= 6 else None


def _number(text: str) -> float | None:
    """Return a number, also NaN and infinity; None for other texts."""
    try:
        return float(text)
    except ValueError:
        return None


def _whole(text: str) -> int | None:
    number = _number(text)
    return int(number) if number is not None and math.isfinite(number) and number == int(number) else None


def read_mot(path: Path) -> DetectionTable:
    """Read lines `frame,id,left,top,width,height[,score[,class,visibility]]`, frames counted from 1.

    A score of -1 means none; one of 0 means that a box with an id is to be ignored. In 8 or 9 columns, as of ground
    truth, the eighth is a class; in 10 columns, as of detections and results, the last three are a position in the
    world, which is not read.

    Source: TrackEval 12c8791, docs/MOTChallenge-Official/Readme.md.

    Raises:
        DataError: the file cannot be read.
    """
    table = DetectionTable(path, "mot", usual_first_frame=1)
    names = _listed_names(path.with_name("labels.txt"))
    for number, line in read_lines(path):
        fields = _SEPARATORS.split(line.strip(",; \t"))
        values = [value for value in map(_number, fields) if value is not None]
        frame = _whole(fields[0])
        place = f"line {number}"
        if len(values) < max(6, len(fields)) or frame is None or abs(frame) > 2**53:
            table.damaged(place, "expected frame,id,left,top,width,height,score as numbers")
            continue
        left, top, width, height = values[2:6]
        score = values[6] if len(values) > 6 and values[6] != -1 else None
        object_id = int(values[1]) if values[1].is_integer() and 0 <= values[1] <= MAX_OBJECT_ID else -1
        if object_id >= 0 and score == 0:
            table.leave_out("ignored", place, "its score is 0, which marks a box to be ignored")
            continue
        table.add(
            place,
            frame,
            (left, top, left + width, top + height),
            score=score,
            label=_class_name(values[7] if len(values) in (8, 9) else -1, names, first=1),
            object_id=object_id,
        )
    return table


def read_mots(path: Path) -> DetectionTable:
    """Read lines `frame id class height width rle`; frames are counted from 0 (KITTI) or from 1 (MOTS Challenge).

    Raises:
        DataError: the file cannot be read.
    """
    table = DetectionTable(path, "mots", usual_first_frame=1)
    for number, line in read_lines(path):
        fields = line.split()
        frame, _, class_number, height, width = (
            (_whole(field) for field in fields[:5]) if len(fields) == 6 else (None,) * 5
        )
        place = f"line {number}"
        if frame is None or class_number is None or height is None or width is None or abs(frame) > 2**53:
            table.damaged(place, "expected frame id class height width rle")
            continue
        label = {1: "car", 2: "pedestrian"}.get(class_number, f"class {class_number}")
        if class_number == 10:
            table.leave_out("crowd", place, "a region to be ignored (class 10)")
            continue
        table.add(place, frame, None, label=label, segmentation={"size": [height, width], "counts": fields[5]})
    return table


def read_csv(path: Path) -> DetectionTable:
    """Read a table with a header; see `CSV_HEADER`, and `_COLUMNS` for other names.

    Raises:
        DataError: the file cannot be read, or its header has no box.
    """
    lines = read_lines(path)
    _, header = next(lines)
    delimiter = max(",;\t", key=header.count)
    columns = _columns_of(header)
    edges = [name for name in ("left", "top", "right", "bottom", "width", "height") if name in columns]
    has_corners = {"left", "top", "right", "bottom"} <= set(edges)
    if not has_corners and not {"left", "top", "width", "height"} <= set(edges):
        raise DataError(f"{path} has no box in its header: expected {CSV_HEADER}, got {header[:80]!r}")
    if "frame" not in columns and "image" not in columns:
        raise DataError(f"{path} names no frame and no image in its header: expected {CSV_HEADER}, got {header[:80]!r}")
    counts_from_0 = header.split(delimiter)[columns["frame"]].strip(' "').lower() == "frame_index" if (
        "frame" in columns
    ) else False  # fmt: skip
    table = DetectionTable(path, "csv", first_frame=0 if counts_from_0 else None)
    reader = _CsvRows(table, columns, has_corners)
    for number, line in lines:
        reader.read(f"line {number}", next(csv.reader([line], delimiter=delimiter), []))
    return table


class _CsvRows:
    """Reads the rows of a CSV.

    Args:
        table: takes them.
        columns: positions by name.
        has_corners: whether it has right and bottom, not width and height.
    """

    def __init__(self, table: DetectionTable, columns: dict[str, int], has_corners: bool) -> None:
        self._table = table
        self._columns = columns
        self._has_corners = has_corners
        self._positions: dict[str, int] = {}
        if "frame" not in columns:
            table.images = []

    def read(self, place: str, cells: Sequence[str]) -> None:
        """Read a row; one whose box is blank, as of an absent object, is not a detection."""
        names = ("left", "top", "right", "bottom") if self._has_corners else ("left", "top", "width", "height")
        texts = [self._cell(cells, name) for name in names]
        if not any(texts):
            return
        box = [_number(text) for text in texts]
        score_text = self._cell(cells, "score")
        score = _number(score_text) if score_text else 1.0
        frame = self._frame(place, cells)
        if frame is None or None in box or score is None:
            self._table.damaged(place, "expected a frame, four edges and a score as numbers")
            return
        left, top, right, bottom = (math.nan if edge is None else edge for edge in box)
        if not self._has_corners:
            right, bottom = left + right, top + bottom
        self._table.add(place, frame, (left, top, right, bottom), score=score, label=self._cell(cells, "label")[:200])

    def _frame(self, place: str, cells: Sequence[str]) -> int | None:
        if self._table.images is None:
            frame = _whole(self._cell(cells, "frame"))
            return None if frame is None or abs(frame) > 2**53 else frame
        name = self._cell(cells, "image")
        if not name:
            return None
        if name not in self._positions:
            self._positions[name] = len(self._table.images)
            self._table.images.append(_named_image(name, f"{self._table.name}, {place}"))
        return self._positions[name]

    def _cell(self, cells: Sequence[str], name: str) -> str:
        column = self._columns.get(name, len(cells))
        return cells[column].strip() if column < len(cells) else ""


def _columns_of(header: str) -> dict[str, int]:
    """Return the positions of the known columns by name; empty if a line is not a header."""
    delimiter = max(",;\t", key=header.count)
    cells = [cell.strip(' "').lower() for cell in header.split(delimiter)]
    positions = {}
    for name, accepted in _COLUMNS.items():
        matches = [cells.index(text) for text in accepted if text in cells]
        if matches:
            positions[name] = matches[0]
    return positions if len(positions) >= 2 else {}


def read_yolo(paths: Sequence[Path], root: Path) -> DetectionTable:
    """Read text files, one per frame or image, with lines `class center_x center_y width height [score [id]]` or
    `class x y x y x y ... [score]`, as fractions of width and height.

    Args:
        paths: the files; a number at the end of their names is the frame.
        root: the folder or the file that was named, for messages.

    Raises:
        DataError: a file cannot be read.
    """
    table = DetectionTable(root, "yolo", images=[], is_normalised=True)
    # Ultralytics counts from 1 and does not pad; masklet and others pad, and count from 0.
    digits = [match[1] for path in paths if (match := re.search(r"(\d+)$", path.stem))]
    table.usual_first_frame = 0 if any(len(text) > 1 and text.startswith("0") for text in digits) else 1
    names = _yolo_names(root if root.is_dir() else root.parent)
    for path in paths:
        assert table.images is not None
        table.images.append(_named_image(path.name, str(path)))
        for number, line in read_lines(path):
            place = f"line {number}" if path == root else f"{path.name}, line {number}"
            _add_yolo_line(table, place, line, names)
    return table


def _add_yolo_line(table: DetectionTable, place: str, line: str, names: dict[int, str]) -> None:
    assert table.images is not None
    fields = line.split()
    values = [value for value in map(_number, fields) if value is not None]
    if len(values) != len(fields) or len(values) < 5 or not math.isfinite(values[0]):
        table.damaged(place, "expected class center_x center_y width height as numbers")
        return
    frame, label = len(table.images) - 1, _class_name(values[0], names, first=0)
    has_id = len(values) == 7 and values[6] > 1 and values[6] == int(values[6])
    if len(values) <= 6 or has_id:
        x, y, width, height = values[1:5]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        table.add(place, frame, box, score=values[5] if len(values) > 5 else None, label=label)
        return
    score = values[-1] if len(values) % 2 == 0 else None
    points = values[1 : len(values) - (score is not None)]
    box = (min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2]))
    table.add(place, frame, box, score=score, label=label, segmentation=[points])


def _named_image(name: str, where: str) -> CocoImageRecord:
    parts = name_parts(name)
    return CocoImageRecord(name, name, tuple(parts), None, None, "", where)


def _class_name(number: float, names: dict[int, str], *, first: int) -> str:
    """Return the name of a class, or "class 3" for one without a name; empty for numbers that mean no class."""
    if not math.isfinite(number) or number != int(number) or number < first:
        return ""
    return names.get(int(number), f"class {int(number)}")


def _listed_names(path: Path, *, first: int = 1) -> dict[int, str]:
    """Return names of classes by number, from a text with a name per line; none if there is no such file."""
    if not path.is_file():
        return {}
    return {number + first - 1: line[:200] for number, line in read_lines(path)}


def _yolo_names(folder: Path) -> dict[int, str]:
    """Return the names of classes by number, from classes.txt or data.yaml in a folder or one of two above it."""
    for place in (folder, *folder.resolve().parents[:2]):
        if names := _listed_names(place / "classes.txt", first=0):
            return names
        for name in ("data.yaml", "dataset.yaml"):
            if (place / name).is_file() and (names := _yaml_names(line for _, line in read_lines(place / name))):
                return names
    return {}


def _yaml_names(lines: Iterable[str]) -> dict[int, str]:
    """Return the `names` of a data.yaml: `[a, b]`, lines `- a`, or lines `0: a`."""
    names: dict[int, str] = {}
    is_within = False
    for line in lines:
        if line.startswith("names:"):
            is_within = True
            inline = line.removeprefix("names:").strip()
            if inline.startswith("["):
                return {number: _unquoted(text) for number, text in enumerate(inline.strip("[] ").split(","))}
            continue
        if not is_within:
            continue
        if line.startswith("- "):
            names[len(names)] = _unquoted(line[2:])
        elif match := re.fullmatch(r"(\d{1,9}):\s*(.+)", line):
            names[int(match[1])] = _unquoted(match[2])
        else:
            break
    return names


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")[:200]
