"""Entries of a file of detections as they stand there, before anything is known of the video they are for."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from masklet.errors import DataError
from masklet.foreign.coco_document import CocoImageRecord
from masklet.foreign.problems import Problems

MAX_FILE_BYTES = 2**30
"""Largest file that is read."""

MAX_ENTRIES = 2_000_000
"""Largest number of detections in a file; they take about 150 bytes each."""


@dataclass(slots=True)
class DetectionTable:
    """The detections of a file, column by column."""

    path: Path
    format: str
    """"coco", "mot", "mots", "csv" or "yolo"."""
    images: list[CocoImageRecord] | None = None
    """What detections refer to, by position; None where they have the number of a frame."""
    lists_all_images: bool = False
    """True if `images` has the frames without detections, too."""
    first_frame: int | None = None
    """Number of the first frame; None if the format leaves it open."""
    usual_first_frame: int = 1
    """`first_frame` of files that neither say it nor show it."""
    is_normalised: bool = False
    """True if coordinates are fractions of width and height."""
    problems: Problems = field(default_factory=Problems)
    labels: list[str] = field(default_factory=list)
    """Names of classes."""
    segmentations: dict[int, Any] = field(default_factory=dict)
    """Polygons or run-length encodings as COCO has them, by row; rows without one have only a box."""
    places: list[str] = field(default_factory=list)
    """Places of the rows in the file, such as "line 7"."""
    _frames: array[int] = field(default_factory=lambda: array("q"))
    _boxes: array[float] = field(default_factory=lambda: array("d"))
    _scores: array[float] = field(default_factory=lambda: array("d"))
    _object_ids: array[int] = field(default_factory=lambda: array("q"))
    _labels: array[int] = field(default_factory=lambda: array("q"))
    _label_numbers: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def name(self) -> str:
        """Name of the file, for messages."""
        return self.path.name or str(self.path)

    def add(
        self,
        place: str,
        frame: int,
        box_xyxy: Sequence[float] | None,
        *,
        score: float | None = None,
        label: str = "",
        segmentation: Any = None,
        object_id: int = -1,
    ) -> None:
        """Add a detection.

        Args:
            place: within the file, for messages.
            frame: number of its frame as in the file, or position of its image.
            box_xyxy: left, top, right, bottom; may be anything, even NaN. None where there is only a segmentation.
            score: as in the file; None means that there is none, which counts as 1.
            label: class; may be empty.
            segmentation: as COCO has it; None where there is only a box.
            object_id: of a track, from 0; -1 where there is none.

        Raises:
            DataError: the file has too many.
        """
        if len(self) >= MAX_ENTRIES:
            raise DataError(f"{self.path} has more than {MAX_ENTRIES:,} detections: split it")
        if segmentation is not None:
            self.segmentations[len(self)] = segmentation
        self.places.append(place)
        self._frames.append(frame)
        self._boxes.extend((math.nan,) * 4 if box_xyxy is None else (float(edge) for edge in box_xyxy))
        self._scores.append(1.0 if score is None else score)
        self._object_ids.append(object_id)
        if label not in self._label_numbers:
            self._label_numbers[label] = len(self.labels)
            self.labels.append(label)
        self._labels.append(self._label_numbers[label])

    def part(self, positions: Sequence[int], rows: Sequence[int]) -> DetectionTable:
        """Return a table of some images and rows, without the problems of this one.

        Args:
            positions: of the images, ascending.
            rows: all rows of these images, ascending.
        """
        new_positions = {position: number for number, position in enumerate(positions)}
        return replace(
            self,
            images=[(self.images or [])[position] for position in positions],
            problems=Problems(),
            segmentations={
                number: self.segmentations[row] for number, row in enumerate(rows) if row in self.segmentations
            },
            places=[self.places[row] for row in rows],
            _frames=array("q", (new_positions[self._frames[row]] for row in rows)),
            _boxes=array("d", (edge for row in rows for edge in self._boxes[4 * row : 4 * row + 4])),
            _scores=array("d", (self._scores[row] for row in rows)),
            _object_ids=array("q", (self._object_ids[row] for row in rows)),
            _labels=array("q", (self._labels[row] for row in rows)),
        )

    def leave_out(self, kind: str, place: str, reason: str) -> None:
        """Note an entry that cannot be used; see `Problems.add`."""
        self.problems.add(kind, f"{self.name}, {place}: {reason}; left out")

    def damaged(self, place: str, reason: str) -> None:
        """Note an entry that cannot be read."""
        self.leave_out("damaged", place, reason)

    def frame_numbers(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the (N,) frame or image numbers."""
        return np.array(self._frames, np.int64)

    def boxes_xyxy(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the (N, 4) boxes; NaN where there is none."""
        return np.array(self._boxes, np.float64).reshape(-1, 4)

    def scores(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the (N,) scores as they are in the file, also NaN."""
        return np.array(self._scores, np.float64)

    def object_ids(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the (N,) ids of tracks; -1 where there is none."""
        return np.array(self._object_ids, np.int64)

    def label_numbers(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the (N,) positions of the classes in `labels`."""
        return np.array(self._labels, np.int64)

    def label_number(self, row: int) -> int:
        """Return the position of a row's class in `labels`."""
        return self._labels[row]

    def score_text(self, row: int) -> str:
        """Return a row's score as it is in the file, for messages."""
        return f"{self._scores[row]:g}"
