"""Schemas of what runs for a while: tracking, discovery, proposals, and jobs of any kind."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from masklet.discovery import DiscoveryConfig
from masklet.server.schemas import Box, ClassText, FrameMasksInfo, FrameNumber, ObjectIds, Rle, Schema, SegmentObject

JobKind = Literal["track", "discover", "propose", "export", "render"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class TrackRequest(Schema):
    direction: Literal["forward", "backward", "both"] = "forward"
    start: FrameNumber | None = Field(default=None, description="The first frame that may change, in either direction.")
    stop: FrameNumber | None = Field(default=None, description="The first frame after those that may change.")
    objects: ObjectIds | None = None
    only_changed: bool = Field(default=False, description="Track only what has changed since the last run.")
    only_missing: bool = Field(
        default=False,
        description="Begin where each object's masks end: after a run that was stopped, or for new objects.",
    )

    @model_validator(mode="after")
    def _at_most_one_restriction(self) -> Self:
        if self.only_changed and self.only_missing:
            raise ValueError("only_changed and only_missing cannot both be true: run one after the other")
        return self


_DISCOVERY = DiscoveryConfig()
"""The default settings of discovery."""


class DiscoverRequest(Schema):
    direction: Literal["forward", "both"] = Field(
        default="both", description="both: objects that come in later are followed back to where they came in."
    )
    start: FrameNumber | None = Field(default=None, description="The first frame.")
    stop: FrameNumber | None = Field(default=None, description="The frame after the last one.")
    level: Literal["objects", "parts", "both"] = Field(
        default=_DISCOVERY.level,
        description="objects: no masks within larger ones; parts: the smallest masks; both: all.",
    )
    every: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=_DISCOVERY.every, description="Frames from one search for new objects to the next, at most."
    )
    max_objects: Annotated[int, Field(ge=1, le=500)] = Field(
        default=_DISCOVERY.max_objects, description="Most objects that are tracked at once."
    )
    min_score: Annotated[float, Field(ge=0, le=1)] = Field(
        default=_DISCOVERY.birth_score, description="Only detections of at least this score start tracks."
    )


class ProposalsRequest(Schema):
    frame_index: FrameNumber = 0


class Proposal(Schema):
    """A mask that may become an object."""

    number: int = Field(description="From 0; the surest is first.")
    rle: Rle
    box: Box
    area: int = Field(description="Pixels.")
    iou_prediction: float
    confidence: float = Field(description="Expected IoU of the mask after calibration, 0 to 1.")
    inside: list[int] = Field(description="Numbers of the larger proposals in which this one lies.")


class ProposalList(Schema):
    frame_index: int
    usual_confidence: float = Field(description="The model's own settings keep masks from this confidence on.")
    proposals: list[Proposal]


class ProposalsAcceptRequest(Schema):
    numbers: Annotated[list[Annotated[int, Field(ge=0, le=10_000)]], Field(min_length=1, max_length=500)]
    class_name: ClassText | None = None


class ProposalsAnswer(Schema):
    objects: list[SegmentObject] = Field(description="The new objects, in the order of the request.")
    frame: FrameMasksInfo
    revision: int


class JobResult(Schema):
    url: str
    name: str
    bytes: int


class JobInfo(Schema):
    id: str
    kind: JobKind
    project_id: str
    media_id: str | None
    state: JobState
    done: int = Field(description="Frames or masks done.")
    total: int | None
    fps: float | None = Field(description="Current speed, frames per second.")
    eta_s: float | None = Field(description="Estimated seconds left.")
    message: str | None
    interrupted: bool = Field(
        description="True if the server stopped before the job was done; `only_missing` continues from there."
    )
    result: JobResult | None
    created_at: datetime


class JobList(Schema):
    jobs: list[JobInfo]
