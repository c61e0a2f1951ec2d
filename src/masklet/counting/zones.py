"""Lines to cross and regions to enter, in source pixels, and the signed distances of points from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_numbers
from masklet.errors import ConfigError
from masklet.foreign.documents import clean_text

MAX_CORNERS = 1000
"""Most corners of a region."""
MAX_NAME = 60
"""Most characters of a name."""
MAX_COORDINATE = 1e6
"""Largest coordinate, in pixels, of either sign."""

Point = tuple[float, float]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be crossed, with an arrow from its start to its end.

    Seen along the arrow, objects go `in` from the right to the left, and `out` from the left to the right.
    Source: supervision 0.31, detection/line_zone.py `LineZone`.
    """

    name: str
    start_xy: Point
    end_xy: Point

    def __post_init__(self) -> None:
        _set_name(self)
        start, end = _points(f"line {self.name!r}", (self.start_xy, self.end_xy), least=2, most=2)
        if start == end:
            raise ConfigError(f"line {self.name!r}: its ends must differ, got {start} twice")
        object.__setattr__(self, "start_xy", start)
        object.__setattr__(self, "end_xy", end)

    def distances(self, points_xy: Distances) -> Distances:
        """Return the distance of (T, 2) points from the endless line, in pixels; positive on its left side."""
        (x, y), (along_x, along_y), length = self._start_direction_length()
        result: Distances = ((points_xy[:, 0] - x) * along_y - (points_xy[:, 1] - y) * along_x) / length
        return result

    def positions(self, points_xy: Distances) -> Distances:
        """Return how far along the line (T, 2) points are: 0 at its start, 1 at its end."""
        (x, y), (along_x, along_y), length = self._start_direction_length()
        result: Distances = ((points_xy[:, 0] - x) * along_x + (points_xy[:, 1] - y) * along_y) / length**2
        return result

    def _start_direction_length(self) -> tuple[Point, Point, float]:
        (x, y), (end_x, end_y) = self.start_xy, self.end_xy
        along = (end_x - x, end_y - y)
        return (x, y), along, float(np.hypot(*along))

    @property
    def reach(self) -> float:
        """Largest margin that the line allows, in pixels: it has endless room on both sides."""
        return float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON."""
        return {"name": self.name, "start_xy": list(self.start_xy), "end_xy": list(self.end_xy)}


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon to be entered (`in`) and left (`out`)."""

    name: str
    points_xy: tuple[Point, ...]
    """Corners in order; the last is joined to the first."""

    def __post_init__(self) -> None:
        _set_name(self)
        points = _points(f"region {self.name!r}", self.points_xy, least=3, most=MAX_CORNERS)
        if _crosses_itself(np.array(points)):
            raise ConfigError(
                f"region {self.name!r}: its outline crosses itself: give the corners in their order along it, got "
                f"{_shortened(points)}"
            )
        if cv2.contourArea(np.array(points, np.float32)) <= 0:
            raise ConfigError(f"region {self.name!r}: its corners must span an area, got {_shortened(points)}")
        object.__setattr__(self, "points_xy", points)

    def distances(self, points_xy: Distances) -> Distances:
        """Return the distance of (T, 2) points from the outline, in pixels; positive inside."""
        outline = self._outline()
        return np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in points_xy], np.float64)

    @property
    def reach(self) -> float:
        """Half of the distance from the outline to the innermost point, in pixels: with a larger margin no object
        would ever count as inside."""
        outline = self._outline()
        left, top = outline.min(axis=0)
        right, bottom = outline.max(axis=0)
        xs, ys = np.meshgrid(np.linspace(left, right, 33), np.linspace(top, bottom, 33))
        return max(0.0, float(self.distances(np.stack([xs.ravel(), ys.ravel()], axis=1)).max())) / 2

    def _outline(self) -> NDArray[np.float32]:
        return np.array(self.points_xy, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the region as JSON."""
        return {"name": self.name, "points_xy": [list(point) for point in self.points_xy]}


Zone = Line | Region


def check_in_frame(zone: Zone, size_hw: tuple[int, int]) -> None:
    """Check that a part of a zone may lie in the frame.

    Raises:
        ConfigError: all of it lies on one side of the frame.
    """
    points = (zone.start_xy, zone.end_xy) if isinstance(zone, Line) else zone.points_xy
    (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
    height, width = size_hw
    if right < 0 or bottom < 0 or left > width or top > height:
        kind = "line" if isinstance(zone, Line) else "region"
        raise ConfigError(
            f"{kind} {zone.name!r} lies outside of the frame of {width} x {height} pixels: coordinates are source "
            f"pixels, got {_shortened(points)}"
        )


def zone_of_dict(document: Mapping[str, Any]) -> Zone:
    """Return the line or region of a JSON object, as `to_dict` makes it.

    Raises:
        ConfigError: a field is missing, unknown or of the wrong kind.
    """
    fields = set(document) if isinstance(document, Mapping) else set()
    if fields == {"name", "start_xy", "end_xy"}:
        return Line(document["name"], document["start_xy"], document["end_xy"])
    if fields == {"name", "points_xy"}:
        return Region(document["name"], document["points_xy"])
    raise ConfigError(
        f"a zone must have name, start_xy and end_xy (a line), or name and points_xy (a region), got {document!r:.80}"
    )


def line_of_text(text: str, number: int = 1) -> Line:
    """Return the line of "x1,y1,x2,y2" or "NAME=x1,y1,x2,y2"; `number` names one that has no name.

    Raises:
        ConfigError: the text is not a line.
    """
    name, values = _named_numbers(text, f"line {number}", "a line must be [NAME=]X1,Y1,X2,Y2")
    if len(values) != 4:
        raise ConfigError(f"a line must be [NAME=]X1,Y1,X2,Y2, got {text!r}")
    return Line(name, (values[0], values[1]), (values[2], values[3]))


def region_of_text(text: str, number: int = 1) -> Region:
    """Return the region of "x1,y1,x2,y2,x3,y3,..." or "NAME=..."; `number` names one that has no name.

    Raises:
        ConfigError: the text is not a region.
    """
    form = "a region must be [NAME=]X1,Y1,X2,Y2,X3,Y3 with three or more corners"
    name, values = _named_numbers(text, f"region {number}", form)
    if len(values) < 6 or len(values) % 2:
        raise ConfigError(f"{form}, got {text!r:.80}")
    return Region(name, tuple(zip(values[::2], values[1::2], strict=True)))


def _named_numbers(text: str, default_name: str, form: str) -> tuple[str, list[float]]:
    name, equals, values = text.rpartition("=")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError:
        raise ConfigError(f"{form}, got {text!r:.80}") from None
    return (name if equals else default_name), numbers


def _set_name(zone: Zone) -> None:
    if not isinstance(zone.name, str) or not (name := clean_text(zone.name).strip()):
        raise ConfigError(f"a line or region must have a name, got {zone.name!r:.60}")
    if len(name) > MAX_NAME:
        raise ConfigError(f"the name of a line or region may have {MAX_NAME} characters, got {len(name)}")
    object.__setattr__(zone, "name", name)


def _points(where: str, points_xy: Any, *, least: int, most: int) -> tuple[Point, ...]:
    form = "points [x, y]"
    array = check_numbers(where, points_xy, form)
    if array.ndim != 2 or array.shape[1] != 2 or not least <= len(array) <= most:
        count = f"{least}" if least == most else f"{least} to {most}"
        raise ConfigError(f"{where} must have {count} points [x, y], got {_shortened(points_xy)}")
    if not (np.abs(array) <= MAX_COORDINATE).all():  # also where it is NaN
        raise ConfigError(
            f"{where}: coordinates must be finite and at most {MAX_COORDINATE:.0f} pixels, got {_shortened(points_xy)}"
        )
    return tuple((float(x), float(y)) for x, y in array)


def _crosses_itself(points_xy: Distances) -> bool:
    """Return whether two edges of a closed outline, (N, 2) corners, cross; edges that only touch do not."""
    edges = np.roll(points_xy, -1, axis=0) - points_xy
    offsets = points_xy[None] - points_xy[:, None]  # from the start of edge i to corner j
    sides = edges[:, None, 0] * offsets[..., 1] - edges[:, None, 1] * offsets[..., 0]
    is_split = np.sign(sides) * np.sign(np.roll(sides, -1, axis=1)) < 0  # edge j, by the endless line of edge i
    return bool((is_split & is_split.T).any())


def _shortened(points: Any) -> str:
    return f"{points!r:.80}"
