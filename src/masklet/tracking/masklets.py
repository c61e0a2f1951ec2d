"""A medium and its masklets, as renders and exports read them, wherever the masks are kept.

An image is a medium of one frame. Masks stay run-length encoded and are read frame by frame, so that an hour of video
takes no more memory than a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from masklet.checks import check_flag, check_whole, set_checked
from masklet.errors import ConfigError, DataError
from masklet.masks.drawing import Color, color_of
from masklet.media.base import FrameSource
from masklet.prompts import Prompt
from masklet.records import BoolArray
from masklet.tracking.mask_rows import MaskRow, given_row
from masklet.tracking.mask_store import MaskStore

__all__ = ["LabelledMedium", "MaskRows", "Masklets", "ObjectInfo", "color_text", "medium_name", "parse_color"]

DEFAULT_CLASS = "object"
"""Class of objects for which none was given."""


def parse_color(text: str) -> Color:
    """Return the RGB values of "#rrggbb".

    Raises:
        ConfigError: the text is not such a colour.
    """
    if not isinstance(text, str) or re.fullmatch(r"#[0-9a-fA-F]{6}", text) is None:
        raise ConfigError(f'a colour must be "#rrggbb", such as "#ff8800", got {text!r}')
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def color_text(color: Color) -> str:
    """Return RGB values as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Name, class and colour of an object."""

    object_id: int
    name: str = ""
    """Name of this object, as "Anna". May be empty."""
    class_name: str = ""
    """Kind of object, as "person". May be empty."""
    color: Color | None = None
    """RGB; None is the colour that overlays have for its id."""

    def __post_init__(self) -> None:
        set_checked(self, ["object_id"], check_whole, error=DataError)

    @property
    def category(self) -> str:
        """The class, or `DEFAULT_CLASS` for files that need one."""
        return self.class_name or DEFAULT_CLASS

    @property
    def shown_color(self) -> Color:
        """The colour, or the one that overlays have for the object's id."""
        return self.color or color_of(self.object_id)


def medium_name(source_name: str) -> str:
    """Return the name of a video for files: that of its file or folder, without suffixes such as .mp4 or .nii.gz."""
    return Path(source_name).stem.removesuffix(".nii") or "video"


class MaskRows(Protocol):
    """Rows of masks by frame, wherever they are kept; a `MaskStore` is one."""

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        """Return all masks of a frame, by object id."""
        ...

    def frames(self) -> tuple[int, int] | None:
        """Return the first and the last frame with a mask; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Masklets:
    """Objects with their masks on every frame."""

    rows: MaskRows
    objects: tuple[ObjectInfo, ...]
    """Objects by ascending id; rows of other objects are ignored."""
    only_accepted: bool = False
    """Ignore masks that no user has accepted."""
    _ids: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", frozenset(info.object_id for info in self.objects))

    @classmethod
    def of_masks(cls, masks: Mapping[int, Mapping[int, BoolArray]], objects: Iterable[ObjectInfo] = ()) -> Masklets:
        """Make masklets of masks that are in memory.

        Args:
            masks: by frame index and object id, each (H, W); see `masklet.masks.foreground.foreground_of`.
            objects: names, classes and colours; objects that are not listed have none.
        """
        store = MaskStore()
        infos = {info.object_id: info for info in objects}
        for frame_index, by_object in masks.items():
            rows = [given_row(frame_index, object_id, mask) for object_id, mask in by_object.items()]
            store.write(rows)
            for row in rows:
                infos.setdefault(row.object_id, ObjectInfo(row.object_id))
        return cls(store, tuple(infos[object_id] for object_id in sorted(infos)))

    def only(self, object_ids: Iterable[int] | None = None, *, accepted: bool = False) -> Masklets:
        """Return the masklets of some objects.

        Args:
            object_ids: ids of the objects to keep; all when None.
            accepted: keep only masks that a user has accepted.

        Raises:
            DataError: an object is unknown.
        """
        objects = self.objects
        if object_ids is not None:
            selected = {check_whole("object_ids", object_id, error=DataError) for object_id in object_ids}
            if unknown := selected - self._ids:
                known_ids = ", ".join(str(info.object_id) for info in self.objects) or "none"
                raise DataError(f"object {min(unknown)} is unknown: known are {known_ids}")
            objects = tuple(info for info in objects if info.object_id in selected)
        return replace(self, objects=objects, only_accepted=self.only_accepted or check_flag("accepted", accepted))

    def at(self, frame_index: int) -> list[MaskRow]:
        """Return the rows of a frame, by object id; an absent object has an empty mask."""
        return [
            row
            for row in self.rows.frame(frame_index)
            if row.object_id in self._ids and (row.accepted or not self.only_accepted)
        ]

    def masks_at(self, frame_index: int) -> dict[int, BoolArray]:
        """Return the (H, W) masks of a frame by object id."""
        return {row.object_id: row.mask for row in self.at(frame_index)}

    def span(self) -> range:
        """Return the range from the first frame with a mask to the last; there may be gaps."""
        ends = self.rows.frames()
        return range(0) if ends is None else range(ends[0], ends[1] + 1)

    def info(self, object_id: int) -> ObjectInfo:
        """Return name, class and colour of an object."""
        return next((info for info in self.objects if info.object_id == object_id), ObjectInfo(object_id))


@dataclass(frozen=True, slots=True)
class LabelledMedium:
    """An image or a video, and its masklets."""

    name: str
    """Name for files, without folder and suffix. Media that are exported together need different ones."""
    source: FrameSource
    masklets: Masklets
    is_image: bool = False
    file_name: str = ""
    """Name of the original file, for formats that refer to it."""
    prompts: Mapping[int, Mapping[int, Prompt]] = field(default_factory=dict)
    """Clicks, boxes and masks by frame index and object id, for overlays that show them."""
