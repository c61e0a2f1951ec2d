"""Schemas of requests that change many media of a project at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from masklet.server.schemas import Schema

MAX_BULK = 100
"""Media that one request changes, so that each request ends in seconds."""
MediaIds = Annotated[list[Annotated[str, Field(max_length=16)]], Field(min_length=1, max_length=MAX_BULK)]


class BulkRequest(Schema):
    media: MediaIds = Field(description="Ids of media of the project.")


class BulkAcceptRequest(BulkRequest):
    accepted: bool = Field(default=True, description="False reopens the media.")


class BulkMoveRequest(BulkRequest):
    project: str = Field(max_length=16, description="Id of another project of yours.")


class MediumRevision(Schema):
    id: str = Field(max_length=16)
    revision: int


class BulkUndoRequest(Schema):
    media: Annotated[list[MediumRevision], Field(min_length=1, max_length=MAX_BULK)] = Field(
        description="Media whose last operation is undone, if they still have this revision."
    )


class SkippedMedium(Schema):
    id: str
    name: str
    message: str = Field(description="The reason, in a sentence.")


class BulkAnswer(Schema):
    done: list[MediumRevision] = Field(description="Media that were changed, with their new revisions.")
    skipped: list[SkippedMedium] = Field(description="Media that stayed as they were.")
