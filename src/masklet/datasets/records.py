"""Records of every layout: images and clips that are read on demand, with their true objects."""

from __future__ import annotations

import bisect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, overload

import numpy as np

from masklet.errors import DataError
from masklet.masks.rle import CocoRle, decode_rle
from masklet.media.base import FrameSource
from masklet.records import BoolArray, ByteArray

VOID = 255
"""Value of unjudged pixels in an indexed mask."""
MAX_OBJECT_ID = 254
"""Largest id in an indexed mask."""
MAX_SHARED = 0.02
"""Largest part of an object that others may cover for it to count as apart from them."""


class Labels(ABC):
    """The true objects of one image, which may overlap, and its unjudged pixels."""

    @property
    @abstractmethod
    def size_hw(self) -> tuple[int, int]: ...

    @property
    @abstractmethod
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects that have a pixel in this image, ascending."""

    @property
    @abstractmethod
    def void(self) -> BoolArray | None:
        """Mask (H, W) of unjudged pixels, or None when every pixel is judged."""

    @abstractmethod
    def mask(self, object_id: int) -> BoolArray:
        """Return the mask (H, W) of one object; all False when it is not in this image."""

    @abstractmethod
    def areas(self) -> dict[int, int]:
        """Return the number of pixels by object id."""

    @abstractmethod
    def flat(self) -> ByteArray:
        """Return (H, W) ids: 0 background, 1 to 254 objects, `VOID`. Where objects overlap, the smaller is on top.

        Raises:
            DataError: an id is above 254.
        """

    @abstractmethod
    def apart(self, rng: np.random.Generator, max_objects: int = 16) -> ByteArray:
        """Return ids as `flat` does, for a random choice of objects that do not overlap, so that each is whole.

        Where a data set labels objects and their parts, one draw has the object and another its parts. Objects that
        are left out become background: for training, which asks only for the objects drawn.

        Args:
            rng: generator of the choice.
            max_objects: most objects where they may overlap; where they cannot, all are kept with their ids.
        """


@dataclass(frozen=True, slots=True)
class IndexedLabels(Labels):
    """Objects that do not overlap: each pixel has at most one."""

    ids: ByteArray
    """(H, W), 0 background, 1 to 254 objects, `VOID`."""

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.ids.shape[0], self.ids.shape[1]

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self.areas())

    @property
    def void(self) -> BoolArray | None:
        void: BoolArray = self.ids == VOID
        return void if void.any() else None

    def mask(self, object_id: int) -> BoolArray:
        mask: BoolArray = self.ids == object_id
        return mask

    def areas(self) -> dict[int, int]:
        counts = np.bincount(self.ids.ravel(), minlength=VOID + 1)[: MAX_OBJECT_ID + 1]
        return {int(object_id): int(counts[object_id]) for object_id in np.flatnonzero(counts) if object_id}

    def flat(self) -> ByteArray:
        return self.ids

    def apart(self, rng: np.random.Generator, max_objects: int = 16) -> ByteArray:
        return self.ids


@dataclass(frozen=True, slots=True)
class MaskLabels(Labels):
    """Objects with a mask each, which may overlap; a mask is decoded when it is read."""

    size: tuple[int, int]
    """(H, W)"""
    masks: Mapping[int, BoolArray | CocoRle]
    """Masks by object id, ascending, without empty ones, which the reader of the layout leaves out."""
    void_mask: BoolArray | None = None
    where: str = ""
    """File (and frame) for messages."""
    categories: Mapping[int, str] = field(default_factory=dict)
    """Name of the category by object id, where the data set has categories."""

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.size

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self.masks)

    @property
    def void(self) -> BoolArray | None:
        return self.void_mask

    def mask(self, object_id: int) -> BoolArray:
        mask_or_rle = self.masks.get(object_id)
        if mask_or_rle is None:
            return np.zeros(self.size, np.bool_)
        if isinstance(mask_or_rle, np.ndarray):
            return mask_or_rle
        try:
            return decode_rle(mask_or_rle, self.size)
        except DataError as error:
            raise DataError(f"{self.where}, object {object_id}: {error}", error.fault) from error

    def areas(self) -> dict[int, int]:
        return {object_id: int(np.count_nonzero(self.mask(object_id))) for object_id in self.masks}

    def flat(self) -> ByteArray:
        largest = max(self.masks, default=0)
        if largest > MAX_OBJECT_ID:
            raise DataError(
                f"{self.where} has object id {largest}, and one byte per pixel holds 1 to {MAX_OBJECT_ID}: "
                "renumber the objects, or keep one mask per object",
                "more than 255 objects",
            )
        ids = np.zeros(self.size, np.uint8)
        if self.void_mask is not None:
            ids[self.void_mask] = VOID
        areas = self.areas()
        for object_id in sorted(areas, key=lambda key: -areas[key]):
            ids[self.mask(object_id)] = object_id
        return ids

    def apart(self, rng: np.random.Generator, max_objects: int = 16) -> ByteArray:
        return _paint(self, _choose_apart(self, rng, max_objects))


def flatten_alike(frames: Sequence[Labels], rng: np.random.Generator, max_objects: int = 16) -> list[ByteArray]:
    """Apply `Labels.apart` to the frames of a clip, with one choice of objects that keep their ids.

    Args:
        frames: at least one; the choice is made on the first.
        rng: generator of the choice.
        max_objects: most objects where they may overlap.
    """
    if all(isinstance(labels, IndexedLabels) for labels in frames):
        return [labels.flat() for labels in frames]
    object_ids = _choose_apart(frames[0], rng, max_objects)
    return [_paint(labels, object_ids) for labels in frames]


def _choose_apart(labels: Labels, rng: np.random.Generator, max_objects: int) -> list[int]:
    """Return the ids of random objects that hardly overlap."""
    taken = np.zeros(labels.size_hw, np.bool_, order="F")  # the order of a decoded RLE: faster to combine
    object_ids: list[int] = []
    for object_id in rng.permutation(labels.object_ids).tolist():
        mask = labels.mask(object_id)
        if np.count_nonzero(mask & taken) <= MAX_SHARED * np.count_nonzero(mask):
            object_ids.append(object_id)
            taken |= mask
        if len(object_ids) == min(max_objects, MAX_OBJECT_ID):
            break
    return object_ids


def _paint(labels: Labels, object_ids: Sequence[int]) -> ByteArray:
    """Return (H, W) ids with the objects numbered from 1 in the order of `object_ids`."""
    ids = np.zeros(labels.size_hw, np.uint8)
    if labels.void is not None:
        ids[labels.void] = VOID
    for number, object_id in enumerate(object_ids, start=1):
        ids[labels.mask(object_id)] = number
    return ids


class ImageExample(ABC):
    """One image and its true objects."""

    name: str
    """Unique in its data set."""
    source: str
    """The part of the data set that it comes from, such as its folder: one row of a report, one weight in training."""

    @property
    @abstractmethod
    def where(self) -> str:
        """The file, for messages."""

    @abstractmethod
    def read_rgb(self) -> ByteArray:
        """Return the image, (H, W, 3) uint8 RGB, upright.

        Raises:
            DataError: the image cannot be read.
        """

    @abstractmethod
    def read_labels(self) -> Labels:
        """Return the true objects.

        Raises:
            DataError: they cannot be read.
        """

    def encoded(self) -> tuple[bytes, str] | None:
        """Return the unchanged bytes of the image's file and its suffix, for lossless copies; None without a file."""
        return None

    def read(self) -> tuple[ByteArray, Labels]:
        """Return image and objects.

        Raises:
            DataError: one of them cannot be read, or their sizes differ.
        """
        rgb, labels = self.read_rgb(), self.read_labels()
        check_aligned(self.where, rgb, labels)
        return rgb, labels


class ClipExample(ABC):
    """One video, with the true objects of all or some of its frames."""

    name: str
    """Unique in its data set."""
    source: str
    """The part of the data set that it comes from."""
    num_frames: int
    labelled_frames: tuple[int, ...]
    """Frame indices, ascending. A frame that is not among them was not judged; its objects are unknown."""
    fps: float

    @property
    @abstractmethod
    def where(self) -> str:
        """The file or folder, for messages."""

    @abstractmethod
    def open_frames(self) -> FrameSource:
        """Open all frames, in order of time, for a tracker; the result is a context manager.

        Raises:
            VideoError: they cannot be read.
        """

    @abstractmethod
    def read_frames(self, frame_indices: Sequence[int]) -> list[ByteArray]:
        """Return the frames, (H, W, 3) uint8 RGB each, in the order of `frame_indices`.

        Raises:
            DataError: a frame cannot be read.
        """

    @abstractmethod
    def read_labels(self, frame_index: int) -> Labels:
        """Return the true objects of one of the `labelled_frames`.

        Raises:
            DataError: they cannot be read.
        """

    def encoded(self, frame_index: int) -> tuple[bytes, str] | None:
        """Return the unchanged bytes of one frame's file and its suffix; None when the frame is not a file."""
        return None

    def label_where(self, frame_index: int) -> str:
        """Return the file with the objects of one labelled frame, for messages."""
        return f"{self.where}, frame {frame_index}"

    def read(self, frame_indices: Sequence[int]) -> list[tuple[ByteArray, Labels]]:
        """Return labelled frames with their objects, in the order of `frame_indices`.

        Raises:
            DataError: a file cannot be read, or sizes differ.
        """
        pairs = [
            (rgb, self.read_labels(frame_index))
            for rgb, frame_index in zip(self.read_frames(frame_indices), frame_indices, strict=True)
        ]
        for (rgb, labels), frame_index in zip(pairs, frame_indices, strict=True):
            check_aligned(self.label_where(frame_index), rgb, labels)
        return pairs

    def first_seen(self) -> dict[int, int]:
        """Return the first labelled frame of each object, by object id in order of appearance."""
        first_seen: dict[int, int] = {}
        for frame_index in self.labelled_frames:
            for object_id in self.read_labels(frame_index).object_ids:
                first_seen.setdefault(object_id, frame_index)
        return first_seen


T = TypeVar("T", ImageExample, ClipExample)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images, clips, or both."""

    root: Path
    layout: str
    """One of `masklet.datasets.LAYOUTS`."""
    images: Sequence[ImageExample] = ()
    clips: Sequence[ClipExample] = ()

    def sources(self) -> list[str]:
        """Return the names of its parts, in order."""
        return [*by_source(self.images), *by_source(self.clips)]

    def need_images(self) -> Sequence[ImageExample]:
        """The images.

        Raises:
            DataError: there is none.
        """
        return self._need(self.images, "images", f"{len(self.clips)} clips")

    def need_clips(self) -> Sequence[ClipExample]:
        """The clips.

        Raises:
            DataError: there is none.
        """
        return self._need(self.clips, "clips", f"{len(self.images)} images")

    def _need(self, examples: Sequence[T], kind: str, others: str) -> Sequence[T]:
        if not examples:
            raise DataError(f"{self.root} (layout {self.layout}) holds no {kind}, only {others}")
        return examples


class LazySequence(Sequence[Item]):
    """A sequence whose items are made on access; a subclass gives the length and makes an item."""

    @abstractmethod
    def _at(self, index: int) -> Item:
        """Return the item at an index from 0 to the length minus one."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        selected = range(len(self))[index]
        return [self._at(row) for row in selected] if isinstance(selected, range) else self._at(selected)


class Concatenated(LazySequence[T]):
    """The examples of several sources one after the other, made on access, since there may be millions."""

    def __init__(self, groups: Mapping[str, Sequence[T]]) -> None:
        self.groups: dict[str, Sequence[T]] = dict(groups)
        """Examples by source."""
        self._members: list[Sequence[T]] = list(self.groups.values())
        self._ends = list(itertools.accumulate(len(members) for members in self._members))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, index: int) -> T:
        row = bisect.bisect_right(self._ends, index)
        return self._members[row][index - self._ends[row]]  # negative: counted from the end of its group


def by_source(examples: Sequence[T]) -> dict[str, Sequence[T]]:
    """Group examples by their source, in order."""
    if isinstance(examples, Concatenated):
        return dict(examples.groups)
    groups: dict[str, list[T]] = {}
    for example in examples:
        groups.setdefault(example.source, []).append(example)
    return dict(groups)


def check_aligned(where: str, rgb: ByteArray, labels: Labels) -> None:
    """Compare an image's size with that of its masks.

    Raises:
        DataError: they differ.
    """
    if rgb.shape[:2] != labels.size_hw:
        raise size_error(where, labels.size_hw, (rgb.shape[0], rgb.shape[1]))


def size_error(where: str, mask_hw: tuple[int, int], image_hw: tuple[int, int]) -> DataError:
    """Return the error for a mask whose size is not that of its image."""
    return DataError(
        f"{where}: the mask is {mask_hw[1]} x {mask_hw[0]} (width x height), its image {image_hw[1]} x {image_hw[0]}: "
        "a mask must have the size of its image",
        "sizes differ",
    )
