"""Routes of assets: images and videos that renders use as backgrounds."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from sqlalchemy import select

from masklet.server import result_schemas
from masklet.server.convert import asset_info
from masklet.server.database import AssetRow
from masklet.server.depends import CurrentProject, CurrentStudio, CurrentUser, Id, IdempotencyKey
from masklet.server.errors import ApiError, NotFoundError
from masklet.server.routes.responses import UPLOAD_BODY, UPLOAD_ERRORS
from masklet.server.uploads.add import add_asset_file
from masklet.server.uploads.ingest import received

router = APIRouter(tags=["results"])

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
}
"""Media types by file suffix; other files are sent as plain bytes."""


@router.post("/projects/{pid}/assets", status_code=201, openapi_extra=UPLOAD_BODY, responses=UPLOAD_ERRORS)
async def add_asset(
    project: CurrentProject, request: Request, user: CurrentUser, studio: CurrentStudio, key: IdempotencyKey = None
) -> result_schemas.AssetInfo:
    """Add an image or a video for backgrounds."""
    async with received(request, studio, user) as form:
        if len(form.files) != 1:
            raise ApiError(422, "one_file", f"send one file, in a field called files; got {len(form.files)}", "files")
        return await studio.processes.queued(user.id, add_asset_file, studio, project, form.files[0], key)


@router.get("/projects/{pid}/assets")
def list_assets(project: CurrentProject, studio: CurrentStudio) -> result_schemas.AssetList:
    """List the backgrounds of a project, oldest first."""
    with studio.database.session() as session:
        of_project = select(AssetRow).where(AssetRow.project_id == project.id)
        assets = session.scalars(of_project.order_by(AssetRow.created_at))
        return result_schemas.AssetList(assets=[asset_info(asset) for asset in assets])


@router.get(
    "/assets/{aid}",
    response_class=FileResponse,
    responses={
        200: {
            "content": {"image/*": {}, "video/*": {}, "application/octet-stream": {}},
            "description": "The file as it was uploaded.",
        }
    },
)
def get_asset(aid: Id, user: CurrentUser, studio: CurrentStudio) -> FileResponse:
    """Download an asset's file."""
    asset = studio.asset(user, aid)
    path = studio.asset_path(asset)
    if not path.is_file():
        raise NotFoundError("there is no such asset")
    return FileResponse(
        path,
        media_type=MEDIA_TYPES.get(Path(asset.file).suffix, "application/octet-stream"),
        # Browsers may open an uploaded picture, such as an SVG, as a page: its scripts must never run here.
        headers={"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, max-age=86400"},
    )
