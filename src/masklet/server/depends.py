"""Dependencies of routes: the studio, the current user, and a project, medium or job of that user."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Path, Request
from starlette.requests import HTTPConnection

from masklet.server.database import JobRow, MediumRow, ProjectRow, UserRow
from masklet.server.errors import ApiError, NotFoundError
from masklet.server.jobs import Job
from masklet.server.studio import StudioState

Id = Annotated[str, Path(max_length=16, pattern="^[A-Za-z0-9_-]+$", description="A random name, from a list.")]
FrameIndex = Annotated[int, Path(ge=0, le=2**31, description="From 0.")]
ObjectId = Annotated[int, Path(ge=0, le=2**31)]


def studio_of(connection: HTTPConnection) -> StudioState:
    return cast(StudioState, connection.app.state.studio)


CurrentStudio = Annotated[StudioState, Depends(studio_of)]


async def user_of(connection: HTTPConnection) -> UserRow:
    """Return the user who sends the request; `masklet.server.budgets` has identified the user before routing."""
    return cast(UserRow, connection.state.user)


CurrentUser = Annotated[UserRow, Depends(user_of)]


def project_of(pid: Id, user: CurrentUser, studio: CurrentStudio) -> ProjectRow:
    return studio.project(user, pid)


def medium_of(mid: Id, user: CurrentUser, studio: CurrentStudio) -> MediumRow:
    return studio.medium(user, mid)


def job_of(jid: Id, user: CurrentUser, studio: CurrentStudio) -> Job | JobRow:
    job = studio.jobs.find(jid) or studio.jobs.record(jid)
    if job is None or job.user_id != user.id:
        raise NotFoundError("there is no such job")
    return job


CurrentProject = Annotated[ProjectRow, Depends(project_of)]
CurrentMedium = Annotated[MediumRow, Depends(medium_of)]
CurrentJob = Annotated[Job | JobRow, Depends(job_of)]


def check_frame(medium: MediumRow, frame_index: int) -> None:
    """Check that a medium has a frame.

    Raises:
        ApiError: the frame does not exist.
    """
    if frame_index >= medium.num_frames:
        raise ApiError(
            404, "no_frame", f"there is no frame {frame_index}: {medium.name} has {medium.num_frames}, counted from 0"
        )


def idempotency_key(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=100,
            description="A name for this change, chosen by the client. A request that is sent again with the same key, "
            "because its answer was lost, gets the same answer and changes nothing.",
        ),
    ] = None,
) -> str | None:
    """Return the key under which the answer is stored; different requests of one change may share a client's key."""
    return None if key is None else f"{request.method} {request.url.path} {key}"


IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
