"""WebDataset: tar files of samples, for sizes beyond one disk.

Files of one sample stand together and share their key, the name up to the first dot:

    000000.jpg 000000.png                   an image and its indexed mask
    000000.jpg 000000.json                  an image and SA-1B's JSON of RLE masks, which may overlap
    bear.00000.jpg bear.00000.png ...       a clip, frame by frame; a frame without mask is unlabelled

A tar is not compressed, so every file in it can be read by itself once its headers are known. That is what is done
here instead of streaming through a shuffle buffer: samples are drawn at random from a window of a few shards that
wanders over all of them (`ShardImages.pick`), which is a function of seed, rank and sample number, so that a training
resumes exactly and any number of ranks and workers share the work without communication. Headers are
read shard by shard, when one is first used; `shards.json`, which `masklet data convert` writes, has the number of
samples of each shard. Without it all headers are read once, at the start.
"""

from __future__ import annotations

import bisect
import itertools
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from masklet.datasets.files import decode_rgb, labels_of_ids, natural_order
from masklet.datasets.label_images import decode_ids
from masklet.datasets.records import (
    ClipExample,
    Concatenated,
    Dataset,
    ImageExample,
    Labels,
    LazySequence,
)
from masklet.datasets.sa1b import labels_from_json
from masklet.errors import DataError
from masklet.foreign.documents import parse_json, read_json
from masklet.media.base import DEFAULT_FPS, FrameSource
from masklet.media.source import ArraySource
from masklet.records import ByteArray

INDEX_NAME = "shards.json"
WINDOW = 8
"""Shards that samples are drawn from at a time, and whose headers are kept."""

_IMAGES = ("jpg", "jpeg", "png", "webp")
_LABELS = ("json", "mask.png", "seg.png", "png")


@dataclass(frozen=True, slots=True)
class Member:
    """Name, offset and size of one file in a shard."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file in a shard."""

    shard: Path
    member: Member

    @property
    def where(self) -> str:
        return f"{self.shard}/{self.member.name}"

    def read(self) -> bytes:
        """Raises DataError: the shard is gone or cut off."""
        try:
            with self.shard.open("rb") as file:
                file.seek(self.member.offset)
                data = file.read(self.member.size)
        except OSError as error:
            raise DataError(f"{self.shard} cannot be read: {error.strerror or error}", "cannot be read") from error
        if len(data) < self.member.size:
            raise DataError(f"{self.shard} is cut off in the middle of {self.member.name}: fetch it again")
        return data

    def read_labels(self) -> Labels:
        """Decode the file's masks; raises a DataError if it holds none."""
        if self.member.name.endswith(".json"):
            return labels_from_json(parse_json(self.read(), self.where))
        return labels_of_ids(decode_ids(self.read(), self.where), self.where)


@dataclass(frozen=True, slots=True)
class ShardImage(ImageExample):
    """An image and its masks in a shard."""

    name: str
    source: str
    image: ShardFile
    labels: ShardFile

    @property
    def where(self) -> str:
        return self.labels.where

    def encoded(self) -> tuple[bytes, str] | None:
        return self.image.read(), Path(self.image.member.name).suffix.lower()

    def read_rgb(self) -> ByteArray:
        return decode_rgb(self.image.read(), self.image.where)

    def read_labels(self) -> Labels:
        return self.labels.read_labels()


@dataclass(frozen=True, slots=True)
class ShardClip(ClipExample):
    """A clip in a shard."""

    name: str
    source: str
    frames: tuple[ShardFile, ...]
    labels: Mapping[int, ShardFile]
    """Label files by frame index, ascending."""
    fps: float = DEFAULT_FPS

    @property
    def num_frames(self) -> int:  # type: ignore[override]
        return len(self.frames)

    @property
    def labelled_frames(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self.labels)

    @property
    def where(self) -> str:
        return f"{self.frames[0].shard}/{self.name}"

    def label_where(self, frame_index: int) -> str:
        return self.labels[frame_index].where

    def encoded(self, frame_index: int) -> tuple[bytes, str] | None:
        file = self.frames[frame_index]
        return file.read(), Path(file.member.name).suffix.lower()

    def open_frames(self) -> FrameSource:
        return ArraySource(_Encoded(self.frames), fps=self.fps, name=self.where)

    def read_frames(self, frame_indices: Sequence[int]) -> list[ByteArray]:
        return [decode_rgb(self.frames[index].read(), self.frames[index].where) for index in frame_indices]

    def read_labels(self, frame_index: int) -> Labels:
        return self.labels[frame_index].read_labels()


class _Encoded(LazySequence[bytes]):
    """The files' contents, read when asked for."""

    def __init__(self, files: Sequence[ShardFile]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def _at(self, index: int) -> bytes:
        return self._files[index].read()


class ShardImages(LazySequence[ImageExample]):
    """The images of all shards; a shard's headers are read when one of its images is first asked for."""

    def __init__(self, shards: Sequence[Path], counts: Sequence[int], source: str) -> None:
        self._shards, self._source = list(shards), source
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, index: int) -> ImageExample:
        row = bisect.bisect_right(self._ends, index)
        images, _ = read_shard(self._shards[row], self._source)
        within = index - (self._ends[row - 1] if row else 0)
        if within >= len(images):
            raise DataError(f"{self._shards[row]} has {len(images)} images, fewer than {INDEX_NAME} says")
        return images[within]

    def pick(self, rng: np.random.Generator, stream: Sequence[int], number: int) -> int:
        """Return the index of a random image of the current window.

        Each stream has its own order of the shards. The window moves to the next shards after as many draws as it has
        images on average; with `WINDOW` shards or fewer, all of them are always in it.

        Args:
            rng: generator of the sample.
            stream: seed and rank.
            number: number of the sample in its stream.
        """
        if len(self._shards) <= WINDOW:
            return int(rng.integers(len(self)))
        step = number // max(1, WINDOW * len(self) // len(self._shards))
        windows = -(-len(self._shards) // WINDOW)
        turn, window = divmod(step, windows)
        order = np.random.default_rng([*stream, turn]).permutation(len(self._shards))
        rows = order[window * WINDOW : (window + 1) * WINDOW]
        starts = [self._ends[row - 1] if row else 0 for row in rows]
        sizes = np.array([self._ends[row] - start for row, start in zip(rows, starts, strict=True)])
        within = int(rng.integers(sizes.sum()))
        column = int(np.searchsorted(np.cumsum(sizes), within, side="right"))
        return starts[column] + within - int(sizes[:column].sum())


def recognise_shards(root: Path) -> bool:
    """Return whether a folder has tar files."""
    return next(root.glob("*.tar"), None) is not None


def open_shards(root: Path, *, split: str | None = None) -> Dataset:
    """Open a folder of tar files, or one of them.

    Args:
        root: the folder or file.
        split: beginning of the shards' names, or a folder of them.

    Raises:
        DataError: there are no shards, one is compressed, cut off or not a tar, or samples lack image or masks.
    """
    folder = root / split if split is not None and (root / split).is_dir() else root
    prefix = split if split is not None and folder == root else ""
    shards = [root] if root.is_file() else sorted(folder.glob(f"{prefix}*.tar"), key=natural_order)
    if not shards:
        raise DataError(
            f"{folder} holds no shards: expected {prefix}*.tar (tar.gz and other compression: unpack first)"
        )
    source = root.resolve().stem if root.is_file() else root.resolve().name
    counts = _announced(folder, shards) if folder.is_dir() else None
    clips: list[ClipExample] = []
    if counts is None:
        read = [read_shard(shard, source) for shard in shards]
        counts = [len(images) for images, _ in read]
        clips = [clip for _, shard_clips in read for clip in shard_clips]
    else:
        with_clips = [shard for shard, count in zip(shards, counts, strict=True) if not count]
        clips = [clip for shard in with_clips for clip in read_shard(shard, source)[1]]
    images: Sequence[ImageExample] = ()
    if sum(counts):
        images = Concatenated({source: ShardImages(shards, counts, source)})
    if not images and not clips:
        raise DataError(f"{folder}: its {len(shards)} shards are empty")
    return Dataset(root, "shards", images, clips)


def _announced(folder: Path, shards: Sequence[Path]) -> list[int] | None:
    """Return the number of images per shard from the index; None without an index or when it lacks a shard."""
    path = folder / INDEX_NAME
    if not path.is_file():
        return None
    images_by_shard = read_json(path).field("images")
    counts = [images_by_shard.get(shard.name) for shard in shards]
    if any(count is None for count in counts):
        return None
    return [count.whole() for count in counts if count is not None]


def index_document(counts: Mapping[str, int]) -> str:
    """Return the content of `shards.json`: the number of images by shard; 0 for shards of clips."""
    return json.dumps({"images": dict(counts)}, indent=1) + "\n"


@lru_cache(maxsize=4 * WINDOW)
def read_shard(shard: Path, source: str) -> tuple[tuple[ImageExample, ...], tuple[ClipExample, ...]]:
    """Return the samples of one shard, from its headers.

    Raises:
        DataError: it is not a tar, compressed, cut off, or a sample lacks its image or masks.
    """
    images: list[ImageExample] = []
    clips: list[ClipExample] = []
    members = _read_headers(shard)
    for key, group in itertools.groupby(members, key=lambda member: _split(member.name)[0]):
        files = {_split(member.name)[1]: ShardFile(shard, member) for member in group}
        if any(field.split(".")[0].isdigit() for field in files):
            clips.append(_clip(shard, source, key, files))
        else:
            images.append(_image(shard, source, key, files))
    return tuple(images), tuple(clips)


def _read_headers(shard: Path) -> list[Member]:
    members = []
    try:
        with tarfile.open(shard, "r:") as archive:
            members = [Member(info.name, info.offset_data, info.size) for info in archive if info.isfile()]
            end = archive.offset
        with shard.open("rb") as file:
            file.seek(end)
            rest = file.read(tarfile.BLOCKSIZE)
    except tarfile.ReadError as error:
        hint = "it is compressed: unpack it" if _is_compressed(shard) else "it is cut off, or not a tar: fetch it again"
        raise DataError(f"{shard} cannot be read as a shard ({error}): {hint}", "cannot be read") from error
    except OSError as error:
        raise DataError(f"{shard} cannot be read: {error.strerror or error}", "cannot be read") from error
    if not rest or any(rest):  # a whole archive ends in blocks of zeros
        raise DataError(f"{shard} is cut off after {members[-1].name if members else 'nothing'}: fetch it again")
    return members


def _is_compressed(shard: Path) -> bool:
    with shard.open("rb") as file:
        return file.read(4)[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5")


def _split(name: str) -> tuple[str, str]:
    """Return key and field, split at the first dot of the file name."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, field = base.partition(".")
    return f"{folder}{slash}{stem}", field.lower()


def _image(shard: Path, source: str, key: str, files: Mapping[str, ShardFile]) -> ShardImage:
    image = next((files[field] for field in _IMAGES if field in files), None)
    labels = next((files[field] for field in _LABELS if field in files and files[field] is not image), None)
    if image is None or labels is None:
        missing = f"image ({', '.join(_IMAGES)})" if image is None else f"masks ({', '.join(_LABELS)})"
        raise DataError(f"{shard}: the sample {key!r} has no {missing}: it has {', '.join(files)}")
    return ShardImage(key, source, image, labels)


def _clip(shard: Path, source: str, key: str, files: Mapping[str, ShardFile]) -> ShardClip:
    by_frame: dict[str, dict[str, ShardFile]] = {}
    for field, file in files.items():
        number, _, kind = field.partition(".")
        if number.isdigit():
            by_frame.setdefault(number, {})[kind] = file
    frames: list[ShardFile] = []
    labels: dict[int, ShardFile] = {}
    for index, number in enumerate(sorted(by_frame, key=int)):
        kinds = by_frame[number]
        image = next((kinds[kind] for kind in _IMAGES if kind in kinds), None)
        if image is None:
            raise DataError(f"{shard}: frame {number} of the clip {key!r} has no image: it has {', '.join(kinds)}")
        label = next((kinds[kind] for kind in _LABELS if kind in kinds and kinds[kind] is not image), None)
        frames.append(image)
        if label is not None:
            labels[index] = label
    return ShardClip(key, source, tuple(frames), labels)
