"""Routes of media: uploads, names, deletion."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from masklet.server import schemas
from masklet.server.convert import medium_info
from masklet.server.database import MediumRow
from masklet.server.depends import (
    CurrentMedium,
    CurrentProject,
    CurrentStudio,
    CurrentUser,
    Id,
    IdempotencyKey,
)
from masklet.server.listing import neighbours
from masklet.server.routes.responses import UPLOAD_BODY, UPLOAD_ERRORS
from masklet.server.uploads.add import add_media
from masklet.server.uploads.ingest import received

router = APIRouter(tags=["projects"])


@router.post(
    "/projects/{pid}/media",
    status_code=201,
    openapi_extra=UPLOAD_BODY,
    responses=UPLOAD_ERRORS
    | {
        422: {"model": schemas.ErrorAnswer, "description": "All files were rejected."},
    },
)
async def upload_media(
    project: CurrentProject,
    request: Request,
    user: CurrentUser,
    studio: CurrentStudio,
    as_: Annotated[
        Literal["auto", "sequence"],
        Query(alias="as", description="`sequence` makes one video of many images, in natural order of their names."),
    ] = "auto",
    fps: Annotated[float, Query(gt=0, le=1000, description="Frames per second of a sequence.")] = 24.0,
    key: IdempotencyKey = None,
) -> schemas.UploadReport:
    """Add images and videos. If some files are rejected, the others are added all the same."""
    async with received(request, studio, user) as form:
        work = partial(add_media, studio, project, form.files, as_sequence=as_ == "sequence", fps=fps, key=key)
        return await studio.processes.queued(user.id, work)


@router.get("/media/{mid}")
def get_medium(medium: CurrentMedium, studio: CurrentStudio) -> schemas.MediumInfo:
    """Describe a medium."""
    with studio.workspace(medium) as workspace:
        return medium_info(medium, workspace.store)


@router.get("/media/{mid}/neighbours")
def get_neighbours(medium: CurrentMedium, studio: CurrentStudio) -> schemas.Neighbours:
    """Return the media before and after one in its project, in the order in which they were added."""
    with studio.database.session() as session:
        previous, next_, index, total = neighbours(session, medium)
        return schemas.Neighbours(previous=previous, next=next_, index=index, total=total)


@router.patch("/media/{mid}")
def change_medium(body: schemas.MediumChange, medium: CurrentMedium, studio: CurrentStudio) -> schemas.MediumInfo:
    """Rename a medium."""
    with studio.database.session() as session:
        stored = session.get_one(MediumRow, medium.id)
        stored.rename(body.name)
        session.flush()
        return medium_info(stored)


@router.delete("/media/{mid}", status_code=204)
def delete_medium(mid: Id, medium: CurrentMedium, studio: CurrentStudio) -> Response:
    """Delete a medium with its masks, its jobs and their results. Running jobs are cancelled."""
    studio.delete_medium(medium)
    return Response(status_code=204)
