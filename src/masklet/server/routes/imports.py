"""Routes of imports: masks written by other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Query, Request

from masklet.formats.importing import import_masks
from masklet.masks.operations import CocoRle
from masklet.server import schemas
from masklet.server.annotation.workspace import NewObject
from masklet.server.convert import objects_info
from masklet.server.database import MediumRow
from masklet.server.depends import CurrentMedium, CurrentStudio
from masklet.server.errors import ApiError
from masklet.server.routes.responses import UPLOAD_BODY
from masklet.server.studio import StudioState
from masklet.server.uploads.ingest import Form, receive, scratch
from masklet.tracking.masklets import Masklets, color_text

router = APIRouter(tags=["results"])

MAX_SKIPPED = 100
"""Largest number of skipped masks that an import report lists."""


@router.post("/media/{mid}/import", openapi_extra=UPLOAD_BODY)
async def import_file(
    medium: CurrentMedium,
    request: Request,
    studio: CurrentStudio,
    format_: Annotated[Literal["auto", "coco", "sa-v", "masks", "davis"], Query(alias="format")] = "auto",
) -> schemas.ImportReport:
    """Import masks that another tool has written: each object becomes an object of the medium."""
    with scratch(studio.settings.data) as folder:
        form = await receive(request, folder, studio.limits)
        if not form.files:
            raise ApiError(422, "no_files", "send at least one file, in fields called files", "files")
        return await anyio.to_thread.run_sync(_import, studio, medium, form, format_)


def _import(studio: StudioState, medium: MediumRow, form: Form, format_: str) -> schemas.ImportReport:
    imported = import_masks(
        {upload.name: upload.path for upload in form.files},
        size_hw=(medium.height, medium.width),
        num_frames=medium.num_frames,
        file_name=medium.name.split("/")[-1],
        format=format_,
    )
    new = [
        NewObject(
            info.name,
            masks,
            class_name=info.class_name,
            color=None if info.color is None else color_text(info.color),
        )
        for info in imported.masklets.objects
        if (masks := _masks_of(imported.masklets, info.object_id))
    ]
    if not new:
        why = f": {imported.skipped[0]}" if imported.skipped else ""
        raise ApiError(422, "nothing", f"no mask was found that fits this medium{why}", "files")
    with studio.workspace(medium) as workspace:
        ids = {row.object_id for row in workspace.add_objects(f"Import {len(new)} objects", new)}
        return schemas.ImportReport(
            objects=[info for info in objects_info(workspace.store) if info.id in ids],
            num_masks=imported.num_masks,
            skipped=list(imported.skipped)[:MAX_SKIPPED],
            revision=studio.note_change(medium, workspace),
        )


def _masks_of(masklets: Masklets, object_id: int) -> dict[int, CocoRle]:
    """Return the masks of one object by frame index."""
    return {
        row.frame_index: row.rle
        for index in masklets.span()
        for row in masklets.at(index)
        if row.object_id == object_id
    }
