"""Routes of a project's class list."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import select

from masklet.server import schemas
from masklet.server.classes import add_class, change_class, delete_class, merge_class
from masklet.server.convert import class_info
from masklet.server.database import ClassRow, ProjectRow
from masklet.server.depends import CurrentProject, CurrentStudio, Id
from masklet.server.studio import StudioState

router = APIRouter(tags=["projects"])


def _list(studio: StudioState, project: ProjectRow) -> schemas.ClassList:
    with studio.database.session() as session:
        of_project = select(ClassRow).where(ClassRow.project_id == project.id)
        rows = session.scalars(of_project.order_by(ClassRow.position))
        return schemas.ClassList(classes=[class_info(row) for row in rows])


@router.post("/projects/{pid}/classes", status_code=201)
def create_class(body: schemas.ClassCreate, project: CurrentProject, studio: CurrentStudio) -> schemas.ClassInfo:
    """Add a class at the end of the list."""
    class_id = add_class(studio, project.id, body.name, color=body.color, key=body.key)
    return next(info for info in _list(studio, project).classes if info.id == class_id)


@router.patch("/projects/{pid}/classes/{cid}")
def change(body: schemas.ClassChange, project: CurrentProject, cid: Id, studio: CurrentStudio) -> schemas.ClassList:
    """Rename or recolour a class, give it a hot key, or move it. Its objects in all media get the new name."""
    change_class(studio, project.id, cid, **body.model_dump())
    return _list(studio, project)


@router.post("/projects/{pid}/classes/{cid}/merge")
def merge(body: schemas.ClassMerge, project: CurrentProject, cid: Id, studio: CurrentStudio) -> schemas.ClassList:
    """Give all objects of a class another class, and delete the first. It cannot be undone."""
    merge_class(studio, project.id, cid, body.into)
    return _list(studio, project)


@router.delete("/projects/{pid}/classes/{cid}", status_code=204)
def delete(project: CurrentProject, cid: Id, studio: CurrentStudio) -> Response:
    """Delete a class; its objects stay, without a class. It cannot be undone."""
    delete_class(studio, project.id, cid)
    return Response(status_code=204)
