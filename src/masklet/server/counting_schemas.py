"""Schemas of counts: lines and regions, and what was counted over time, over and in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import Self

from masklet.counting import CountReport, report_document
from masklet.counting.count import MAX_ZONES
from masklet.counting.zones import MAX_CORNERS, MAX_NAME, Line, Region, Zone
from masklet.server.schemas import Point, Schema

ZoneName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class LineInfo(Schema):
    name: ZoneName
    start_xy: Point
    end_xy: Point


class RegionInfo(Schema):
    name: ZoneName
    points_xy: Annotated[list[Point], Field(min_length=3, max_length=MAX_CORNERS)]


class CountRequest(Schema):
    lines: Annotated[list[LineInfo], Field(max_length=MAX_ZONES)] = Field(
        default=[], description="Seen along its arrow, objects go `in` from the right of a line to its left."
    )
    regions: Annotated[list[RegionInfo], Field(max_length=MAX_ZONES)] = Field(
        default=[], description="Polygons: an entry is `in`, an exit is `out`."
    )
    anchor: Literal["center", "bottom"] = Field(
        default="center", description="The point of an object's box that crosses lines."
    )
    margin: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None,
        description="How far beyond a line the anchor must be before the crossing counts, pixels; null suits each "
        "object's size.",
    )
    level: Annotated[float, Field(ge=0.5, le=0.999)] = Field(
        default=0.9, description="Probability that the intervals cover."
    )

    def zones(self) -> list[Zone]:
        """Return the lines, then the regions.

        Raises:
            ConfigError: one of them has no length or no area.
        """
        lines = [
            Line(line.name, (line.start_xy[0], line.start_xy[1]), (line.end_xy[0], line.end_xy[1]))
            for line in self.lines
        ]
        return [*lines, *(Region(region.name, tuple((x, y) for x, y in region.points_xy)) for region in self.regions)]


class CountInfo(Schema):
    count: int
    expected: float = Field(description="Sum of the probabilities.")
    low: int
    high: int = Field(description="At the requested level, from `low` to `high` are real.")


class ClassedCount(CountInfo):
    classes: dict[str, CountInfo]


class CountedTrack(Schema):
    object_id: int
    class_name: str = Field(alias="class")
    first_frame: int
    last_frame: int
    best_frame: int
    num_frames: int
    probability: float


class CountedObjects(ClassedCount):
    tracks: list[CountedTrack]


class CountSeries(Schema):
    count: list[int]
    low: list[int]
    high: list[int]


class VisibleCounts(CountSeries):
    frames: list[int]
    times_s: list[float] | None
    classes: dict[str, CountSeries]


class CrossingInfo(Schema):
    zone: str
    direction: Literal["in", "out"]
    object_id: int
    class_name: str = Field(alias="class")
    frame_index: int = Field(description="The first frame on the new side.")
    time_s: float | None
    before_frame: int = Field(description="The last frame that shows the object clearly on its former side.")
    after_frame: int = Field(description="The first frame that shows it clearly on the new side.")
    probability: float
    counted: bool = Field(description="False if the track begins or ends too close to the line to tell.")


class ZoneCount(Schema):
    name: str
    entries: ClassedCount = Field(alias="in")
    exits: ClassedCount = Field(alias="out")
    crossings: list[CrossingInfo]


class LineCount(ZoneCount):
    start_xy: Point
    end_xy: Point


class RegionCount(ZoneCount):
    points_xy: list[Point]
    inside: CountSeries


class CountAnswer(Schema):
    objects: CountedObjects
    visible: VisibleCounts
    lines: list[LineCount]
    regions: list[RegionCount]

    @classmethod
    def of(cls, report: CountReport) -> Self:
        """Return the answer for a report."""
        document = report_document(report)
        return cls.model_validate({name: document[name] for name in cls.model_fields})
