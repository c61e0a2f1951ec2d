"""Routes that change many media of a project at once. Each medium is changed or skipped by itself, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import APIRouter
from sqlalchemy import select

from masklet.server import bulk_schemas as bulk
from masklet.server.database import MediumRow, ProjectRow, SummaryRow, now
from masklet.server.depends import CurrentProject, CurrentStudio, CurrentUser
from masklet.server.errors import ApiError, ConflictError, NotFoundError
from masklet.server.studio import StudioState

router = APIRouter(tags=["projects"])

Change = Callable[[MediumRow], int]
"""Changes a medium and returns its new revision."""


@router.post("/projects/{pid}/media/accept")
def accept_media(body: bulk.BulkAcceptRequest, project: CurrentProject, studio: CurrentStudio) -> bulk.BulkAnswer:
    """Accept all masks of media that are up to date, or reopen them."""

    def accept(medium: MediumRow) -> int:
        with studio.workspace(medium) as workspace:
            workspace.accept(0, medium.num_frames, accepted=body.accepted)
            return studio.note_change(medium, workspace)

    return _change_each(studio, project, body.media, accept)


@router.post("/projects/{pid}/media/undo")
def undo_media(body: bulk.BulkUndoRequest, project: CurrentProject, studio: CurrentStudio) -> bulk.BulkAnswer:
    """Undo the last operation of each medium that has not been changed since: what a bulk change did."""
    revisions = {medium.id: medium.revision for medium in body.media}

    def undo(medium: MediumRow) -> int:
        with studio.workspace(medium) as workspace, workspace.lock:
            if workspace.store.revision != revisions[medium.id]:
                raise ConflictError(f"{medium.name} has been changed since: open it to undo")
            workspace.undo()
            return studio.note_change(medium, workspace)

    return _change_each(studio, project, list(revisions), undo)


@router.post("/projects/{pid}/media/trash")
def trash_media(body: bulk.BulkRequest, project: CurrentProject, studio: CurrentStudio) -> bulk.BulkAnswer:
    """Move media to the trash, from which they can be restored for some time."""

    def trash(medium: MediumRow) -> int:
        studio.check_has_no_jobs(medium)
        studio.workspaces.discard(medium.id)
        return _update(studio, medium, in_trash=True)

    return _change_each(studio, project, body.media, trash)


@router.post("/projects/{pid}/media/restore")
def restore_media(body: bulk.BulkRequest, project: CurrentProject, studio: CurrentStudio) -> bulk.BulkAnswer:
    """Restore media from the trash."""
    return _change_each(
        studio, project, body.media, lambda medium: _update(studio, medium, in_trash=False), in_trash=True
    )


@router.post("/projects/{pid}/media/delete")
def delete_trashed_media(body: bulk.BulkRequest, project: CurrentProject, studio: CurrentStudio) -> bulk.BulkAnswer:
    """Delete media in the trash for good."""

    def delete(medium: MediumRow) -> int:
        studio.delete_medium(medium)
        return medium.revision

    return _change_each(studio, project, body.media, delete, in_trash=True)


@router.post("/projects/{pid}/media/move")
def move_media(
    body: bulk.BulkMoveRequest, project: CurrentProject, user: CurrentUser, studio: CurrentStudio
) -> bulk.BulkAnswer:
    """Move media with their masks to another project of yours."""
    target = studio.project(user, body.project)
    if target.id == project.id:
        raise ApiError(422, "project", "the files are in this project already: choose another one", "project")

    def move(medium: MediumRow) -> int:
        studio.check_has_no_jobs(medium)
        with studio.database.session() as session:
            session.get_one(MediumRow, medium.id).project_id = target.id
            session.get_one(ProjectRow, target.id).updated_at = now()
        return medium.revision

    return _change_each(studio, project, body.media, move)


def _update(studio: StudioState, medium: MediumRow, *, in_trash: bool) -> int:
    with studio.database.session() as session:
        session.get_one(SummaryRow, medium.id).trashed_at = now() if in_trash else None
    return medium.revision


def _change_each(
    studio: StudioState, project: ProjectRow, media_ids: Iterable[str], change: Change, *, in_trash: bool = False
) -> bulk.BulkAnswer:
    """Change media one by one; one that cannot be changed is skipped, and a fault of the server ends the request."""
    ids = list(dict.fromkeys(media_ids))
    with studio.database.session() as session:
        of_project = select(MediumRow).where(MediumRow.id.in_(ids), MediumRow.project_id == project.id)
        media = {medium.id: medium for medium in session.scalars(of_project)}
    answer = bulk.BulkAnswer(done=[], skipped=[])
    for media_id in ids:
        medium = media.get(media_id)
        try:
            if medium is None or (medium.summary.trashed_at is not None) != in_trash:
                raise NotFoundError("it is no longer here: it was deleted, moved or restored")
            answer.done.append(bulk.MediumRevision(id=media_id, revision=change(medium)))
        except (ConflictError, NotFoundError, ApiError) as error:
            name = media_id if medium is None else medium.name
            answer.skipped.append(bulk.SkippedMedium(id=media_id, name=name, message=str(error)))
    return answer
