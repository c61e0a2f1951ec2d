"""Conversion from any layout to another.

The new data set is written to a temporary folder next to its target and renamed when complete. Never overwrites.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from masklet.datasets.open import ALIASES
from masklet.datasets.records import MAX_OBJECT_ID, ClipExample, Dataset, ImageExample, IndexedLabels, Labels
from masklet.datasets.sav import FPS, LABEL_STEP
from masklet.datasets.shards import INDEX_NAME, index_document
from masklet.errors import DataError, OutputError
from masklet.masks.indexed_png import indexed_png
from masklet.masks.operations import mask_box_xyxy
from masklet.masks.rle import encode_rle
from masklet.media.images import encode_jpeg, write_image
from masklet.output import holds_files, make_folder, unfinished_path
from masklet.records import BoolArray, ByteArray, Progress

JPEG_QUALITY = 95
"""JPEG quality of frames that had no file of their own."""
SAMPLES_PER_SHARD = 1000
SHARD_BYTES = 512 * 2**20
"""A shard ends at whichever comes first."""

"""Called with (examples done, examples in all, name)."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Result of a conversion."""

    path: Path
    images: int
    clips: int
    notes: tuple[str, ...]
    """Parts of the data that the new layout cannot hold."""


def convert_dataset(data: Dataset, out: str | Path, layout: str, *, progress: Progress | None = None) -> Converted:
    """Write a data set in another layout.

    a) Image files and frames are copied as they are where the layout takes them, else saved as JPEG.
    b) `folders` and `shards` hold everything. `davis` and `sa-v` hold clips only. `coco` and `sa-1b` hold images, and
       the labelled frames of clips one by one.
    c) One byte per pixel where objects do not overlap and ids fit, else one mask per object; `davis` has one byte
    only, so    there the smaller object is on top.

    Args:
        data: what to convert.
        out: a folder that does not exist, or is empty.
        layout: one of `LAYOUTS`.
        progress: called after each image and clip.

    Raises:
        OutputError: `out` exists and is not empty, or cannot be written.
        DataError: the data cannot be read, or the layout cannot hold it.
    """
    layout = ALIASES.get(layout, layout)
    if layout not in _WRITERS:
        raise DataError(f"cannot convert to layout {layout!r}: choose {', '.join(_WRITERS)}")
    out = Path(out)
    if out.is_symlink() or (out.exists() and (not out.is_dir() or holds_files(out))):
        raise OutputError(f"{out} exists, and a conversion never overwrites: choose another folder")
    make_folder(out.parent)
    temporary = make_folder(unfinished_path(out))
    try:
        writer = _WRITERS[layout](temporary)
        total, done = len(data.images) + len(data.clips), 0
        for examples in (data.images, data.clips):
            for example in examples:
                if isinstance(example, ImageExample):
                    writer.add_image(example)
                else:
                    writer.add_clip(example)
                done += 1
                if progress is not None:
                    progress(done, total, example.name)
        writer.finish()
        if out.is_dir():
            out.rmdir()  # it is empty
        temporary.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    notes = tuple(f"{text} ({count})" for text, count in writer.notes.items())
    return Converted(out, len(data.images), len(data.clips), notes)


class _DatasetWriter(ABC):
    """Writer of examples in one layout into a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: Counter[str] = Counter()
        self._taken: set[str] = set()

    @abstractmethod
    def add_image(self, image: ImageExample) -> None: ...

    @abstractmethod
    def add_clip(self, clip: ClipExample) -> None: ...

    def finish(self) -> None:  # noqa: B027 (most layouts have nothing to write at the end)
        """Write what belongs to all examples; called once, after the last one."""

    def unique_name(self, name: str, where: str) -> str:
        """Return the name, after checking that no other example has it."""
        if name in self._taken:
            raise DataError(f"{where}: a second example would be called {name!r} in the new layout")
        self._taken.add(name)
        return name


class _FoldersWriter(_DatasetWriter):
    def add_image(self, image: ImageExample) -> None:
        folder = self.root / image.source
        stem = self.unique_name(f"{image.source}/{_stem(image.name, image.source)}", image.where).removeprefix(
            image.source + "/"
        )
        _write_file(folder / "images", stem, _picture(image))
        _write_masks(folder / "masks", stem, image.read_labels())

    def add_clip(self, clip: ClipExample) -> None:
        folder = self.root / self.unique_name(_flat_name(clip.name), clip.where)
        for index, picture in _pictures(clip):
            _write_file(folder / "frames", f"{index:05d}", picture)
        for index in clip.labelled_frames:
            _write_masks(folder / "masks", f"{index:05d}", clip.read_labels(index))


class _DavisWriter(_DatasetWriter):
    def add_image(self, image: ImageExample) -> None:
        raise DataError(f"{image.where} is an image, and the layout davis holds clips: choose folders, coco or shards")

    def add_clip(self, clip: ClipExample) -> None:
        name = self.unique_name(_flat_name(clip.name), clip.where)
        for index, picture in _pictures(clip):
            _write_file(self.root / "JPEGImages" / name, f"{index:05d}", picture)
        folder = make_folder(self.root / "Annotations" / name)
        for index in clip.labelled_frames:
            labels = clip.read_labels(index)
            if not _fits_one_byte(labels):
                self.notes["frames in which objects overlap: the smaller one is on top"] += 1
            (folder / f"{index:05d}.png").write_bytes(indexed_png(labels.flat()))

    def finish(self) -> None:
        folder = make_folder(self.root / "ImageSets" / "2017")
        (folder / "all.txt").write_text("".join(f"{name}\n" for name in sorted(self._taken)), encoding="utf-8")


class _Sa1bWriter(_DatasetWriter):
    def add_image(self, image: ImageExample) -> None:
        self._add(image.name, image.where, _picture(image), image.read_labels())

    def add_clip(self, clip: ClipExample) -> None:
        for name, where, picture, labels in _labelled_frames(clip):
            self._add(name, where, picture, labels)

    def _add(self, name: str, where: str, picture: tuple[bytes, str], labels: Labels) -> None:
        stem = self.unique_name(_flat_name(name), where)
        _write_file(self.root, stem, picture)
        document = _sa1b_document(labels, stem + picture[1], len(self._taken))
        (self.root / f"{stem}.json").write_text(json.dumps(document), encoding="utf-8")


class _CocoWriter(_DatasetWriter):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}

    def add_image(self, image: ImageExample) -> None:
        self._add(image.name, image.where, _picture(image), image.read_labels(), {})

    def add_clip(self, clip: ClipExample) -> None:
        for name, where, picture, labels in _labelled_frames(clip):
            self._add(name, where, picture, labels, {object_id: object_id for object_id in labels.object_ids})

    def _add(self, name: str, where: str, picture: tuple[bytes, str], labels: Labels, tracks: dict[int, int]) -> None:
        stem = self.unique_name(_flat_name(name), where)
        _write_file(self.root / "images", stem, picture)
        height, width = labels.size_hw
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "file_name": stem + picture[1], "height": height, "width": width})
        for object_id in labels.object_ids:
            category = getattr(labels, "categories", {}).get(object_id, "object")
            extra = {"track_id": tracks[object_id]} if object_id in tracks else {}
            self._annotate(image_id, labels.mask(object_id), category, iscrowd=0, **extra)
        if labels.void is not None:
            self._annotate(image_id, labels.void, "object", iscrowd=1)

    def _annotate(self, image_id: int, mask: BoolArray, category: str, **extra: int) -> None:
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,
                "image_id": image_id,
                "category_id": self._categories.setdefault(category, len(self._categories) + 1),
                **_shape_of(mask),
                **extra,
            }
        )

    def finish(self) -> None:
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        document = {"images": self._images, "annotations": self._annotations, "categories": categories}
        path = make_folder(self.root / "annotations") / "instances_all.json"
        path.write_text(json.dumps(document), encoding="utf-8")


class _SavWriter(_DatasetWriter):
    def add_image(self, image: ImageExample) -> None:
        raise DataError(f"{image.where} is an image, and the layout sa-v holds videos: choose sa-1b, coco or shards")

    def add_clip(self, clip: ClipExample) -> None:
        name = self.unique_name(_flat_name(clip.name), clip.where)
        indices = list(range(0, clip.num_frames, LABEL_STEP))
        if missing := [index for index in indices if index not in set(clip.labelled_frames)]:
            raise DataError(
                f"{clip.where}: SA-V labels every {LABEL_STEP}th frame, and frame {missing[0]} has no labels here"
            )
        if len(clip.labelled_frames) > len(indices):
            self.notes["clips labelled more often than every fourth frame: the labels in between are left out"] += 1
        height, width = _write_video(self.root / f"{name}.mp4", clip)
        frames = [clip.read_labels(index) for index in indices]
        if any(labels.void is not None for labels in frames):
            self.notes["clips with void, which SA-V does not have: it is background now"] += 1
        object_ids = sorted({object_id for labels in frames for object_id in labels.object_ids})
        masklet = [
            [encode_rle(labels.mask(object_id)[:height, :width]) for object_id in object_ids] for labels in frames
        ]
        first_seen = [
            next(row for row, labels in enumerate(frames) if object_id in labels.object_ids) for object_id in object_ids
        ]
        document = {
            "video_id": name,
            "video_duration": clip.num_frames / FPS,
            "video_frame_count": float(clip.num_frames),
            "video_height": float(height),
            "video_width": float(width),
            "video_resolution": float(height * width),
            "masklet": masklet,
            "masklet_id": [object_id - 1 for object_id in object_ids],
            "masklet_num": len(object_ids),
            "masklet_frame_count": [len(indices)] * len(object_ids),
            "masklet_first_appeared_frame": [float(row) for row in first_seen],
            "masklet_type": "manual",
        }
        (self.root / f"{name}_manual.json").write_text(json.dumps(document), encoding="utf-8")


class _ShardsWriter(_DatasetWriter):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._archive: tarfile.TarFile | None = None
        self._counts: dict[str, int] = {}
        self._samples = self._bytes = 0
        self._holds_clips = False

    def add_image(self, image: ImageExample) -> None:
        key = self.unique_name(_flat_name(image.name).replace(".", "_"), image.where)
        data, suffix = _picture(image)
        self._open(clips=False)
        self._put(f"{key}{suffix}", data)
        self._put_labels(key, suffix, image.read_labels())
        self._counts[self._shard_name()] += 1

    def add_clip(self, clip: ClipExample) -> None:
        key = self.unique_name(_flat_name(clip.name).replace(".", "_"), clip.where)
        labelled = set(clip.labelled_frames)
        self._open(clips=True)
        for index, (data, suffix) in _pictures(clip):
            self._put(f"{key}.{index:05d}{suffix}", data)
            if index in labelled:
                self._put_labels(f"{key}.{index:05d}", suffix, clip.read_labels(index))

    def finish(self) -> None:
        if self._archive is not None:
            self._archive.close()
        (self.root / INDEX_NAME).write_text(index_document(self._counts), encoding="utf-8")

    def _shard_name(self) -> str:
        return f"{len(self._counts) - 1:06d}.tar"

    def _open(self, *, clips: bool) -> None:
        """Images and clips have shards of their own."""
        full = self._samples >= SAMPLES_PER_SHARD or self._bytes >= SHARD_BYTES
        if self._archive is None or full or clips != self._holds_clips:
            if self._archive is not None:
                self._archive.close()
            self._counts[f"{len(self._counts):06d}.tar"] = 0
            self._archive = tarfile.open(self.root / self._shard_name(), "w")  # noqa: SIM115 (closed in finish)
            self._samples = self._bytes = 0
            self._holds_clips = clips
        self._samples += 1

    def _put(self, name: str, data: bytes) -> None:
        assert self._archive is not None  # `_open` was called before
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._bytes += len(data)
        self._archive.addfile(info, io.BytesIO(data))

    def _put_labels(self, key: str, image_suffix: str, labels: Labels) -> None:
        if _fits_one_byte(labels):
            self._put(f"{key}.mask.png" if image_suffix == ".png" else f"{key}.png", indexed_png(labels.flat()))
        else:
            document = _sa1b_document(labels, key + image_suffix, len(self._taken))
            self._put(f"{key}.json", json.dumps(document).encode())


_WRITERS: dict[str, Callable[[Path], _DatasetWriter]] = {
    "folders": _FoldersWriter,
    "davis": _DavisWriter,
    "coco": _CocoWriter,
    "sa-1b": _Sa1bWriter,
    "sa-v": _SavWriter,
    "shards": _ShardsWriter,
}


def _flat_name(name: str) -> str:
    return name.replace("/", "_")


def _stem(name: str, source: str) -> str:
    return _flat_name(name.removeprefix(f"{source}/"))


def _picture(image: ImageExample) -> tuple[bytes, str]:
    return image.encoded() or _jpeg(image.read_rgb())


def _pictures(clip: ClipExample) -> Iterator[tuple[int, tuple[bytes, str]]]:
    """All frames of a clip, encoded."""
    if clip.num_frames and clip.encoded(0) is not None:
        for index in range(clip.num_frames):
            yield index, clip.encoded(index) or _jpeg(clip.read_frames([index])[0])
        return
    with clip.open_frames() as source:
        for frame in source.frames():
            yield frame.index, _jpeg(frame.rgb)


def _labelled_frames(clip: ClipExample) -> Iterator[tuple[str, str, tuple[bytes, str], Labels]]:
    """The labelled frames of a clip as images: name, file for messages, encoded, labels."""
    labelled = set(clip.labelled_frames)
    for index, picture in _pictures(clip):
        if index in labelled:
            yield f"{clip.name}/{index:05d}", clip.label_where(index), picture, clip.read_labels(index)


def _jpeg(rgb: ByteArray) -> tuple[bytes, str]:
    return encode_jpeg(rgb, JPEG_QUALITY), ".jpg"


def _write_file(folder: Path, stem: str, picture: tuple[bytes, str]) -> None:
    data, suffix = picture
    (make_folder(folder) / f"{stem}{suffix}").write_bytes(data)


def _write_masks(folder: Path, stem: str, labels: Labels) -> None:
    """Write one indexed PNG where that holds everything, else one PNG per object."""
    if _fits_one_byte(labels):
        (make_folder(folder) / f"{stem}.png").write_bytes(indexed_png(labels.flat()))
        return
    object_folder = make_folder(folder / stem)
    masks = {str(object_id): labels.mask(object_id) for object_id in labels.object_ids}
    if labels.void is not None:
        masks["void"] = labels.void
    for name, mask in masks.items():
        write_image(object_folder / f"{name}.png", mask)


def _fits_one_byte(labels: Labels) -> bool:
    """Return whether no pixel belongs to two objects and no id is above 254."""
    if isinstance(labels, IndexedLabels):
        return True
    if max(labels.object_ids, default=0) > MAX_OBJECT_ID:
        return False
    taken = np.zeros(labels.size_hw, np.bool_) if labels.void is None else labels.void.copy()
    for object_id in labels.object_ids:
        mask = labels.mask(object_id)
        if (taken & mask).any():
            return False
        taken |= mask
    return True


def _shape_of(mask: BoolArray) -> dict[str, Any]:
    """Return segmentation, area and box (x, y, width, height) in COCO's form."""
    box = mask_box_xyxy(mask)
    x0, y0, x1, y1 = (0.0, 0.0, 0.0, 0.0) if box is None else box.tolist()
    area = int(np.count_nonzero(mask))
    return {"segmentation": encode_rle(mask), "area": area, "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _sa1b_document(labels: Labels, file_name: str, number: int) -> dict[str, Any]:
    height, width = labels.size_hw
    annotations = [{"id": object_id, **_shape_of(labels.mask(object_id))} for object_id in labels.object_ids]
    image = {"image_id": number, "width": width, "height": height, "file_name": file_name}
    document: dict[str, Any] = {"image": image, "annotations": annotations}
    if labels.void is not None:
        document["void"] = encode_rle(labels.void)
    return document


def _write_video(path: Path, clip: ClipExample) -> tuple[int, int]:
    """Write H.264 at 24 frames per second; an odd last row or column is left out, since 4:2:0 needs even sides.

    Returns:
        Height and width.
    """
    size = (0, 0)
    with av.open(str(path), "w") as output, clip.open_frames() as source:
        stream = output.add_stream("libx264", rate=Fraction(int(FPS)), options={"crf": "12", "preset": "fast"})
        for frame in source.frames():
            height, width = (side - side % 2 for side in frame.rgb.shape[:2])
            if size == (0, 0):
                size = (height, width)
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.rgb[:height, :width]), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return size
