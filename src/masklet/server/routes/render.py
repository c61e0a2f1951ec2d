"""Routes of renders: a medium with effects, as a file or as a preview of one frame."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from masklet.render import CONTAINERS, Composition, render_preview
from masklet.server import job_schemas, result_schemas
from masklet.server.database import UserRow
from masklet.server.depends import CurrentMedium, CurrentStudio, CurrentUser, FrameIndex, IdempotencyKey, check_frame
from masklet.server.errors import ApiError
from masklet.server.frames import WIDTHS, to_jpeg, to_png
from masklet.server.jobs import Job, job_info
from masklet.server.results import LabelledFrames, RenderWork, shown_masklets
from masklet.server.routes.responses import TOO_BUSY
from masklet.server.studio import StudioState

router = APIRouter(tags=["results"])


@router.post("/media/{mid}/render", status_code=202, responses=TOO_BUSY)
def render(
    body: result_schemas.RenderRequest,
    medium: CurrentMedium,
    user: CurrentUser,
    studio: CurrentStudio,
    key: IdempotencyKey = None,
) -> job_schemas.JobInfo:
    """Render the medium with effects to a file; sound is kept."""
    composition = Composition.from_dict(body.composition)
    with studio.workspace(medium) as workspace:
        composition.check_objects(row.object_id for row in workspace.store.objects())
    assets = _asset_files(studio, user, composition)
    if composition.is_transparent and not CONTAINERS[body.container].has_alpha:
        raise ApiError(
            422, "container", f"{body.container} has no transparency: choose webm, mov, png or gif", "container"
        )
    start = body.start or 0
    stop = medium.num_frames if body.stop is None else min(body.stop, medium.num_frames)
    if start >= stop:
        raise ApiError(
            422, "range", f"start must be below stop and {medium.num_frames}, got {body.start} and {body.stop}", "start"
        )
    if body.container == "jpeg" and stop - start > 1:
        raise ApiError(422, "container", f"jpeg holds one frame, and these are {stop - start}: choose png", "container")
    work = RenderWork(studio, medium, composition, assets, body.container, start, stop)
    return job_info(studio.jobs.submit(Job("render", user.id, medium.project_id, medium.id, work), key))


@router.post(
    "/media/{mid}/frames/{i}/preview",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "A JPEG, or a PNG with alpha."}},
)
def preview_render(
    body: result_schemas.PreviewRequest, medium: CurrentMedium, i: FrameIndex, user: CurrentUser, studio: CurrentStudio
) -> Response:
    """Render one frame as `POST /media/{mid}/render` would."""
    check_frame(medium, i)
    composition = Composition.from_dict(body.composition)
    assets = _asset_files(studio, user, composition)
    width = min(body.width or max(WIDTHS), max(WIDTHS))
    with studio.workspace(medium) as workspace:
        composition.check_objects(row.object_id for row in workspace.store.objects())
        masklets = shown_masklets(workspace.store, only_visible=True)
        composition = composition.only(info.object_id for info in masklets.objects)
        frames = LabelledFrames(studio.reader(medium), masklets, is_image=medium.kind == "image")
        picture = render_preview(frames, i, composition, width=width, assets=assets)
    if picture.shape[2] == 4:
        return Response(to_png(picture), media_type="image/png")
    return Response(to_jpeg(picture), media_type="image/jpeg")


def _asset_files(studio: StudioState, user: UserRow, composition: Composition) -> dict[str, Path]:
    """Return the files of a composition's backgrounds, by asset id.

    Raises:
        NotFoundError: an asset does not exist or belongs to another user.
    """
    return {asset_id: studio.asset_path(studio.asset(user, asset_id)) for asset_id in composition.asset_ids}
