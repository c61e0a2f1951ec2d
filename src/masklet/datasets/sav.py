"""SA-V: videos of 24 frames per second with masklets for every fourth frame, in a JSON next to each.

    sav_000/sav_000001.mp4   sav_000/sav_000001_manual.json   sav_000/sav_000001_auto.json

`masklet[frame][object]` is an RLE, empty where the object is not seen; frame n of the list is frame 4 n of the video.
The validation and test sets are folders of frames: see `davis`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from masklet.checks import check_choice
from masklet.datasets.files import Faults, natural_order, refuse
from masklet.datasets.records import ClipExample, Dataset, Labels, MaskLabels
from masklet.errors import DataError, VideoError
from masklet.foreign.documents import Json, read_json
from masklet.masks.convert import is_empty, segmentation_mask
from masklet.masks.rle import CocoRle
from masklet.media.base import FrameSource
from masklet.media.source import open_source
from masklet.records import BoolArray, ByteArray

LABEL_STEP = 4
"""Frames of the video for one labelled frame: 24 against 6 per second."""
FPS = 24.0
MAX_ID = 10**6
"""Largest id of an object in a file."""
AUTO_OFFSET = 1000
"""Added to the ids of automatic masklets that come next to manual ones."""

Masklets = Literal["manual", "auto", "both"]


@dataclass(frozen=True, slots=True)
class SavClip(ClipExample):
    """A video and its JSON files."""

    name: str
    source: str
    video_path: Path
    json_paths: tuple[Path, ...]
    num_frames: int
    labelled_frames: tuple[int, ...]
    fps: float = FPS

    @property
    def where(self) -> str:
        return str(self.video_path)

    def label_where(self, frame_index: int) -> str:
        return f"{self.json_paths[0]}, frame {frame_index}"

    def open_frames(self) -> FrameSource:
        return open_source(self.video_path)

    def read_frames(self, frame_indices: Sequence[int]) -> list[ByteArray]:
        unique_indices = sorted(set(frame_indices))
        try:
            with open_source(self.video_path) as source:
                frames = {index: source.frame(index).rgb for index in unique_indices}
        except VideoError as error:
            raise DataError(str(error), "cannot be read") from error
        return [frames[index] for index in frame_indices]

    def read_labels(self, frame_index: int) -> Labels:
        masks: dict[int, BoolArray | CocoRle] = {}
        size = (0, 0)
        for number, path in enumerate(self.json_paths):
            document = _read_masklets(path)
            size = document.size_hw
            rows = document.rows
            if frame_index // LABEL_STEP >= len(rows):
                raise DataError(f"{path} ends before frame {frame_index}: it has masks for {len(rows)} frames")
            for column, rle in enumerate(rows[frame_index // LABEL_STEP]):
                try:
                    mask = segmentation_mask(rle, size)
                except DataError as error:
                    raise DataError(f"{path}, frame {frame_index}, object {column}: {error}", error.fault) from error
                if not is_empty(mask):
                    masks[document.object_id(column) + number * AUTO_OFFSET] = mask
        return MaskLabels(size, dict(sorted(masks.items())), where=self.label_where(frame_index))


def recognise_sav(root: Path) -> bool:
    """Return whether a video has a `_manual.json` or `_auto.json` next to it, here or one folder down."""
    return any(_json_paths(path, "both") for folder in _folders(root) for path in sorted(folder.glob("*.mp4"))[:3])


def open_sav(
    root: Path, *, split: str | None = None, masklets: str = "manual", verify: bool = True, faults: Faults | None = None
) -> Dataset:
    """Open a folder of videos with their masklets, or a folder of such folders.

    Args:
        root: the folder.
        split: a folder of it, as `sav_000`.
        masklets: `manual` takes the automatic ones of videos that have no others; `auto`; or `both`.
        verify: raise at once for a video without masklets, and compare sizes.

    Raises:
        DataError: there are no such videos, or a JSON does not fit its video.
    """
    check_choice("masklets", masklets, get_args(Masklets), error=DataError)
    base = root if split is None else root / split
    if not base.is_dir():
        raise DataError(f"{root} has no folder {split!r} for the split of that name")
    clips: list[ClipExample] = []
    for folder in _folders(base):
        prefix = "" if folder == base else f"{folder.name}/"
        for path in sorted(folder.glob("*.mp4"), key=natural_order):
            json_paths = _json_paths(path, masklets)
            if json_paths:
                name, source = f"{prefix}{path.stem}", folder.resolve().name
                try:
                    clips.append(_open_clip(name, source, path, json_paths, verify=verify or faults is not None))
                except DataError as error:
                    refuse(error, faults)
            elif verify or faults is not None:
                expected = f"{path.stem}_manual.json or {path.stem}_auto.json"
                refuse(DataError(f"{path} has no masklets: expected {expected}"), faults)
    if not clips and not faults:
        raise DataError(f"{base} holds no videos with a _manual.json or _auto.json next to them, as SA-V has")
    return Dataset(root, "sa-v", clips=clips)


def _open_clip(name: str, source: str, path: Path, json_paths: tuple[Path, ...], *, verify: bool) -> SavClip:
    if not verify and (frames := _announced_frames(json_paths[0])):
        return SavClip(name, source, path, json_paths, frames, tuple(range(0, frames, LABEL_STEP)))
    documents = [_read_masklets(json_path) for json_path in json_paths]
    count = min(len(document.rows) for document in documents)
    try:
        with open_source(path) as video:
            info = video.info
    except VideoError as error:
        raise DataError(str(error), "cannot be read") from error
    size = documents[0].size_hw
    if info.size_hw != size:
        raise DataError(
            f"{json_paths[0]} says {size[1]} x {size[0]} (width x height), but {path.name} is "
            f"{info.size_hw[1]} x {info.size_hw[0]}"
        )
    num_frames = info.num_frames or LABEL_STEP * count
    labelled = tuple(range(0, min(num_frames, LABEL_STEP * count), LABEL_STEP))
    if count - len(labelled) > 1:
        raise DataError(
            f"{json_paths[0]} has masks for {count} frames, {LABEL_STEP} apart, and {path.name} only {num_frames} "
            "frames: the video is cut off, or was saved at another rate"
        )
    return SavClip(name, source, path, json_paths, num_frames, labelled)


def _announced_frames(path: Path) -> int | None:
    """Return the number of frames from the beginning of a file, without reading all of its masks."""
    with path.open("rb") as file:
        match = re.search(rb'"video_frame_count":\s*(\d+)', file.read(4096))
    return None if match is None else int(match[1])


@dataclass(frozen=True, slots=True)
class SavDocument:
    """A JSON file of SA-V."""

    rows: Sequence[Sequence[Any]]
    """RLEs by frame and object, not yet checked."""
    size_hw: tuple[int, int]
    """(0, 0) if the file does not say."""
    label_step: int
    ids: tuple[int, ...]
    """Ids of the objects as the file has them, from 0; may be empty."""
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def object_id(self, column: int) -> int:
        """Return the object id, counted from 1; SA-V counts from 0."""
        return 1 + (self.ids[column] if column < len(self.ids) else column)


def parse_sav(document: Json) -> SavDocument:
    """Read a JSON file of SA-V.

    Raises:
        DataError: a field is missing or of the wrong type.
    """
    rows = document.field("masklet")
    for row in rows.entries():
        if not isinstance(row.value, list):
            row.refuse("a list of RLEs, one per object")
    if not rows.value:
        rows.refuse("a list of frames, each a list of RLEs")
    sides = [document.get(name) for name in ("video_height", "video_width")]
    height, width = (0 if side is None else side.whole(1, 10**6) for side in sides)
    step, ids = document.get("label_step"), document.get("masklet_id")
    numbers = tuple(entry.whole(0, MAX_ID) for entry in ids.entries()) if ids is not None else ()
    if ids is not None and len(set(numbers)) < len(numbers):
        ids.fail("each object needs an id of its own")
    return SavDocument(
        rows.value,
        (height, width),
        LABEL_STEP if step is None else step.whole(1, 10**6),
        numbers,
        _texts(document.get("masklet_names")),
        _texts(document.get("masklet_classes")),
    )


def _texts(entry: Json | None) -> tuple[str, ...]:
    return () if entry is None else tuple("" if text.value is None else text.text() for text in entry.entries())


@lru_cache(maxsize=4)
def _read_masklets(path: Path) -> SavDocument:
    document = parse_sav(read_json(path))
    if 0 in document.size_hw:
        raise DataError(f"{path} has no field 'video_height' or 'video_width'")
    return document


def _json_paths(video: Path, masklets: str) -> tuple[Path, ...]:
    paths = {
        kind: path for kind in ("manual", "auto") if (path := video.with_name(f"{video.stem}_{kind}.json")).is_file()
    }
    if masklets == "both":
        return tuple(paths.values())
    path_or_none = paths.get(masklets) or (paths.get("auto") if masklets == "manual" else None)
    return () if path_or_none is None else (path_or_none,)


def _folders(root: Path) -> list[Path]:
    return [root, *sorted((path for path in root.iterdir() if path.is_dir()), key=natural_order)]
