"""Routes of projects."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import select

from masklet.server import schemas
from masklet.server.classes import ensure_classes
from masklet.server.convert import medium_info, project_info
from masklet.server.database import AnswerRow, ProjectRow, UserRow
from masklet.server.depends import CurrentProject, CurrentStudio, CurrentUser, IdempotencyKey
from masklet.server.listing import (
    MediaFilter,
    class_counts,
    media_ids,
    media_page,
    project_summaries,
    refresh_summaries,
)
from masklet.server.studio import StudioState

router = APIRouter(tags=["projects"])


@router.get("/projects")
def list_projects(user: CurrentUser, studio: CurrentStudio) -> schemas.ProjectList:
    """List your projects, the most recently changed first."""
    with studio.database.session() as session:
        of_user = select(ProjectRow).where(ProjectRow.user_id == user.id)
        projects = session.scalars(of_user.order_by(ProjectRow.updated_at.desc())).all()
    ids = [project.id for project in projects]
    refresh_summaries(studio, ids)
    with studio.database.session() as session:
        summaries = project_summaries(session, ids)
    return schemas.ProjectList(projects=[project_info(project, summaries[project.id]) for project in projects])


@router.post("/projects", status_code=201)
def create_project(
    body: schemas.ProjectCreate, user: CurrentUser, studio: CurrentStudio, key: IdempotencyKey = None
) -> schemas.ProjectInfo:
    """Create an empty project."""
    kept = studio.database.answer(user.id, key)
    if kept is not None:
        return _with_classes(studio, user, kept, body)
    with studio.database.session() as session:
        project = ProjectRow(user_id=user.id, name=body.name)
        session.add(project)
        session.flush()
        if key is not None:
            session.add(AnswerRow(user_id=user.id, key=key, answer=project.id))
    return _with_classes(studio, user, project.id, body)


def _with_classes(
    studio: StudioState, user: UserRow, project_id: str, body: schemas.ProjectCreate
) -> schemas.ProjectInfo:
    """Add the classes of a new project, which may have been interrupted before, and return it."""
    ensure_classes(studio, project_id, dict.fromkeys(body.classes))
    return _info(studio, studio.project(user, project_id))


@router.get("/projects/{pid}")
def get_project(project: CurrentProject, studio: CurrentStudio) -> schemas.ProjectInfo:
    """Describe a project."""
    return _info(studio, project)


@router.patch("/projects/{pid}")
def change_project(body: schemas.ProjectChange, project: CurrentProject, studio: CurrentStudio) -> schemas.ProjectInfo:
    """Rename a project."""
    with studio.database.session() as session:
        stored = session.get_one(ProjectRow, project.id)
        if body.name is not None:
            stored.name = body.name
    return _info(studio, stored)


def _info(studio: StudioState, project: ProjectRow) -> schemas.ProjectInfo:
    refresh_summaries(studio, [project.id])
    with studio.database.session() as session:
        return project_info(project, project_summaries(session, [project.id])[project.id])


@router.get("/projects/{pid}/classes")
def list_class_counts(project: CurrentProject, studio: CurrentStudio) -> schemas.ProjectClasses:
    """List the classes of a project, with the numbers of media and objects that have them."""
    refresh_summaries(studio, [project.id])
    with studio.database.session() as session:
        return schemas.ProjectClasses(classes=class_counts(session, project))


@router.delete("/projects/{pid}", status_code=204)
def delete_project(project: CurrentProject, studio: CurrentStudio) -> Response:
    """Delete a project with all its media, masks, assets, jobs and their results. Running jobs are cancelled."""
    studio.delete_project(project)
    return Response(status_code=204)


def media_filter(
    search: Annotated[str, Query(max_length=200, description="A part of the name; case does not matter.")] = "",
    state: Annotated[list[schemas.MediumState], Query(description="Any of these states.")] = [],  # noqa: B006
    kind: schemas.MediumKind | None = None,
    class_name: Annotated[
        str | None,
        Query(alias="class", max_length=200, description="Media with an object of this class, or, if empty, of none."),
    ] = None,
    trash: Annotated[bool, Query(description="List the media in the trash instead.")] = False,
) -> MediaFilter:
    return MediaFilter(search.strip(), state, kind, class_name, trash)


ChosenMedia = Annotated[MediaFilter, Depends(media_filter)]


@router.get("/projects/{pid}/media")
def list_media(
    project: CurrentProject,
    studio: CurrentStudio,
    chosen: ChosenMedia,
    sort: schemas.MediumSort = "added",
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.MediumList:
    """List media of a project with their progress, a part of the list at a time."""
    refresh_summaries(studio, [project.id])
    with studio.database.session() as session:
        page = media_page(session, project.id, chosen, sort=sort, offset=offset, limit=limit)
    return schemas.MediumList(
        media=[medium_info(medium, classes=page.classes.get(medium.id, ())) for medium in page.media],
        total=page.total,
    )


@router.get("/projects/{pid}/media/ids")
def list_media_ids(
    project: CurrentProject, studio: CurrentStudio, chosen: ChosenMedia, sort: schemas.MediumSort = "added"
) -> schemas.MediumIds:
    """List the ids of media of a project, 10,000 at most: what "select all" selects."""
    refresh_summaries(studio, [project.id])
    with studio.database.session() as session:
        return schemas.MediumIds(ids=media_ids(session, project.id, chosen, sort=sort, limit=schemas.MAX_LISTED))
