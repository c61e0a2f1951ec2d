"""Routes of imports: masks written by other tools."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from masklet.server import schemas
from masklet.server.annotation.new_objects import ImportMode
from masklet.server.annotation.workspace import Workspace
from masklet.server.classes import ensure_classes
from masklet.server.convert import objects_info
from masklet.server.database import MediumRow
from masklet.server.depends import CurrentMedium, CurrentStudio, CurrentUser, IdempotencyKey
from masklet.server.errors import ApiError, without_paths
from masklet.server.routes.annotate import change_once
from masklet.server.routes.responses import UPLOAD_BODY, UPLOAD_ERRORS
from masklet.server.studio import StudioState
from masklet.server.uploads.imports import MAX_SKIPPED, read_import
from masklet.server.uploads.ingest import Form, received

router = APIRouter(tags=["results"])


@router.post("/media/{mid}/import", openapi_extra=UPLOAD_BODY, responses=UPLOAD_ERRORS)
async def import_file(
    medium: CurrentMedium,
    request: Request,
    user: CurrentUser,
    studio: CurrentStudio,
    format_: Annotated[Literal["auto", "coco", "sa-v", "masks", "davis"], Query(alias="format")] = "auto",
    mode: Annotated[
        ImportMode,
        Query(
            description="What to do with an object whose number the medium has already: `add` makes a new object, "
            "`merge` replaces its masks on the frames of the file, `replace` replaces all its masks, its name and its "
            "class. Accepted masks and locked objects never change."
        ),
    ] = "add",
    key: IdempotencyKey = None,
) -> schemas.ImportReport:
    """Import masks that another tool has written: one step to undo."""
    limits = studio.limits
    async with received(request, studio, user, max_bytes=limits.import_bytes, max_files=limits.import_files) as form:
        return await studio.processes.queued(user.id, _import, studio, medium, form, format_, mode, key)


def _import(
    studio: StudioState, medium: MediumRow, form: Form, format_: str, mode: ImportMode, key: str | None
) -> schemas.ImportReport:
    read = read_import(
        studio.processes,
        form.files,
        studio.limits,
        size_hw=(medium.height, medium.width),
        num_frames=medium.num_frames,
        file_name=medium.name,
        format=format_,
    )
    if mode != "add" and not read.has_ids:
        raise ApiError(
            422,
            "no_numbers",
            "the file does not number its objects (object_id or track_id), so it cannot be known which of the objects "
            "here are meant: import them as new objects",
            "mode",
        )
    skipped = [without_paths(line, studio.settings.data) for line in read.skipped]
    if not read.objects:
        reason = f": {skipped[0]}" if skipped else ""
        raise ApiError(422, "nothing", f"no mask was found that fits this photo or video{reason}", "files")
    ensure_classes(studio, medium.project_id, read.classes)

    def add(workspace: Workspace) -> schemas.ImportReport:
        count = len(read.objects)
        written, left_out = workspace.add_objects(f"Import {count} object{'s' * (count != 1)}", read.objects, mode)
        ids = {row.object_id for row in written}
        return schemas.ImportReport(
            objects=[info for info in objects_info(workspace.store) if info.id in ids],
            num_masks=read.num_masks,
            skipped=[*left_out, *skipped][:MAX_SKIPPED],
            revision=workspace.store.revision,
        )

    return change_once(studio, medium, key, schemas.ImportReport, add)
