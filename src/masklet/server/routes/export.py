"""Routes of exports: the formats that masks can be written in, and jobs that write them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import select

from masklet.formats import FORMATS, IMPORT_FORMATS, Format, find_format
from masklet.render import CONTAINERS, EFFECTS, Edges
from masklet.server import job_schemas, result_schemas
from masklet.server.classes import class_colors
from masklet.server.database import MediumRow, ProjectRow, SummaryRow
from masklet.server.depends import CurrentMedium, CurrentProject, CurrentStudio, CurrentUser, IdempotencyKey
from masklet.server.errors import ApiError
from masklet.server.jobs import Job, job_info
from masklet.server.names import file_stem
from masklet.server.results import ExportWork
from masklet.server.routes.responses import TOO_BUSY
from masklet.server.studio import StudioState

router = APIRouter(tags=["results"])


@router.get("/formats")
def list_formats(user: CurrentUser) -> result_schemas.FormatCatalogue:
    """List formats of exports and imports, effects and containers of renders, with JSON schemas of their options."""
    return result_schemas.FormatCatalogue(
        formats=[result_schemas.FormatInfo.model_validate(format_.to_dict()) for format_ in FORMATS.values()],
        imports=[result_schemas.ImportFormatInfo(id=name, description=text) for name, text in IMPORT_FORMATS.items()],
        effects=[
            result_schemas.EffectInfo.model_validate(
                {
                    "id": effect.id,
                    "name": effect.title,
                    "target": effect.target,
                    "kinds": effect.kinds,
                    "options": effect.schema(),
                }
            )
            for effect in EFFECTS
        ],
        edges=Edges.schema(),
        containers=[
            result_schemas.ContainerInfo.model_validate(
                {
                    "id": container.id,
                    "name": container.name,
                    "description": container.description,
                    "kinds": container.kinds,
                    "has_alpha": container.has_alpha,
                }
            )
            for container in CONTAINERS.values()
        ],
    )


@router.post("/media/{mid}/export", status_code=202, responses=TOO_BUSY)
def export_medium(
    body: result_schemas.ExportRequest,
    medium: CurrentMedium,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Export the masks of one medium to a file."""
    _check_export(body)
    work = ExportWork(
        studio,
        [medium],
        body.format,
        body.options,
        stem=file_stem(medium.name),
        class_colors=class_colors(studio, medium.project_id),
        is_project=False,
        object_ids=body.objects,
        only_accepted=body.only_accepted,
    )
    return job_info(studio.jobs.submit(Job("export", user.id, medium.project_id, medium.id, work), key))


@router.post("/projects/{pid}/export", status_code=202, responses=TOO_BUSY)
def export_project(
    body: result_schemas.ExportRequest,
    project: CurrentProject,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Export the masks of all media of a project to one file."""
    if not _check_export(body).many_media:
        raise ApiError(422, "format", f"{body.format} holds one photo or video only: export each by itself", "format")
    if body.objects is not None:
        raise ApiError(422, "objects", "objects belong to one medium: leave them out for a whole project", "objects")
    media = _exported_media(studio, project, body.media)
    work = ExportWork(
        studio,
        media,
        body.format,
        body.options,
        stem=file_stem(project.name),
        class_colors=class_colors(studio, project.id),
        is_project=True,
        only_accepted=body.only_accepted,
    )
    return job_info(studio.jobs.submit(Job("export", user.id, project.id, None, work), key))


def _exported_media(studio: StudioState, project: ProjectRow, media_ids: list[str] | None) -> list[MediumRow]:
    """Return the media with these ids in the project's order, all for None.

    Raises:
        ApiError: the project has no medium with such an id.
    """
    with studio.database.session() as session:
        of_project = (
            select(MediumRow)
            .join(MediumRow.summary)
            .where(MediumRow.project_id == project.id, SummaryRow.trashed_at.is_(None))
        )
        media = list(session.scalars(of_project.order_by(MediumRow.position, MediumRow.id)))
    if media_ids is None:
        return media
    if unknown := set(media_ids) - {medium.id for medium in media}:
        raise ApiError(422, "media", f"the project has no medium {min(unknown)}: it may have been deleted", "media")
    return [medium for medium in media if medium.id in set(media_ids)]


def _check_export(body: result_schemas.ExportRequest) -> Format[Any]:
    """Return the format, after checking its options.

    Raises:
        ConfigError: the format does not exist, or an option is wrong.
    """
    format_ = find_format(body.format)
    format_.options.of(body.options)
    return format_
