"""Routes of projects."""

from __future__ import annotations

import shutil

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from masklet.server import schemas
from masklet.server.convert import medium_info, project_info
from masklet.server.database import AssetRow, MediumRow, ProjectRow
from masklet.server.depends import CurrentProject, CurrentStudio, CurrentUser

router = APIRouter(tags=["projects"])


@router.get("/projects")
def list_projects(user: CurrentUser, studio: CurrentStudio) -> schemas.ProjectList:
    """List your projects, the most recently changed first."""
    with studio.database.session() as session:
        of_user = select(ProjectRow).where(ProjectRow.user_id == user.id)
        projects = session.scalars(
            of_user.order_by(ProjectRow.updated_at.desc()).options(selectinload(ProjectRow.media))
        )
        return schemas.ProjectList(projects=[project_info(project) for project in projects])


@router.post("/projects", status_code=201)
def create_project(body: schemas.ProjectCreate, user: CurrentUser, studio: CurrentStudio) -> schemas.ProjectInfo:
    """Create an empty project."""
    with studio.database.session() as session:
        project = ProjectRow(user_id=user.id, name=body.name, classes=body.classes)
        session.add(project)
        session.flush()
        return project_info(project)


@router.get("/projects/{pid}")
def get_project(project: CurrentProject, studio: CurrentStudio) -> schemas.ProjectInfo:
    """Describe a project."""
    with studio.database.session() as session:
        return project_info(session.get_one(ProjectRow, project.id))


@router.patch("/projects/{pid}")
def change_project(body: schemas.ProjectChange, project: CurrentProject, studio: CurrentStudio) -> schemas.ProjectInfo:
    """Change a project's name or class names."""
    with studio.database.session() as session:
        stored = session.get_one(ProjectRow, project.id)
        if body.name is not None:
            stored.name = body.name
        if body.classes is not None:
            stored.classes = body.classes
        session.flush()
        return project_info(stored)


@router.delete("/projects/{pid}", status_code=204)
def delete_project(project: CurrentProject, studio: CurrentStudio) -> Response:
    """Delete a project with all its media, masks and assets."""
    with studio.database.session() as session:
        media = list(session.scalars(select(MediumRow).where(MediumRow.project_id == project.id)))
        assets = list(session.scalars(select(AssetRow).where(AssetRow.project_id == project.id)))
    for medium in media:
        studio.check_has_no_jobs(medium)
    for medium in media:
        studio.delete_medium(medium)
    with studio.database.session() as session:
        stored = session.get(ProjectRow, project.id)
        if stored is not None:
            session.delete(stored)
    for asset in assets:
        shutil.rmtree(studio.asset_path(asset).parent, ignore_errors=True)
    return Response(status_code=204)


@router.get("/projects/{pid}/media")
def list_media(project: CurrentProject, studio: CurrentStudio) -> schemas.MediumList:
    """List the media of a project, oldest first."""
    with studio.database.session() as session:
        stored = session.get_one(ProjectRow, project.id)
        return schemas.MediumList(media=[medium_info(medium) for medium in stored.media])
