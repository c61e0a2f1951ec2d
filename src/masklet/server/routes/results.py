"""Results: masks in other tools' formats, videos with effects, backgrounds for these; and masks from other tools."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import anyio
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select

from masklet.formats import FORMATS, Cancelled, Format, export_masks, find_format
from masklet.formats.importing import import_masks
from masklet.masks.operations import CocoRle
from masklet.media.source import FrameSource
from masklet.render import CONTAINERS, EFFECTS, Composition, Edges, render_preview, render_video
from masklet.server import database, schemas
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.workspace import NewObject
from masklet.server.convert import BASE, job_info, objects_info
from masklet.server.database import Medium, Project, User
from masklet.server.depends import FrameIndex, Id, MediumNow, ProjectNow, StudioNow, UserNow, check_frame
from masklet.server.errors import ApiError
from masklet.server.frames import WIDTHS, to_jpeg, to_png
from masklet.server.jobs import Job, JobCancelled
from masklet.server.routes.jobs import TOO_BUSY
from masklet.server.routes.projects import UPLOAD_BODY
from masklet.server.studio import Studio
from masklet.server.uploads.ingest import Form, probe, receive, scratch
from masklet.server.uploads.probe import safe_suffix
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo, color_text, parse_color

router = APIRouter(tags=["results"])


class ShownRows:
    """Masks as the page shows them, for exports and renders: tracked ones, and what prompts gave elsewhere."""

    def __init__(self, store: AnnotationStore) -> None:
        self._store = store
        shown = store.shown_frames()
        self._span = (shown[0], shown[-1]) if shown else None

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        return self._store.shown(frame_index, frame_index + 1).get(frame_index, [])

    def frames(self) -> tuple[int, int] | None:
        return self._span


def _masklets(store: AnnotationStore, *, only_shown: bool) -> Masklets:
    objects = tuple(
        ObjectInfo(one.object_id, one.name, one.class_name, parse_color(one.color))
        for one in store.objects()
        if not (only_shown and one.hidden)
    )
    return Masklets(ShownRows(store), objects)


@contextmanager
def labelled(
    studio: Studio,
    medium: Medium,
    *,
    name: str | None = None,
    object_ids: Sequence[int] | None = None,
    only_accepted: bool = False,
    only_shown: bool = False,
) -> Iterator[LabelledMedium]:
    """A medium with its masks, as exports and renders take it, with a source of its own."""
    with studio.workspace(medium) as workspace:
        masklets = _masklets(workspace.store, only_shown=only_shown).only(object_ids, accepted=only_accepted)
        source = studio.open_frames(medium)()
        try:
            stem = name or file_stem(medium.name)
            yield LabelledMedium(
                stem, source, masklets, is_image=medium.kind == "image", file_name=medium.name.split("/")[-1]
            )
        finally:
            source.close()


def file_stem(name: str) -> str:
    """A medium's name for files: nothing that a shell, a zip or another system would take amiss."""
    stem = Path(name.split("/")[-1]).stem
    return re.sub(r"[^\w .()+-]+", "_", stem).strip(" .")[:80] or "medium"


@router.get("/formats")
def formats(user: UserNow) -> schemas.FormatCatalogue:
    """What can be exported, and which effects there are; options as JSON schemas."""
    return schemas.FormatCatalogue(
        formats=[schemas.FormatInfo.model_validate(one.to_dict()) for one in FORMATS.values()],
        effects=[
            schemas.EffectInfo(id=one.id, name=one.title, target=one.target, options=one.schema()) for one in EFFECTS
        ],
        edges=Edges.schema(),
        containers=[
            schemas.ContainerInfo(id=one.id, name=one.name, description=one.description, has_alpha=one.has_alpha)
            for one in CONTAINERS.values()
        ],
    )


@router.post("/media/{mid}/export", status_code=202, responses=TOO_BUSY)
def export(body: schemas.ExportRequest, medium: MediumNow, user: UserNow, studio: StudioNow) -> schemas.JobInfo:
    """Masks of one medium as a file."""
    _check_export(body)
    return _submit_export(studio, user, medium.project_id, medium.id, [medium], body, file_stem(medium.name))


@router.post("/projects/{pid}/export", status_code=202, responses=TOO_BUSY)
def export_project(
    body: schemas.ExportRequest, project: ProjectNow, user: UserNow, studio: StudioNow
) -> schemas.JobInfo:
    """Masks of all media of a project as one file."""
    if not _check_export(body).many_media:
        raise ApiError(422, "format", f"{body.format} is written for one medium at a time", "format")
    if body.objects is not None:
        raise ApiError(422, "objects", "objects belong to one medium: leave them out for a whole project", "objects")
    with studio.database.session() as session:
        media = list(session.scalars(select(Medium).where(Medium.project_id == project.id).order_by(Medium.position)))
    return _submit_export(studio, user, project.id, None, media, body, file_stem(project.name))


def _check_export(body: schemas.ExportRequest) -> Format[Any]:
    found = find_format(body.format)
    found.options.of(body.options)
    return found


def _submit_export(
    studio: Studio,
    user: User,
    project_id: str,
    media_id: str | None,
    media: list[Medium],
    body: schemas.ExportRequest,
    stem: str,
) -> schemas.JobInfo:
    with studio.database.session() as session:
        classes = session.get_one(Project, project_id).classes
    work = partial(_export, studio, media, body, stem, classes, is_project=media_id is None)
    return job_info(studio.jobs.submit(Job("export", user.id, project_id, media_id, work)))


def _export(
    studio: Studio,
    media: list[Medium],
    body: schemas.ExportRequest,
    stem: str,
    classes: Sequence[str],
    job: Job,
    *,
    is_project: bool,
) -> None:
    suffix = find_format(body.format).usual_suffix(is_image=media[0].kind == "image")
    names = _different([file_stem(medium.name) for medium in media])
    with ExitStack() as stack, _result(studio, job, f"{stem}-{body.format}{suffix}") as out:
        given = []
        for medium, name in zip(media, names, strict=True):
            with studio.workspace(medium) as workspace:
                if is_project and not workspace.store.objects():
                    continue  # nothing has been said of it yet
            given.append(
                stack.enter_context(
                    labelled(studio, medium, name=name, object_ids=body.objects, only_accepted=body.only_accepted)
                )
            )
        try:
            done = export_masks(
                body.format,
                given,
                out,
                body.options,
                classes=classes,
                progress=job.progress,
                cancelled=job.cancelled.is_set,
            )
        except Cancelled as stop:
            raise JobCancelled from stop
    notes = "".join(f"; {note}" for note in done.notes)
    job.message = f"{done.num_masks} masks on {done.num_frames} frames{notes}"


def _different(names: Sequence[str]) -> list[str]:
    """Names with a number behind those that have been there before."""
    given: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in given:
            number += 1
            unique = f"{name} {number}"
        given.append(unique)
    return given


@contextmanager
def _result(studio: Studio, job: Job, name: str) -> Iterator[Path]:
    """Where a job writes its file; nothing is left of one that fails."""
    folder = studio.result_folder(job.id)
    folder.mkdir(parents=True)
    out = folder / f"result{''.join(Path(name).suffixes[-1:])}"
    try:
        yield out
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    job.result_name, job.result_bytes = name, out.stat().st_size


@router.post("/media/{mid}/render", status_code=202, responses=TOO_BUSY)
def render(body: schemas.RenderRequest, medium: MediumNow, user: UserNow, studio: StudioNow) -> schemas.JobInfo:
    """The medium with effects, as a file; sound is kept."""
    composition = Composition.from_dict(body.composition)
    assets = _assets(studio, user, composition)
    if composition.is_transparent and not CONTAINERS[body.container].has_alpha:
        raise ApiError(
            422, "container", f"{body.container} has no transparency: choose webm, mov, png or gif", "container"
        )
    low, high = body.start or 0, medium.num_frames if body.stop is None else min(body.stop, medium.num_frames)
    if low >= high:
        raise ApiError(
            422, "range", f"start must be below stop and {medium.num_frames}, got {body.start} and {body.stop}", "start"
        )
    work = partial(_render, studio, medium, composition, assets, body.container, low, high)
    return job_info(studio.jobs.submit(Job("render", user.id, medium.project_id, medium.id, work)))


def _render(
    studio: Studio,
    medium: Medium,
    composition: Composition,
    assets: dict[str, Path],
    container: str,
    start: int,
    stop: int,
    job: Job,
) -> None:
    kind = CONTAINERS[container]
    is_one = container == "png" and stop - start == 1
    suffix = ".png" if is_one else kind.suffixes[0]
    job.total = stop - start
    with (
        _result(studio, job, f"{file_stem(medium.name)}-masklet{suffix}") as out,
        labelled(studio, medium, only_shown=True) as given,
    ):
        done = render_video(
            given,
            composition,
            out,
            container=container,
            start=start,
            stop=stop,
            assets=assets,
            progress=job.progress,
            cancelled=job.cancelled.is_set,
        )
        if not done.is_complete:
            raise JobCancelled


@router.post(
    "/media/{mid}/frames/{i}/preview",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "A JPEG, or a PNG with alpha."}},
)
def preview(
    body: schemas.PreviewRequest, medium: MediumNow, i: FrameIndex, user: UserNow, studio: StudioNow
) -> Response:
    """One frame as a render would have it."""
    check_frame(medium, i)
    composition = Composition.from_dict(body.composition)
    assets = _assets(studio, user, composition)
    width = min(body.width or max(WIDTHS), max(WIDTHS))
    with studio.workspace(medium) as workspace:
        reader = studio.reader(medium)
        given = LabelledMedium(
            file_stem(medium.name),
            cast(FrameSource, reader),
            _masklets(workspace.store, only_shown=True),
            is_image=medium.kind == "image",
        )
        picture = render_preview(given, i, composition, width=width, assets=assets)
    if picture.shape[2] == 4:
        return Response(to_png(picture), media_type="image/png")
    return Response(to_jpeg(picture), media_type="image/jpeg")


def _assets(studio: Studio, user: User, composition: Composition) -> dict[str, Path]:
    """The files of the backgrounds that a composition names, if they are this user's."""
    return {asset_id: studio.asset_path(studio.asset(user, asset_id)) for asset_id in composition.asset_ids}


@router.post("/projects/{pid}/assets", status_code=201, openapi_extra=UPLOAD_BODY)
async def add_asset(project: ProjectNow, request: Request, studio: StudioNow) -> schemas.AssetInfo:
    """An image or a video for backgrounds."""
    with scratch(studio.settings.data) as folder:
        form = await receive(request, folder, studio.limits)
        if len(form.files) != 1:
            raise ApiError(422, "one_file", f"send one file, in a field called files; got {len(form.files)}", "files")
        return await anyio.to_thread.run_sync(_keep_asset, studio, project, form)


def _keep_asset(studio: Studio, project: Project, form: Form) -> schemas.AssetInfo:
    upload = form.files[0]
    found = probe([upload.path], studio.limits, {})[0]
    if isinstance(found, str):
        raise ApiError(422, "rejected", f"{upload.name} could not be taken: {found}", "files")
    asset = database.Asset(
        id=database.new_id(),
        project_id=project.id,
        kind=found.kind,
        name=upload.name,
        file=f"source{safe_suffix(upload.name)}",
    )
    path = studio.asset_path(asset)
    path.parent.mkdir(parents=True)
    shutil.move(upload.path, path)
    with studio.database.session() as session:
        session.add(asset)
    return asset_info(asset)


def asset_info(asset: database.Asset) -> schemas.AssetInfo:
    kind = cast(Literal["image", "video"], asset.kind)
    return schemas.AssetInfo(id=asset.id, kind=kind, name=asset.name, url=f"{BASE}/assets/{asset.id}")


@router.get("/projects/{pid}/assets")
def list_assets(project: ProjectNow, studio: StudioNow) -> schemas.AssetList:
    """Backgrounds of a project, in the order in which they came."""
    with studio.database.session() as session:
        found = session.scalars(
            select(database.Asset).where(database.Asset.project_id == project.id).order_by(database.Asset.created_at)
        )
        return schemas.AssetList(assets=[asset_info(asset) for asset in found])


@router.get(
    "/assets/{aid}",
    response_class=FileResponse,
    responses={
        200: {
            "content": {"image/*": {}, "video/*": {}, "application/octet-stream": {}},
            "description": "The file as it was sent.",
        }
    },
)
def get_asset(aid: Id, user: UserNow, studio: StudioNow) -> FileResponse:
    """An asset's file."""
    asset = studio.asset(user, aid)
    return FileResponse(
        studio.asset_path(asset),
        media_type=_media_type(asset),
        # A picture may be a page to a browser that is asked to show it: it is never to be run.
        headers={"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, max-age=86400"},
    )


def _media_type(asset: database.Asset) -> str:
    known = {
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".png": "image/png",
        ".webp": "image/webp",
        ".gif": "image/gif",
        ".mp4": "video/mp4",
        ".webm": "video/webm",
        ".mov": "video/quicktime",
    }
    return known.get(Path(asset.file).suffix, "application/octet-stream")


@router.post("/media/{mid}/import", openapi_extra=UPLOAD_BODY)
async def import_file(
    medium: MediumNow,
    request: Request,
    studio: StudioNow,
    format_: Annotated[Literal["auto", "coco", "davis", "sav", "png"], Query(alias="format")] = "auto",
) -> schemas.ImportReport:
    """Masks that another tool has written: each object becomes one here, to be corrected."""
    with scratch(studio.settings.data) as folder:
        form = await receive(request, folder, studio.limits)
        if not form.files:
            raise ApiError(422, "no_files", "send at least one file, in fields called files", "files")
        return await anyio.to_thread.run_sync(_import, studio, medium, form, format_)


def _import(studio: Studio, medium: Medium, form: Form, format_: str) -> schemas.ImportReport:
    found = import_masks(
        {upload.name: upload.path for upload in form.files},
        size_hw=(medium.height, medium.width),
        num_frames=medium.num_frames,
        file_name=medium.name.split("/")[-1],
        format="sa-v" if format_ == "sav" else format_,
    )
    new = [
        NewObject(
            one.name,
            masks,
            class_name=one.class_name,
            color=None if one.color is None else color_text(one.color),
        )
        for one in found.masklets.objects
        if (masks := _masks_of(found.masklets, one.object_id))
    ]
    if not new:
        why = f": {found.skipped[0]}" if found.skipped else ""
        raise ApiError(422, "nothing", f"no mask was found that fits this medium{why}", "files")
    with studio.workspace(medium) as workspace:
        added = workspace.add_objects(f"Import {len(new)} objects", new)
        ids = {one.object_id for one in added}
        return schemas.ImportReport(
            objects=[one for one in objects_info(workspace.store) if one.id in ids],
            num_masks=found.num_masks,
            skipped=list(found.skipped)[:100],
            revision=studio.note_change(medium, workspace),
        )


def _masks_of(masklets: Masklets, object_id: int) -> dict[int, CocoRle]:
    return {
        row.frame_index: row.rle
        for index in masklets.span()
        for row in masklets.at(index)
        if row.object_id == object_id
    }
