"""MOT Challenge and MOTS: a text with one line per object and frame, which trackers and their metrics exchange.

MOT has boxes: `frame,id,left,top,width,height,confidence,-1,-1,-1`, frames counted from 1. MOTS has masks, at most one
per pixel: `frame id class height width rle`. Neither has names of classes or objects.

Source: https://motchallenge.net/instructions and https://www.vision.rwth-aachen.de/page/mots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from masklet.formats.base import ExportJob, Format, is_seen
from masklet.formats.labels import label_map
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.rle import CocoRle, encode_rle, rle_area, rle_box_xyxy
from masklet.output import atomic_path, check_writable, naming_errors
from masklet.schema import Options, choice_field

_MOTS_CLASSES = {"car": 1, "pedestrian": 2, "person": 2}
"""Numbers that MOTS gives to classes. Others are numbered from 3 on in order of appearance."""

_MOTS_IGNORED = 10
"""Class of regions that MOTS ignores: no class of objects may have this number."""

_LARGEST_MOTS_ID = 2**16 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MotOptions(Options):
    label = "mot"
    columns: str = choice_field(
        "results",
        {"results": "Results: with confidences", "truth": "Ground truth: with the numbers of the classes"},
        "Columns",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MotsOptions(Options):
    label = "mots"
    first_frame: str = choice_field(
        "1", {"1": "1, as MOTS Challenge", "0": "0, as KITTI MOTS"}, "Number of the first frame"
    )


class _LineStream(BaseStream):
    """Writes one text file, with the lines that a subclass makes of a frame."""

    def __init__(self, job: ExportJob[MotOptions] | ExportJob[MotsOptions]) -> None:
        super().__init__(check_writable(job.path))
        self._is_live = job.is_live
        self._file: IO[str] | None = None

    def write(self, frame: FrameRows) -> None:
        lines = self._lines(frame)
        with naming_errors(self.path):
            self.check_space(keeps_frames=self._is_live)
            if self._file is None:
                temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._is_live))
                self._file = self._stack.enter_context(temporary.open("w", encoding="ascii", newline="\n"))
            self._file.write("".join(lines))

    def _lines(self, frame: FrameRows) -> list[str]:
        raise NotImplementedError


class MotStream(_LineStream):
    """Writes MOT lines."""

    def __init__(self, job: ExportJob[MotOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(job)
        self._job = job

    def _lines(self, frame: FrameRows) -> list[str]:
        lines = []
        for row in frame.rows:
            box = rle_box_xyxy(row.rle)
            if box is None:
                continue
            left, top, right, bottom = box.tolist()
            numbers = f"{frame.frame_index + 1},{row.object_id},{left:g},{top:g},{right - left:g},{bottom - top:g}"
            number = self._job.class_number(frame.medium, row.object_id) + 1
            if self._job.options.columns == "truth":
                lines.append(f"{numbers},1,{number},1\n")
            else:
                lines.append(f"{numbers},{row.confidence:.4f},-1,-1,-1\n")
        self._job.num_masks += len(lines)
        return lines


class MotsStream(_LineStream):
    """Writes MOTS lines."""

    def __init__(self, job: ExportJob[MotsOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(job)
        self._job = job
        self._classes: dict[str, int] = {}

    def _lines(self, frame: FrameRows) -> list[str]:
        height, width = frame.medium.source.info.size_hw
        frame_number = frame.frame_index + int(self._job.options.first_frame)
        lines = []
        for object_id, rle in self._separate_masks(frame):
            class_number = self._class_number(frame.medium.masklets.info(object_id).category)
            lines.append(f"{frame_number} {object_id} {class_number} {height} {width} {rle['counts']}\n")
        self._job.num_masks += len(lines)
        return lines

    def _separate_masks(self, frame: FrameRows) -> list[tuple[int, CocoRle]]:
        """Return the visible objects with masks that share no pixel."""
        labels = label_map(frame, largest=_LARGEST_MOTS_ID, holder="MOTS", note=self._job.note)
        separate = []
        for row in frame.rows:
            if not is_seen(row):
                continue
            mask = labels == row.object_id
            if mask.any():  # else it is hidden by others
                is_whole = int(mask.sum()) == rle_area(row.rle)
                separate.append((row.object_id, row.rle if is_whole else encode_rle(mask)))
        return separate

    def _class_number(self, category: str) -> int:
        """Return the number of a class, and note one that readers will not know."""
        if category in _MOTS_CLASSES:
            return _MOTS_CLASSES[category]
        if category not in self._classes:
            following = max(self._classes.values(), default=2) + 1
            self._classes[category] = following + (following == _MOTS_IGNORED)
            self._job.note(f"MOTS has no names of classes: {category!r} is number {self._classes[category]}")
        return self._classes[category]


MOT = Format(
    id="mot",
    name="MOT Challenge",
    description="A line for each object and frame: its number, box and confidence. For tracking metrics. No masks or "
    "names; classes as numbers, in the columns of ground truth.",
    kinds=("video",),
    suffixes=(".txt",),
    options=MotOptions,
    open_stream=MotStream,
    many_media=False,
)

MOTS = Format(
    id="mots",
    name="MOTS",
    description="A line for each object and frame: its number, class number and mask (RLE). For tracking metrics. One "
    "object per pixel; no names or scores.",
    kinds=("video",),
    suffixes=(".txt",),
    options=MotsOptions,
    open_stream=MotsStream,
    many_media=False,
)
