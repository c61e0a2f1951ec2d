"""Opens trajectories: of a session, of a video with its masks, or of a result file alone (COCO or MOT text).

Neither a model nor the video is needed for a session or a result file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from masklet.checks import check_positive
from masklet.counting.trajectories import Trajectories, TrajectoryBuilder
from masklet.discovery.files.rows import EMPTY_BOX, KeptRows
from masklet.discovery.files.table import MAX_ENTRIES
from masklet.discovery.files.text import read_mot
from masklet.errors import DataError
from masklet.foreign.coco_document import CocoAnnotation, CocoDocument, CocoImageRecord, parse_coco
from masklet.foreign.coco_frames import frames_of, number_at_end
from masklet.foreign.documents import read_json, reading
from masklet.foreign.problems import Problems
from masklet.formats.import_coco import numbered_ids
from masklet.formats.opening import SESSION_SUFFIX, open_labelled, session_masklets
from masklet.masks.convert import segmentation_mask
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.rle import rle_box_xyxy
from masklet.tracking.masklets import DEFAULT_CLASS

MAX_FRAMES = 2_000_000
"""Most frames of a result file: 18 hours at 30 frames per second. A later frame is taken for damage."""
MAX_COORDINATE = 1e6
"""Largest coordinate of a box, in pixels, of either sign."""
FAR_BOX = "its box lies far outside of every picture"
MAX_IDS = 100_000
"""Most objects of a result file."""


def open_trajectories(
    path: str | Path, masks: str | Path | None = None, *, fps: float | None = None
) -> tuple[Trajectories, tuple[str, ...]]:
    """Read where the objects of a file were.

    Args:
        path: a session (.masklet); a COCO .json whose annotations have a track id; MOT text (.txt); or an image, a
            video or a folder of frames, for which `masks` are needed.
        masks: a file or folder for `masklet.formats.import_masks`.
        fps: frames per second. None takes those of the video or the session; a result file does not have them.

    Returns:
        The trajectories, and one line for each kind of entry that was left out, or whose frame had to be guessed.

    Raises:
        DataError: nothing in the file can be counted, or `masks` come with a file that has its own; its text says why.
        SessionError, VideoError, ImageError: a session, video or image cannot be read.
        ConfigError: `fps` is not above 0.
    """
    path = Path(path)
    fps = None if fps is None else check_positive("fps", fps)
    if masks is not None and path.suffix.lower() in (SESSION_SUFFIX, ".json", ".txt"):
        raise DataError(f"{path} has its own masks or boxes: leave {masks} out, or pass it with the image or the video")
    if masks is not None:
        medium, skipped = open_labelled(path, masks)
        with medium.source:
            return Trajectories.of_masklets(medium.masklets, fps=fps or medium.source.info.fps), skipped
    if path.suffix.lower() == SESSION_SUFFIX:
        return Trajectories.of_masklets(session_masklets(path), fps=fps), ()
    if path.suffix.lower() == ".json":
        with reading(str(path)):
            return _read_coco(parse_coco(read_json(path)), path.name, fps)
    if path.suffix.lower() == ".txt":
        return _read_mot(path, fps)
    raise DataError(
        f"{path}: expected a session ({SESSION_SUFFIX}), a COCO .json, or MOT text (.txt). For a video also pass its "
        f"masks, or find its objects first: masklet track VIDEO --everything --save JOB{SESSION_SUFFIX}"
    )


def _read_mot(path: Path, fps: float | None) -> tuple[Trajectories, tuple[str, ...]]:
    """Read MOT Challenge text; see `masklet.discovery.files.text.read_mot`."""
    table = read_mot(path)
    kept, notes = KeptRows(table), list[str]()
    numbers, object_ids, boxes = table.frame_numbers(), table.object_ids(), table.boxes_xyxy()
    first_frame = 0 if (numbers == 0).any() else table.usual_first_frame
    if first_frame != table.usual_first_frame:
        notes.append(f"{table.name}: frames were counted from {first_frame}")
    frames = numbers - first_frame
    kept.leave_out(
        (frames < 0) | (frames >= MAX_FRAMES),
        "frame",
        f"its frame must be from {first_frame} to {MAX_FRAMES - 1 + first_frame:,}",
    )
    kept.leave_out(object_ids < 0, "id", "its id must be a whole number from 0: detections without ids are not tracks")
    kept.leave_out_boxes(boxes)
    kept.leave_out((np.abs(boxes) > MAX_COORDINATE).any(axis=1), "far", FAR_BOX)
    scores = kept.scores(notes.append)
    builder, rows = TrajectoryBuilder(), np.flatnonzero(kept.mask).tolist()
    _check_limits(path, len(rows), len(np.unique(object_ids[rows])))
    for row in rows:
        score, label = float(scores[row]), table.labels[table.label_number(row)]
        builder.add(int(frames[row]), int(object_ids[row]), boxes[row], score, probability=score, label=label)
    trajectories, lines = _finished(builder, kept.problems, path.name, fps)
    return trajectories, (*notes, *lines)


def _box_problem(box: tuple[float, ...]) -> str:
    left, top, right, bottom = box
    if not all(abs(edge) <= MAX_COORDINATE for edge in box):
        return FAR_BOX
    return "" if right > left and bottom > top else EMPTY_BOX


def _read_coco(document: CocoDocument, name: str, fps: float | None) -> tuple[Trajectories, tuple[str, ...]]:
    builder, skipped = TrajectoryBuilder(), Problems()
    boxes: list[tuple[int, CocoAnnotation, tuple[float, ...]]] = []
    frames, notes = _frames_of(document, name)
    for image, frame_index in frames:
        builder.note_frame(frame_index)
        for annotation in document.by_image.get(image.id, ()):
            box = _coco_box(annotation, image.size_hw)
            if isinstance(box, str):
                skipped.add(box, f"{annotation.where}: {box}; left out")
            else:
                boxes.append((frame_index, annotation, box))
    object_ids = numbered_ids([annotation.track or "" for _, annotation, _ in boxes])
    _check_limits(Path(name), len(boxes), len(set(object_ids)))
    for (frame_index, annotation, box), object_id in zip(boxes, object_ids, strict=True):
        label = "" if annotation.category == DEFAULT_CLASS else annotation.category
        score = 1.0 if annotation.score is None else annotation.score
        if annotation.confidence is None:
            builder.add(frame_index, object_id, box, score, probability=score, label=label)
        else:
            builder.add(frame_index, object_id, box, annotation.confidence, label=label)
    sizes = {image.size_hw for image in document.images}
    trajectories, lines = _finished(builder, skipped, name, fps, size_hw=sizes.pop() if len(sizes) == 1 else None)
    return trajectories, (*notes, *lines)


def _coco_box(annotation: CocoAnnotation, size_hw: tuple[int, int] | None) -> tuple[float, ...] | str:
    """Return the box of an annotation, or that of its mask; or why it cannot be used."""
    if annotation.track is None:
        return "it has no track id (object_id or track_id), so nothing says which object it is"
    if annotation.is_crowd or annotation.is_ignored:
        return "a crowd, or marked to be ignored"
    if annotation.box_xywh is not None:
        left, top, width, height = annotation.box_xywh
        box: tuple[float, ...] = (left, top, left + width, top + height)
    elif annotation.segmentation is None:
        return "there is neither a mask nor a box"
    else:
        try:
            mask = segmentation_mask(annotation.segmentation, size_hw)
            tight = rle_box_xyxy(mask) if isinstance(mask, dict) else mask_box_xyxy(mask)
        except DataError as error:
            return str(error)
        if tight is None:
            return "the mask is empty"
        box = tuple(tight.tolist())
    return _box_problem(box) or box


@dataclass(frozen=True, slots=True)
class _UnseenVideo:
    """The video that a result file is about, of which only the file is there; a `NamedMedium`."""

    file_name: str
    num_frames: int
    notes: list[str] = field(default_factory=list)
    name_parts: tuple[str, ...] = ()
    stem: str = ""

    def note(self, how: str) -> None:
        self.notes.append(how)


def _frames_of(document: CocoDocument, name: str) -> tuple[list[tuple[CocoImageRecord, int]], list[str]]:
    """Return the images with their frame indices, and how these were found.

    The video's length is not known: files are taken to be counted from 1 if their first number is 1.

    Raises:
        DataError: the images are those of several videos, or too many.
    """
    images = document.images
    if len({image.video for image in images}) > 1:
        raise DataError(f"{name} has images of several videos: keep one of them in the file")
    medium = _UnseenVideo(name, len(images))
    if not images:
        return [], []
    numbers = [number for image in images if (number := number_at_end(image)) is not None]
    frames = frames_of(images, name, medium, first_frame=int(min(numbers, default=0) == 1))
    last = max((index for _, index in frames), default=0)
    if last >= MAX_FRAMES:
        raise DataError(f"{name}: frame indices must be below {MAX_FRAMES:,}, got {last}")
    return frames, medium.notes


def _check_limits(path: Path, num_boxes: int, num_ids: int) -> None:
    if num_boxes > MAX_ENTRIES:
        raise DataError(f"{path} has more than {MAX_ENTRIES:,} boxes: count it in parts")
    if num_ids > MAX_IDS:
        raise DataError(f"{path} has more than {MAX_IDS:,} objects: count it in parts")


def _finished(
    builder: TrajectoryBuilder,
    skipped: Problems,
    name: str,
    fps: float | None,
    size_hw: tuple[int, int] | None = None,
) -> tuple[Trajectories, tuple[str, ...]]:
    lines = skipped.lines()
    if not builder.num_boxes:
        reason = f": {lines[0]}" if lines else ""
        raise DataError(f"{name} has no box of an object to count{reason}")
    trajectories = builder.built(fps=fps, size_hw=size_hw)
    if builder.num_repeated:
        lines += (f"{name}: {builder.num_repeated} boxes are of an object that has a surer box on the same frame",)
    return trajectories, lines
