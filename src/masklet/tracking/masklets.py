"""A medium and its masklets: what renders and exports are made of, wherever the masks are kept.

An image is a medium of one frame. Masks stay run-length encoded and are read frame by frame, so that an hour of video
takes no more memory than a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from masklet.errors import ConfigError, DataError
from masklet.masks.drawing import Color, color_of
from masklet.media.base import FrameSource
from masklet.prompts import Prompt
from masklet.records import BoolArray
from masklet.tracking.mask_rows import MaskRow, given_row
from masklet.tracking.mask_store import MaskStore

__all__ = ["LabelledMedium", "MaskRows", "Masklets", "ObjectInfo", "color_text", "medium_name", "parse_color"]

DEFAULT_CLASS = "object"
"""The class of objects that have none."""


def parse_color(text: str) -> Color:
    """RGB of "#rrggbb".

    Raises:
        ConfigError: it is no such text.
    """
    if not isinstance(text, str) or re.fullmatch(r"#[0-9a-fA-F]{6}", text) is None:
        raise ConfigError(f'a colour must be "#rrggbb", such as "#ff8800", got {text!r}')
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def color_text(color: Color) -> str:
    """ "#rrggbb" of RGB."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object besides its masks."""

    object_id: int
    name: str = ""
    """Of this very one: "Anna". May be empty."""
    class_name: str = ""
    """The kind of thing: "person". May be empty."""
    color: Color | None = None
    """RGB; None means the one that overlays have for its id."""

    @property
    def category(self) -> str:
        """The class that files which need one are given."""
        return self.class_name or DEFAULT_CLASS

    @property
    def shown_color(self) -> Color:
        return self.color or color_of(self.object_id)


def medium_name(source_name: str) -> str:
    """Return the name of a video for files: that of its file or folder, without suffixes such as .mp4 or .nii.gz."""
    return Path(source_name).stem.removesuffix(".nii") or "video"


class MaskRows(Protocol):
    """Where masks are kept; a `MaskStore` is one."""

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        """All that is known of a frame, by object id."""
        ...

    def frames(self) -> tuple[int, int] | None:
        """The first and the last frame of which something is known."""
        ...


@dataclass(frozen=True, slots=True)
class Masklets:
    """Some objects, with their masks on every frame."""

    rows: MaskRows
    objects: tuple[ObjectInfo, ...]
    """By ascending id; rows of others are passed over."""
    only_accepted: bool = False
    """Pass over what no user has accepted."""
    _ids: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", frozenset(one.object_id for one in self.objects))

    @classmethod
    def of_masks(cls, masks: Mapping[int, Mapping[int, BoolArray]], objects: Iterable[ObjectInfo] = ()) -> Masklets:
        """Masks that are in memory.

        Args:
            masks: by frame index and object id, each (H, W).
            objects: names, classes and colours; objects that are not listed have none.
        """
        store = MaskStore()
        known = {one.object_id: one for one in objects}
        for frame_index, by_object in masks.items():
            store.write(given_row(frame_index, object_id, mask) for object_id, mask in by_object.items())
            for object_id in by_object:
                known.setdefault(object_id, ObjectInfo(object_id))
        return cls(store, tuple(known[object_id] for object_id in sorted(known)))

    def only(self, object_ids: Iterable[int] | None = None, *, accepted: bool = False) -> Masklets:
        """Some of them.

        Args:
            object_ids: which; all when None.
            accepted: what a user has accepted, and nothing else.

        Raises:
            DataError: an object is unknown.
        """
        objects = self.objects
        if object_ids is not None:
            wanted = set(object_ids)
            if unknown := wanted - self._ids:
                known = ", ".join(str(one.object_id) for one in self.objects) or "none"
                raise DataError(f"object {min(unknown)} is unknown: known are {known}")
            objects = tuple(one for one in objects if one.object_id in wanted)
        return replace(self, objects=objects, only_accepted=self.only_accepted or accepted)

    def at(self, frame_index: int) -> list[MaskRow]:
        """What is known of a frame, by object id; an absent object has an empty mask."""
        return [
            row
            for row in self.rows.frame(frame_index)
            if row.object_id in self._ids and (row.accepted or not self.only_accepted)
        ]

    def masks_at(self, frame_index: int) -> dict[int, BoolArray]:
        """(H, W) masks of a frame by object id."""
        return {row.object_id: row.mask for row in self.at(frame_index)}

    def span(self) -> range:
        """From the first frame of which something is known to the last; there may be gaps."""
        found = self.rows.frames()
        return range(0) if found is None else range(found[0], found[1] + 1)

    def info(self, object_id: int) -> ObjectInfo:
        """What is known of an object."""
        return next((one for one in self.objects if one.object_id == object_id), ObjectInfo(object_id))


@dataclass(frozen=True, slots=True)
class LabelledMedium:
    """An image or a video, and its masklets."""

    name: str
    """For files: no folder and no suffix. Media that are exported together need different ones."""
    source: FrameSource
    masklets: Masklets
    is_image: bool = False
    file_name: str = ""
    """The original's, for formats that point to it."""
    prompts: Mapping[int, Mapping[int, Prompt]] = field(default_factory=dict)
    """Clicks, boxes and masks by frame index and object id, for overlays that show them."""
