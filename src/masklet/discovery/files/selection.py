"""The detections of a file that are for one medium: its frames are found, and what cannot be used is left out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_whole
from masklet.discovery.detections import Detection
from masklet.discovery.files.rows import KeptRows
from masklet.discovery.files.table import DetectionTable
from masklet.errors import DataError
from masklet.foreign.coco_document import CocoImageRecord
from masklet.foreign.coco_frames import frames_of, image_of, number_at_end
from masklet.foreign.file_names import best_matches, name_parts
from masklet.masks.convert import decoded, segmentation_mask
from masklet.masks.rle import check_rle, rle_box_xyxy
from masklet.records import BoolArray, Frame

MAX_PER_FRAME = 300
"""Detections of a frame that are used: those with the highest scores. COCO's metrics count 100."""

_LEAST_SIDE = 1.0
"""Shortest side of a box in pixels, within the frame."""


@dataclass(frozen=True, slots=True)
class _Medium:
    """The medium, for the matching of names; a `NamedMedium`."""

    file_name: str
    size_hw: tuple[int, int]
    num_frames: int
    notes: list[str] = field(default_factory=list)

    @property
    def name_parts(self) -> tuple[str, ...]:
        parts = name_parts(self.file_name)
        return parts[0] if parts else ()

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name_parts[-1]).stem if self.name_parts else ""

    def note(self, how: str) -> None:
        if how not in self.notes:
            self.notes.append(how)


class DetectionFile:
    """The detections of a file for one video or image; a `Detector`.

    Args:
        table: the file's entries.
        size_hw: size of the frames.
        num_frames: number of frames, 1 for an image; None if it is not known, as of a live source.
        file_name: name of the medium, with as many folders as are known; finds it in files for several.
        first_frame: number of the first frame in the file; None lets the file decide.
        max_per_frame: largest number of detections used on a frame.

    Raises:
        ConfigError: a number is out of range.
        DataError: the file is about other media, or none of its detections can be used.
    """

    def __init__(
        self,
        table: DetectionTable,
        *,
        size_hw: tuple[int, int],
        num_frames: int | None = None,
        file_name: str = "",
        first_frame: int | None = None,
        max_per_frame: int = MAX_PER_FRAME,
    ) -> None:
        height, width = (check_whole("size_hw", side, least=1) for side in size_hw)
        most = sys.maxsize if num_frames is None else check_whole("num_frames", num_frames, least=1)
        if first_frame is not None:
            first_frame = check_whole("first_frame", first_frame, least=0, most=2**53)
        check_whole("max_per_frame", max_per_frame, least=1)
        self.path = table.path
        self.format = table.format
        """"coco", "mot", "mots", "csv" or "yolo"."""
        self.size_hw = height, width
        self._table = table
        self._kept = KeptRows(table)
        self._medium = _Medium(file_name, self.size_hw, most)
        self._listed: NDArray[np.int64] | None = None
        """Frames of the medium that the file lists, also those without detections; None if it lists none."""
        frames = self._frame_indices(first_frame)
        boxes = self._boxes()
        self._select(frames, boxes)
        self._scores = self._kept.scores(self._medium.note)
        self._leave_out_repeated(frames, boxes)
        self._leave_out_weakest(frames, max_per_frame)
        if not self._kept.mask.any():
            reasons = self.problems
            if len(table):  # entries that could not be read may be of other media
                reasons = reasons[len(table.problems.lines()) :]
            if reasons:
                raise DataError(reasons[0])
            self._kept.problems.add(
                "none", f"{table.name} has no detections" + (f" for {file_name}" if file_name else "")
            )
        rows = np.flatnonzero(self._kept.mask)
        order = np.argsort(frames[rows], kind="stable")
        self._rows = rows[order]
        self._frames = frames[rows][order]
        self._boxes_xyxy = boxes

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out and why: one line per kind of problem, with the first place and the number of others."""
        return self._kept.problems.lines()

    @property
    def notes(self) -> tuple[str, ...]:
        """How frames and scores were read where the file leaves it open."""
        return tuple(self._medium.notes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of the detections that are used, sorted."""
        numbers = np.unique(self._table.label_numbers()[self._rows])
        return tuple(sorted(label for number in numbers if (label := self._table.labels[number])))

    @property
    def frame_indices(self) -> tuple[int, ...]:
        """The frames with detections, ascending."""
        return tuple(np.unique(self._frames).tolist())

    @property
    def key_frames(self) -> range | frozenset[int]:
        """The frames on which the detector was run, as far as its detections show; see `RecordedDetector`.

        Those that the file lists, or else those with detections, where they are mostly apart, as of a detector that
        ran on every fifth frame. Otherwise all from the first to the last: a frame without detections in between is
        one on which it found nothing.
        """
        frames = np.unique(self._frames if self._listed is None else self._listed)
        if not len(frames):
            return range(0)
        if len(frames) == 1 or np.median(np.diff(frames)) > 1:
            return frozenset(frames.tolist())
        return range(int(frames[0]), int(frames[-1]) + 1)

    def __len__(self) -> int:
        """Return the number of detections that are used."""
        return len(self._rows)

    def __repr__(self) -> str:
        return f"DetectionFile({str(self.path)!r}, {self.format}, {len(self):,} on {len(self.frame_indices):,} frames)"

    def at(self, frame_index: int) -> list[Detection]:
        """Return the detections on a frame, in the file's order; none where the file has none."""
        first, last = np.searchsorted(self._frames, [frame_index, frame_index + 1])
        detections = (self._detection(int(row)) for row in self._rows[first:last])
        return [detection for detection in detections if detection is not None]

    def detect(self, frame: Frame, covered: BoolArray) -> Sequence[Detection]:
        """Return the detections on a frame, whatever is covered.

        Raises:
            DataError: the frame has another size than the file was opened for.
        """
        if frame.size_hw != self.size_hw:
            raise DataError(
                f"{self.path} was opened for frames of {self.size_hw[1]} x {self.size_hw[0]} (width x height), frame "
                f"{frame.index} is {frame.size_hw[1]} x {frame.size_hw[0]}: open it with the size of the frames"
            )
        return self.at(frame.index)

    def _detection(self, row: int) -> Detection | None:
        """Return a row as a detection; None if its polygons cover no pixel."""
        score, label = float(self._scores[row]), self._table.labels[self._table.label_number(row)]
        segmentation = self._table.segmentations.get(row)
        left, top, right, bottom = self._boxes_xyxy[row].tolist()
        if segmentation is None:
            return Detection((left, top, right, bottom), score, label)
        if self._table.is_normalised:
            segmentation = [_in_pixels(points, self.size_hw) for points in segmentation]
        mask = segmentation_mask(segmentation, self.size_hw)
        if isinstance(mask, dict):
            return Detection((left, top, right, bottom), score, label, mask)
        return Detection.of_mask(decoded(mask), score=score, label=label)

    def _frame_indices(self, first_frame: int | None) -> NDArray[np.int64]:
        """Return the (N,) frame indices of all rows; -1 where a row is of another medium, which is not a problem.

        Also notes which frames the file lists.
        """
        table, medium = self._table, self._medium
        numbers = table.frame_numbers()
        if not len(numbers) and not table.images:
            return numbers
        first_frame = table.first_frame if first_frame is None else first_frame
        if table.images is None:
            first = self._first_frame(numbers.tolist(), first_frame)
            return numbers - first
        indices = np.full(len(table.images), -1, np.int64)
        positions = {id(image): number for number, image in enumerate(table.images)}
        if medium.num_frames == 1:
            indices[self._image_position()] = 0
        else:
            if not table.lists_all_images and any(image.frame_index is None for image in table.images):
                image_numbers = [number for image in table.images if (number := number_at_end(image)) is not None]
                first_frame = self._first_frame(image_numbers, first_frame)
            for image, frame_index in frames_of(table.images, table.name, medium, first_frame=first_frame):
                indices[positions[id(image)]] = frame_index if frame_index >= 0 else -2
        for position, image in enumerate(table.images):
            if indices[position] >= 0 and image.size_hw is not None and image.size_hw != self.size_hw:
                height, width = image.size_hw
                lost = int((numbers == position).sum())
                self._kept.problems.add(
                    "image size",
                    f"{table.name}: {image.name} is {width} x {height} (width x height) there, and the frame "
                    f"{self.size_hw[1]} x {self.size_hw[0]}: its detections are left out",
                    max(lost, 1),
                )
                indices[position] = -1
        if table.lists_all_images:
            self._listed = indices[(indices >= 0) & (indices < medium.num_frames)]
        frames: NDArray[np.int64] = indices[numbers]
        return frames

    def _image_position(self) -> int:
        """Return the position of the image that the medium is."""
        images = self._table.images or []
        if not _is_named(images, self._medium) and len(numbered := _numbered(images, self._medium)) == 1:
            return numbered[0]
        return images.index(image_of(images, self._table.name, self._medium))

    def _first_frame(self, numbers: Sequence[int], first_frame: int | None) -> int:
        """Return the number of the first frame: as stated, else as the numbers 0 and N show, else the usual one."""
        if first_frame is not None or not numbers:
            return first_frame or 0
        has_zero, has_last = 0 in numbers, self._medium.num_frames in numbers
        first = self._table.usual_first_frame if has_zero == has_last else int(has_last)
        if first != 0:
            self._medium.note(f"{self._table.name}: frames were counted from {first}")
        return first

    def _boxes(self) -> NDArray[np.float64]:
        """Return the (N, 4) boxes in pixels, of masks where there are some; NaN where there is none."""
        table = self._table
        boxes = table.boxes_xyxy()
        height, width = self.size_hw
        if table.is_normalised:
            boxes *= [width, height, width, height]
        for row, segmentation in table.segmentations.items():
            boxes[row] = _box_of(segmentation) if table.is_normalised is False else boxes[row]
        return boxes

    def _select(self, frames: NDArray[np.int64], boxes: NDArray[np.float64]) -> None:
        """Leave out the rows that are not for the medium's frames; boxes are clipped to the frame in place."""
        table, kept, (height, width) = self._table, self._kept, self.size_hw
        if table.images is not None:
            kept.mask &= frames != -1  # of another image or video
        outside: NDArray[np.bool_] = np.logical_or(frames < 0, frames >= self._medium.num_frames)
        if (outside & kept.mask).any():
            row = np.flatnonzero(outside & kept.mask)[0]
            count = self._medium.num_frames
            length = {1: ": an image has frame 0 only", sys.maxsize: ""}.get(count, f": the video has {count:,}")
            kept.leave_out(outside, "frame", f"there is no frame {frames[row]} (counted from 0){length}")
        self._note_repeated_ids(frames)
        self._check_masks(boxes)
        kept.leave_out_boxes(boxes)
        left, top, right, bottom = (boxes[:, edge] for edge in range(4))
        size = f"{width} x {height} (width x height)"
        outside = np.array((right <= 0) | (bottom <= 0) | (left >= width) | (top >= height), np.bool_)
        total = int(kept.mask.sum())
        centers_outside = kept.mask & (((left + right) / 2 > width) | ((top + bottom) / 2 > height))
        if centers_outside.sum() >= 3 and centers_outside.sum() * 4 > total:
            self._medium.note(
                f"{table.name}: {centers_outside.sum():,} of {total:,} boxes reach far beyond the frame of {size}: "
                "they may be for a video of another size"
            )
        kept.leave_out(outside, "outside", f"it lies outside the frame of {size}")
        boxes[:] = np.clip(boxes, 0, [width, height, width, height])
        thin = (boxes[:, 2] - boxes[:, 0] < _LEAST_SIDE) | (boxes[:, 3] - boxes[:, 1] < _LEAST_SIDE)
        kept.leave_out(thin, "thin", "less than a pixel of it is within the frame")

    def _note_repeated_ids(self, frames: NDArray[np.int64]) -> None:
        """Note objects that are there twice on a frame. Both are used: ids are not."""
        ids = self._table.object_ids()
        rows = np.flatnonzero(self._kept.mask & (ids >= 0))
        order = rows[np.lexsort((rows, ids[rows], frames[rows]))]
        is_repeated = (np.diff(ids[order]) == 0) & (np.diff(frames[order]) == 0)
        if (repeated := np.sort(order[1:][is_repeated])).size:
            row = repeated[0]
            number = int(self._table.frame_numbers()[row])
            line = f"{self._kept.place(row)}: frame {number} has id {ids[row]} twice; both are used"
            self._kept.problems.add("repeated id", line, len(repeated))

    def _check_masks(self, boxes: NDArray[np.float64]) -> None:
        """Leave out masks that are damaged, empty or of another size, and take the boxes of the others from them."""
        kept = self._kept
        for row, segmentation in self._table.segmentations.items():
            if not kept.mask[row]:
                continue
            try:
                if isinstance(segmentation, dict):
                    check_rle(segmentation, self.size_hw)
                    box = rle_box_xyxy(segmentation)
                    if box is None:
                        kept.problems.add("empty mask", f"{kept.place(row)}: its mask is empty; left out")
                        kept.mask[row] = False
                        continue
                    boxes[row] = box
                elif not np.isfinite(boxes[row]).all():
                    raise DataError("its polygons must be lists of numbers x, y, x, y, ...")
            except DataError as error:
                kind = "mask size" if error.fault == "sizes differ" else "mask"
                kept.problems.add(kind, f"{kept.place(row)}: {error}; left out")
                kept.mask[row] = False

    def _leave_out_repeated(self, frames: NDArray[np.int64], boxes: NDArray[np.float64]) -> None:
        """Leave out rows that repeat another: the same box, class and frame."""
        rows = np.flatnonzero(self._kept.mask)
        if not len(rows):
            return
        shapes = np.array([hash(repr(self._table.segmentations.get(int(row)))) >> 12 for row in rows], np.float64)
        columns = [frames[rows], self._table.label_numbers()[rows], shapes, *boxes[rows].round(2).T]
        order = np.lexsort((-self._scores[rows], *columns))
        sorted_columns = np.array([column[order] for column in columns])
        repeats = np.zeros(len(rows), np.bool_)
        repeats[order[1:]] = (sorted_columns[:, 1:] == sorted_columns[:, :-1]).all(axis=0)
        lost = np.zeros(len(self._table), np.bool_)
        lost[rows[repeats]] = True
        self._kept.leave_out(lost, "repeated", "it repeats another detection of its frame")

    def _leave_out_weakest(self, frames: NDArray[np.int64], max_per_frame: int) -> None:
        """Limit the number of rows of each frame, by score."""
        rows = np.flatnonzero(self._kept.mask)
        if not len(rows):
            return
        order = rows[np.lexsort((-self._scores[rows], frames[rows]))]
        _, starts, counts = np.unique(frames[order], return_index=True, return_counts=True)
        ranks = np.arange(len(order)) - np.repeat(starts, counts)
        for start, count in zip(starts[counts > max_per_frame], counts[counts > max_per_frame], strict=True):
            self._kept.problems.add(
                "too many",
                f"{self._table.name}: frame {frames[order[start]]} has {count:,} detections: the {max_per_frame} with "
                "the highest scores are used",
            )
        self._kept.mask[order[ranks >= max_per_frame]] = False


def is_listed(table: DetectionTable, file_name: str) -> bool:
    """Return True if a file of detections names an image.

    Args:
        table: the file's entries.
        file_name: name of the image, with as many folders as are known.
    """
    images, medium = table.images or [], _Medium(file_name, (1, 1), 1)
    return _is_named(images, medium) or len(_numbered(images, medium)) == 1


def _is_named(images: Sequence[CocoImageRecord], medium: _Medium) -> bool:
    return bool(best_matches(medium.name_parts, images, lambda image: image.names))


def _numbered(images: Sequence[CocoImageRecord], medium: _Medium) -> list[int]:
    """Return the positions of the images with the medium's number: COCO results name 000000000139.jpg by the id 139."""
    number = str(int(medium.stem)) if medium.stem.isdigit() else None
    return [position for position, image in enumerate(images) if image.id == number]


def _box_of(segmentation: Any) -> tuple[float, float, float, float]:
    """Return the box around polygons in pixels; NaN for others, and for polygons that are damaged."""
    nothing = (np.nan,) * 4
    if not isinstance(segmentation, list):
        return nothing
    loops = segmentation if isinstance(segmentation[0], list) else [segmentation]
    try:
        points = np.concatenate([np.array(loop, np.float64).reshape(-1, 2) for loop in loops])
    except (TypeError, ValueError, OverflowError):
        return nothing
    if len(points) < 3 or any(len(loop) < 6 for loop in loops):
        return nothing
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _in_pixels(points: Sequence[float], size_hw: tuple[int, int]) -> list[float]:
    height, width = size_hw
    return [number * (height if row % 2 else width) for row, number in enumerate(points)]
