"""All formats by id: those of masklet, and those that other packages register.

A package adds a format by an entry point in its pyproject.toml, whose object is a `Format`:

    [project.entry-points."masklet.formats"]
    my-format = "my_package.my_module:MY_FORMAT"

Code that is not a package calls `register_format`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from masklet.errors import ConfigError
from masklet.formats.base import Format
from masklet.formats.coco import COCO
from masklet.formats.mot import MOT, MOTS
from masklet.formats.overlay import OVERLAY
from masklet.formats.pictures import CUTOUT, GIF
from masklet.formats.pngs import DAVIS, MASKS
from masklet.formats.sav import SAV
from masklet.formats.table import CSV
from masklet.formats.tracks import TRACKS
from masklet.formats.volumes import NIFTI, TIFF
from masklet.formats.yolo import YOLO_BOXES, YOLO_SEGMENT

ENTRY_POINTS = "masklet.formats"
"""Group of the entry points by which other packages register formats."""


class FormatRegistry(Mapping[str, Format[Any]]):
    """The formats by id; the entry points of other packages are loaded on first use."""

    def __init__(self, formats: tuple[Format[Any], ...]) -> None:
        self._formats = {format_.id: format_ for format_ in formats}
        self._are_entry_points_loaded = False

    def register(self, format_: Format[Any]) -> Format[Any]:
        """Add a format, and return it.

        Raises:
            ConfigError: it is not a `Format`, or its id is taken.
        """
        self._load_entry_points()
        self._add(format_)
        return format_

    def _add(self, format_: Format[Any]) -> None:
        if not isinstance(format_, Format):
            raise ConfigError(f"a format must be a masklet.formats.Format, got {type(format_).__name__}")
        if format_.id in self._formats:
            raise ConfigError(f"format id {format_.id!r} is taken: choose another id")
        self._formats[format_.id] = format_

    def _load_entry_points(self) -> None:
        if self._are_entry_points_loaded:
            return
        self._are_entry_points_loaded = True
        for entry_point in entry_points(group=ENTRY_POINTS):
            try:
                self._add(entry_point.load())
            except Exception as error:  # noqa: PERF203 (a broken package must not disable the other formats)
                warnings.warn(f"the format {entry_point.name} ({entry_point.value}) is left out: {error}", stacklevel=2)

    def __getitem__(self, format_id: str) -> Format[Any]:
        self._load_entry_points()
        return self._formats[format_id]

    def __iter__(self) -> Iterator[str]:
        self._load_entry_points()
        return iter(list(self._formats))

    def __len__(self) -> int:
        self._load_entry_points()
        return len(self._formats)


FORMATS = FormatRegistry(
    (COCO, MASKS, YOLO_SEGMENT, YOLO_BOXES, DAVIS, SAV, MOT, MOTS, CSV, TRACKS, OVERLAY, GIF, CUTOUT, TIFF, NIFTI),
)
"""All formats by id."""


def register_format(format_: Format[Any]) -> Format[Any]:
    """Add a format for this process, and return it.

    Raises:
        ConfigError: it is not a `Format`, or its id is taken.
    """
    return FORMATS.register(format_)


def find_format(format_id: str) -> Format[Any]:
    """Return the format of this id.

    Raises:
        ConfigError: it does not exist; the message lists those that do.
    """
    if format_id not in FORMATS:
        raise ConfigError(f"unknown format {format_id!r}: choose from {', '.join(FORMATS)}")
    return FORMATS[format_id]


def live_formats() -> tuple[str, ...]:
    """Return the ids of the formats that can be written while tracking."""
    return tuple(format_id for format_id, format_ in FORMATS.items() if format_.is_live)
